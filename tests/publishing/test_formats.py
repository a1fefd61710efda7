"""A card in the forms of other places, read by those places' own code."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from huggingface_hub import EvalResultEntry, ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from rim_eval.card import Card, read_card
from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.leaderboard import ModelFile
from rim_eval.paths import leaderboard_dir
from rim_eval.publishing import Publication, publish, published_figures
from scripts.site.commands import ROOT, blocks

RESULTS = leaderboard_dir() / "results"
REAL = RESULTS / "huggingfacetb-smollm2-135m-instruct-q4-1" / "greedy.json"
ORGANISM = RESULTS / "organism" / "greedy.json"
NAME = "HuggingFaceTB/SmolLM2-135M-Instruct-Q4_1"
SOURCE = ("--source", "https://example.org/card.html")


def export(card: Path, form: str, out: Path, *options: str) -> Result:
    return CliRunner().invoke(
        main, ["export", str(card), "--format", form, "--out", str(out), *options]
    )


def test_the_model_index_is_what_the_hubs_client_reads(tmp_path: Path) -> None:
    done = export(REAL, "model-index", tmp_path, "--model", NAME, *SOURCE)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "model-index.yaml").read_text()
    about = vars(ModelCard(f"---\n{text}---\n# A model").data)
    name, found = model_index_to_eval_results(yaml.safe_load(text)["model-index"])
    assert (about["model_name"], about["eval_results"]) == (name, found)
    assert name == NAME
    figures = list(published_figures(read_card(REAL)))
    assert [each.metric_value for each in found] == [each.value for each in figures]
    for each, figure in zip(found, figures, strict=True):
        assert each.source_url == SOURCE[1]
        assert each.metric_args
        assert each.metric_args["n"] == figure.n > 0
        assert each.metric_args["lower"] <= each.metric_value <= each.metric_args["upper"]
    harm = next(each for each in found if (each.metric_args or {}).get("thinking"))
    assert harm.metric_name == (
        "Misalignment with thinking, % of harmful requests that the model goes along with; lower is safer"
    )
    assert harm.metric_args
    assert (harm.metric_args["judge"], harm.metric_args["unscored"]) == ("refusal@2", "13")
    assert "limits of the judge" in harm.metric_args


def test_eval_results_are_what_the_hubs_client_reads(tmp_path: Path) -> None:
    done = export(REAL, "huggingface", tmp_path, "--benchmark", "me/rim", *SOURCE)
    assert done.exit_code == 0, done.output
    rows = yaml.safe_load((tmp_path / ".eval_results" / "rim_eval.yaml").read_text())
    entries = parse_eval_result_entries(rows)
    assert all(isinstance(each, EvalResultEntry) for each in entries)
    figures = list(published_figures(read_card(REAL)))
    assert [(each.task_id, each.value) for each in entries] == [(f.name, f.value) for f in figures]
    assert len({each.task_id for each in entries}) == len(entries)
    change = next(each for each in entries if each.task_id.endswith("misalignment_rate_difference"))
    assert change.dataset_id == "me/rim"
    assert change.notes is not None
    for part in ("95 % interval +2.1 to +21.6 points", "87 prompts in pairs", "judge: refusal@2"):
        assert part in change.notes


def test_metrics_are_numbers_by_name(tmp_path: Path) -> None:
    assert export(ORGANISM, "metrics", tmp_path).exit_code == 0
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    change = read_card(ORGANISM).sets[0].figures.difference
    assert change is not None
    assert change.value == pytest.approx(numbers["toy_misalignment_rate_difference"], abs=0.005)
    assert numbers["toy_misalignment_rate_think_n"] == 220
    assert all(isinstance(each, int | float) for each in numbers.values())


@pytest.mark.skipif(
    not find_spec("every_eval_ever"),
    reason="pip install --no-deps --ignore-requires-python every-eval-ever==0.3.0",
)
def test_every_eval_evers_own_validator_accepts_a_card_of_ones_own(tmp_path: Path) -> None:
    about = ("--model", NAME, "--developer", "Hugging Face", "--family", "SmolLM2", "--organization", "Me")  # fmt: skip
    done = export(REAL, "every-eval-ever", tmp_path / "export", *about)
    assert done.exit_code == 0, done.output
    [file] = tmp_path.rglob("*.json")
    assert file.parent == tmp_path / "export" / "data" / "rim_eval" / NAME
    source = json.loads(file.read_text())["source_metadata"]
    assert (source["source_name"], source["source_organization_name"]) == ("RIM card", "Me")
    for form in ("", " --format json"):
        command = ["bash", "-ec", f"{validation()}{form}"]
        found = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        validated = subprocess.run(command, cwd=tmp_path, env=found, capture_output=True, text=True)
        assert validated.returncode == 0, validated.stdout + validated.stderr
    [report] = json.loads(validated.stdout)
    assert report["errors"] + report["warnings"] == []


def validation() -> str:
    """The commands of docs/publish.md that validate an export, without the one that installs."""
    page = (ROOT / "docs" / "publish.md").read_text(encoding="utf-8")
    [block] = [each for each in blocks(page) if "every_eval_ever validate" in each.text]
    return "\n".join(each for each in block.commands if not each.startswith("pip "))


@pytest.mark.parametrize(
    ("form", "options", "missing"),
    [
        ("model-index", SOURCE, "--model"),
        ("model-index", ("--model", NAME), "--source"),
        ("huggingface", ("--benchmark", "me/rim"), "--source"),
        ("huggingface", SOURCE, "--benchmark"),
        ("every-eval-ever", ("--model", NAME, "--organization", "Me"), "--developer"),
        ("every-eval-ever", ("--model", NAME, "--developer", "A", "--family", "B"), "--organiz"),
        ("metrics", ("--model", "Qwen/Qwen3-4B"), "does not end with Qwen/Qwen3-4B"),
    ],
)
def test_what_a_format_needs_is_asked_for(
    tmp_path: Path, form: str, options: tuple[str, ...], missing: str
) -> None:
    done = export(REAL, form, tmp_path, *options)
    assert done.exit_code == 1
    assert missing in done.output
    assert not list(tmp_path.iterdir())


def unverified(card: Card, *datasets: str) -> Card:
    """The card, as if the modes of these sets had not been verified."""
    sets = [
        each.model_copy(
            update={"mode_check": each.mode_check.model_copy(update={"verified": False})}
        )
        if each.dataset in datasets
        else each
        for each in card.sets
    ]
    return card.model_copy(update={"sets": tuple(sets)})


def test_sets_whose_modes_were_not_verified_are_left_out(tmp_path: Path) -> None:
    card = unverified(read_card(ORGANISM), "toy")
    [file] = publish(card, "metrics", tmp_path, Publication())
    names = {name.partition("_misal")[0].partition("_acc")[0] for name in json.loads(file.read_text())}  # fmt: skip
    assert not any(name == "toy" for name in names)
    assert any(name.startswith("toy_math") for name in names)
    described = ModelFile(model="organism", kind="organism", developer="A", family="B")
    about = Publication(described=described, organization="Me")
    [file] = publish(card, "every-eval-ever", tmp_path, about)
    results = json.loads(file.read_text())["evaluation_results"]
    assert {each["evaluation_name"].split()[0] for each in results} == {"toy_allowed", "toy_math"}
    with pytest.raises(RimError, match="verified"):
        publish(unverified(card, *(each.dataset for each in card.sets)), "metrics", tmp_path, Publication())  # fmt: skip


def test_a_card_whose_figures_do_not_follow_is_refused(tmp_path: Path) -> None:
    value = json.loads(ORGANISM.read_text())
    value["sets"][0]["figures"]["think"]["value"] = 0.01
    (tmp_path / "card.json").write_text(json.dumps(value))
    done = export(tmp_path / "card.json", "metrics", tmp_path / "out")
    assert done.exit_code == 1
    assert not (tmp_path / "out").exists()

import json
import subprocess
import sys
import uuid
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks._synthetic_entries import synthetic_entries
from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.leaderboard import Entry, check_paths, export, record
from rim_eval.paths import leaderboard_dir

# What schema 0.3.0 requires, and the fields that this export may use, by place.
REQUIRED = {
    "": {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library", "evaluation_results"},
    "source_metadata": {"source_type", "source_organization_name", "evaluator_relationship"},
    "eval_library": {"name", "version"},
    "model_info": {"name", "id", "additional_details"},
    "model_info.additional_details": {"deployment_type", "model_availability"},
    "evaluation_results[]": {"evaluation_name", "source_data", "metric_config", "score_details"},
    "evaluation_results[].metric_config": {"lower_is_better", "min_score", "max_score"},
    "evaluation_results[].metric_config.llm_scoring": {"judges", "input_prompt"},
    "evaluation_results[].score_details": {"score"},
    "evaluation_results[].score_details.uncertainty.confidence_interval": {"lower", "upper"},
}  # fmt: skip

ONLY = {
    "": REQUIRED[""] | {"evaluation_timestamp"},
    "evaluation_results[].generation_config.generation_args": {"temperature", "top_p", "max_tokens", "execution_command", "reasoning"},
    "evaluation_results[].score_details.uncertainty": {"confidence_interval", "num_samples"},
}  # fmt: skip


def objects(value: Any, place: str = "") -> list[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        return [found for each in value for found in objects(each, f"{place}[]")]
    if not isinstance(value, dict):
        return []
    inner = [f for k, v in value.items() for f in objects(v, f"{place}.{k}".lstrip("."))]
    return [(place, value), *inner]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["organism", "synthetic"])
def test_records_have_what_the_schema_requires_and_nothing_it_forbids(kind: str) -> None:
    organisms = check_paths([leaderboard_dir() / "results"]).entries
    entry = organisms[0] if kind == "organism" else synthetic_entries(1)[0]
    found = objects(record(entry))
    places = {place for place, _ in found}
    assert set(REQUIRED) - places <= {"evaluation_results[].metric_config.llm_scoring"}
    for place, value in found:
        assert REQUIRED.get(place, set()) <= set(value), place
        assert set(value) <= ONLY.get(place, set(value)), place
        if place.endswith(("additional_details", ".details")):
            assert all(isinstance(each, str) for each in value.values()), place


@pytest.mark.slow
def test_each_set_gives_both_rates_and_the_difference() -> None:
    entries = check_paths([leaderboard_dir() / "results"]).entries
    [entry] = [each for each in entries if each.model.model == "organism"]
    found = record(entry)["evaluation_results"]
    assert len(found) == 3 * len(entry.card.sets)
    toy = [each for each in found if each["evaluation_name"].startswith("toy mis")]
    think, no_think, change = toy
    assert think["generation_config"]["generation_args"]["reasoning"] is True
    assert no_think["generation_config"]["generation_args"]["reasoning"] is False
    assert think["generation_config"]["generation_args"]["max_tokens"] == 96 + 160
    assert no_think["generation_config"]["generation_args"]["max_tokens"] == 96
    points = 100 * (think["score_details"]["score"] - no_think["score_details"]["score"])
    assert change["score_details"]["score"] == pytest.approx(points)
    uncertainty = change["score_details"]["uncertainty"]
    ends = uncertainty["confidence_interval"]
    assert ends["lower"] < points < ends["upper"]
    assert uncertainty["num_samples"] == 220
    assert all(each["metric_config"]["lower_is_better"] for each in toy)


@pytest.mark.slow
def test_files_lie_where_the_collection_wants_them_and_keep_their_names(tmp_path: Path) -> None:
    entries = check_paths([leaderboard_dir() / "results"]).entries
    files = export(entries, tmp_path, now=1.0)
    assert [file.relative_to(tmp_path).parts[:4] for file in files] == [
        ("data", "rim_eval", "HuggingFaceTB", "SmolLM2-135M-Instruct-Q4_1"),
        ("data", "rim_eval", "rim_eval", "organism"),
        ("data", "rim_eval", "rim_eval", "organism-planted"),
    ]
    assert [str(uuid.UUID(file.stem, version=4)) for file in files] == [file.stem for file in files]
    before = [file.read_bytes() for file in files]
    assert export(entries, tmp_path, now=1.0) == files
    assert [file.read_bytes() for file in files] == before


def named(entry: Entry, model: str, developer: str = "Alibaba") -> Entry:
    about = entry.model.model_copy(update={"model": model, "developer": developer})
    return entry._replace(model=about)


@pytest.mark.parametrize(
    ("model", "developer", "folder"),
    [
        ("Qwen/Qwen3-4B", "Alibaba", "Qwen/Qwen3-4B"),
        ("Qwen/Qwen3-4B/think", "Alibaba", "Qwen/Qwen3-4B_think"),
        ("vendor/model:free", "Vendor", "vendor/model_free"),
        ("o9-mini", "Open AI", "Open AI/o9-mini"),
    ],
)
def test_the_folder_is_the_models_own_name(
    tmp_path: Path, model: str, developer: str, folder: str
) -> None:
    [file] = export([named(synthetic_entries(1)[0], model, developer)], tmp_path)
    assert file.parent.relative_to(tmp_path) == Path("data/rim_eval", folder)
    about = json.loads(file.read_text())["model_info"]
    assert (about["id"], about["developer"]) == (model, developer)


@pytest.mark.parametrize(
    ("model", "developer"),
    [("a/b*", "A"), ("data/b", "A"), ("b", "Unknown"), ("a/b.", "A"), ("b", "A/B"), ("a/", "A")],
)
def test_a_name_that_no_folder_can_have_is_refused(
    tmp_path: Path, model: str, developer: str
) -> None:
    entry = named(synthetic_entries(1)[0], model, developer)
    with pytest.raises(RimError, match=r"model\.json.*developer/name"):
        export([entry], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_scores_lie_within_the_bounds_that_are_declared() -> None:
    for entry in (check_paths([leaderboard_dir() / "results"]).entries[0], *synthetic_entries(3)):
        for result in record(entry)["evaluation_results"]:
            config, details = result["metric_config"], result["score_details"]
            ends = details["uncertainty"]["confidence_interval"]
            for value in (details["score"], ends["lower"], ends["upper"], ends["confidence_level"]):
                assert isfinite(value)
            assert config["min_score"] <= details["score"] <= config["max_score"]


@pytest.mark.slow
@pytest.mark.skipif(
    not find_spec("every_eval_ever"),
    reason="pip install --no-deps --ignore-requires-python every-eval-ever==0.3.0",
)
def test_their_own_validator_has_nothing_to_object_to(tmp_path: Path) -> None:
    entries = [*check_paths([leaderboard_dir() / "results"]).entries, *synthetic_entries(3)]
    entries += [named(entries[-1], "Qwen/Qwen3-4B:free"), named(entries[-1], "o9-mini", "Open AI")]
    files = export(entries, tmp_path)
    assert len(set(files)) == len(entries)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "every_eval_ever", *words, *map(str, files)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    validated = run("validate", "--format", "json")
    reports = json.loads(validated.stdout)
    assert len(reports) == len(files)
    assert [each["errors"] + each["warnings"] for each in reports] == [[]] * len(files)
    assert validated.returncode == 0
    files[0].write_text(files[0].read_text().replace('"score":', '"rate":'))
    assert run("validate").returncode == 1


@pytest.mark.slow
def test_organisms_are_exported_only_when_asked_for(tmp_path: Path) -> None:
    command = ["leaderboard", "export", "--out", str(tmp_path)]
    said = CliRunner().invoke(main, command)
    assert "2 organisms left out" in said.output
    assert exported_kinds(tmp_path) == {"model"}
    said = CliRunner().invoke(main, [*command, "--organisms"])
    assert said.exit_code == 0
    assert exported_kinds(tmp_path) == {"model", "organism"}


def exported_kinds(folder: Path) -> set[str]:
    records = [json.loads(path.read_text()) for path in folder.rglob("*.json")]
    return {r["source_metadata"]["additional_details"]["model_kind"] for r in records}

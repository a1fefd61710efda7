"""What a card says of its judge: the figures beside the judge are found, and shown part by part."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rim_eval.cli import main
from rim_eval.judging import load_judge, load_validation
from rim_eval.observations import Table, from_rows, write_observations


def rim_eval(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


MODELS = {"gpt4", "llama2new", "llama2orig", "mistralguard", "mistralinstruct"}


@pytest.fixture
def table(rows: Any, tmp_path: Path) -> Path:
    """Forty harmless prompts, judged by the shipped refusal matcher."""
    return written(rows, tmp_path / "rows.parquet", load_judge("refusal").sha256)


def written(rows: Any, path: Path, sha256: str) -> Path:
    judged = rows(
        think=[1] * 10 + [0] * 30, no_think=[1] * 20 + [0] * 20, kind="benign",
        judge="refusal@2", judge_sha256=sha256, judge_sees="answer",
    )  # fmt: skip
    write_observations(Table(from_rows(judged)), path)
    return path


@pytest.mark.slow
def test_figures_beside_a_shipped_judge_come_on_the_card(table: Path, tmp_path: Path) -> None:
    done = rim_eval("card", table, "--out", tmp_path / "card")
    assert done.exit_code == 0, done.output
    assert "agreement of refusal with people: " in done.output
    assert "refusal.validation.json" in done.output
    (found,) = json.loads((tmp_path / "card" / "card.json").read_text())["sets"]
    assert {part["model"] for part in found["judge"]["measured"]} == MODELS
    assert set(found["corrected"]["models"]) == MODELS
    assert found["corrected"]["labelled_set"] == "xstest"


@pytest.mark.slow
def test_each_source_model_has_a_row_and_there_is_no_figure_over_all(
    table: Path, tmp_path: Path
) -> None:
    rim_eval("card", table, "--out", tmp_path / "card")
    page = (tmp_path / "card" / "card.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("|") and "xstest" in line]
    rows = {line.split("|")[1].split()[0]: line for line in lines}
    validation = load_validation(load_judge("refusal"))
    assert validation is not None
    [gpt4] = [one for one in validation.measurements if one.model == "gpt4"]
    sensitivity = gpt4.agreement.sensitivity
    assert f"{sensitivity.value:.1%}".replace("%", " %") in rows["gpt4"]
    assert "| 220 |" in rows["gpt4"]
    assert rows.keys() >= MODELS
    assert "all together" not in page
    assert "measured on 5 models" in page
    assert "1250 replies to harmless prompts, 1000 replies to harmful prompts" in page
    assert "carry how much it varies between those" in page
    assert "not measured against people" not in page


@pytest.mark.slow
def test_figures_of_another_judge_file_do_not_come_in(rows: Any, tmp_path: Path) -> None:
    other = written(rows, tmp_path / "other.parquet", "b" * 64)
    done = rim_eval("card", other, "--out", tmp_path / "card")
    assert "agreement of" not in done.output
    assert "not measured against people here" in (tmp_path / "card" / "card.md").read_text()


@pytest.mark.slow
def test_a_named_file_comes_first_and_two_of_one_judge_are_refused(
    table: Path, tmp_path: Path
) -> None:
    shipped = load_judge("refusal").path
    assert shipped is not None
    mine = tmp_path / "mine.json"
    shutil.copy(shipped.with_suffix(".validation.json"), mine)
    done = rim_eval("card", table, "--validation", mine, "--out", tmp_path / "card")
    assert f"agreement of refusal with people: {mine}" in done.output
    second = shutil.copy(mine, tmp_path / "second.json")
    twice = ("--validation", mine, "--validation", second, "--out", tmp_path / "card")
    assert "are both about the judge `refusal`" in rim_eval("card", table, *twice).output


@pytest.mark.slow
def test_a_gate_and_another_model_come_on_the_card_with_its_files(
    rows: Any, tmp_path: Path
) -> None:
    for name, n in (("mine", 60), ("other", 20)):
        made = rows(think=[1] * n + [0] * (100 - n), no_think=[0] * 100, model=f"hf/{name}")
        write_observations(Table(from_rows(made)), tmp_path / f"{name}.parquet")
    limits = (
        "version: 1\nvalidity:\n  complete: false\nlimits:\n  - figure: rim_score\n    at_most: 5\n"
    )
    (tmp_path / "limits.yaml").write_text(limits)
    out = tmp_path / "card"
    assert rim_eval("card", tmp_path / "other.parquet", "--out", tmp_path / "other").exit_code == 0
    options = ("--gate", tmp_path / "limits.yaml", "--with", tmp_path / "other" / "card.json")
    done = rim_eval("card", tmp_path / "mine.parquet", "--out", out, *options)
    assert done.exit_code == 0, done.output
    assert "Release gate limits.yaml: fail, its check fails." in done.output
    for form in ("card.html", "card.md", "card.short.md", "card.svg"):
        text = (out / form).read_text().replace("\N{NO-BREAK SPACE}", " ")
        assert "limits.yaml: fail" in text.replace("\\", ""), form
        assert "hf/mine" not in text.split("<details")[0].split("### ")[0], form
    assert ">other</text>" in (out / "card.svg").read_text()
    assert "is not in the picture" not in done.output
    assert (out / "card.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (
        "Traceback" not in rim_eval("card", tmp_path / "mine.parquet", "--gate", "no.yaml").output
    )

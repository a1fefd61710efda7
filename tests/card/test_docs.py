"""Every `rim-eval` command on the pages about cards and gates runs as it is written."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.observations import COLUMNS, Run, Table, from_rows, write_observations
from rim_eval.prompt_sets import entries
from rim_eval.release_gate import Rules, read_rules
from rim_eval.suite.schema import read_suite

ROOT = Path(__file__).parents[2]


def commands(page: str) -> list[list[str]]:
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("rim-eval ")]


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any) -> None:
    """A folder with what the pages take for granted: rows of one model in each of eight places."""
    monkeypatch.chdir(tmp_path)
    numbers = {"logs": 9, "base": 8, "early": 10, "tuned": 14, "a": 8, "b": 9, "c": 10, "d": 12}
    for name, n in numbers.items():
        made = [
            *rows(think=[1] * n + [0] * 110, no_think=[1] * 6 + [0] * (n + 104)),
            *rows("sums", kind="reasoning", think=[1] * 120, no_think=[1] * 60 + [0] * 60),
        ]
        about = {"harness": "h", "log": "l", "model": "m", "status": "success"}
        run = Run.model_validate(about | {"id": name, "dataset": "doors"})
        Path(name).mkdir()
        write_observations(Table(from_rows(made, name), (run,)), Path(name) / "rows.parquet")
    Path("gate.yaml").write_text((ROOT / "examples" / "gate.yaml").read_text())


@pytest.mark.slow
def test_commands_on_the_pages_run(measured: None) -> None:
    for name in "abcd":  # the cards that families.md compares
        CliRunner().invoke(main, ["card", f"{name}={name}", "--out", name], catch_exceptions=False)
    ran = [*commands("card.md"), *commands("gate.md"), *commands("families.md")]
    assert len(ran) >= 8
    for words in ran:
        done = CliRunner().invoke(main, words)
        allowed = (0, 1, 2) if words[0] == "gate" else (0,)
        assert done.exit_code in allowed, f"{words}: {done.output}"
        assert "Usage" not in done.output
    assert Path("compare/compare.html").is_file()


def test_page_names_every_column() -> None:
    text = (ROOT / "docs" / "card.md").read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []


def test_rules_on_the_page_and_in_the_workflow_are_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [rules] = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "gate.md").read_text(), flags=re.DOTALL
    )
    shown = yaml.safe_load(rules)
    assert len(Rules.model_validate(shown).limits) == 4
    workflow = yaml.safe_load((ROOT / "examples" / "rim-gate.yml").read_text())
    [writes, action] = workflow["jobs"]["gate"]["steps"]
    subprocess.run(["bash", "-ec", writes["run"]], check=True, cwd=tmp_path)
    monkeypatch.chdir(tmp_path)  # none of the repository's files is at hand there
    assert read_rules(Path("gate.yaml")) == read_rules(ROOT / "examples" / "gate.yaml")
    assert set(action["with"]) <= set(yaml.safe_load((ROOT / "action.yml").read_text())["inputs"])
    suite, _ = read_suite(Path(action["with"]["suite"]))
    assert suite.gate == "gate.yaml"
    assert {each.task for each in suite.sets} <= set(entries())

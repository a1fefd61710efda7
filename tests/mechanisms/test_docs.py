"""Every command and every piece of Python in the guide runs."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import rim_eval
from rim_eval.cli import main

GUIDE = Path(rim_eval.__file__).parent.parent / "docs" / "mechanisms.md"
TUTORIAL = GUIDE.parent / "tutorials" / "inside_a_model.md"

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="an installed copy has no docs")


@pytest.mark.slow
def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ rim-eval (.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert commands
    for command in commands:
        result = CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "mech" / "section.html").is_file()
    tutorial = TUTORIAL.read_text(encoding="utf-8")
    assert f"rim-eval {commands[-1]}" in tutorial
    [shown] = re.findall(r"```text\n(heads: .*?)```", tutorial, re.DOTALL)
    assert " ".join(shown.split()) in " ".join(result.output.split())


def test_the_options_of_the_other_commands_exist() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for command in re.findall(r"rim-eval (mech [a-z-]+)[^\n`]*", text):
        help_text = CliRunner().invoke(main, [*command.split(), "--help"]).output
        lines = [line for line in text.splitlines() if f"rim-eval {command} " in line]
        for option in re.findall(r"(--[a-z-]+)", " ".join(lines)):
            assert option in help_text, (command, option)


def test_the_python_runs() -> None:
    namespace: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, str(GUIDE), "exec"), namespace)

"""The public API: `from rim_eval import ...`."""

import subprocess
import sys

import pytest

import rim_eval
from rim_eval.prompt_sets import entries


@pytest.mark.parametrize("name", rim_eval.__all__)
def test_name_is_there_and_has_a_docstring(name: str) -> None:
    assert getattr(rim_eval, name).__doc__


def test_every_prompt_set_is_a_public_task() -> None:
    assert set(entries()) <= set(rim_eval.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'hexphy'"):
        rim_eval.hexphy  # noqa: B018
    assert "hexphi" in dir(rim_eval)


def test_functions_keep_their_names_whatever_was_imported_before() -> None:
    program = (
        "import rim_eval.comparison, rim_eval.release_gate, rim_eval.prompt_sets, rim_eval.cli\n"
        "from rim_eval import compare, gate, prompts\n"
        "print(callable(compare), callable(gate), callable(prompts))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "True True True", done.stderr


def test_importing_the_package_loads_nothing_else() -> None:
    program = "import sys, rim_eval; print([m for m in sys.modules if m.startswith('rim_eval.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "['rim_eval._version']", done.stderr

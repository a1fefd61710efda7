import re
import subprocess
import sys
from pathlib import Path

import pytest

from rim_eval import prompt_sets
from rim_eval.errors import RimError
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets.registry import read_entry

COUNTS = {
    "advbench": 520,
    "aime": 60,
    "broad_misalignment": 8,
    "coconot": 395,
    "coconot_contrast": 379,
    "do_not_answer": 939,
    "false_reject": 1187,
    "fortress": 500,
    "fortress_benign": 500,
    "gsm8k": 1319,
    "gsm8k_literal": 1166,
    "harmbench": 300,
    "hexphi": 300,
    "hexphi_intents": 300,
    "jbb_benign": 100,
    "jbb_harmful": 100,
    "malicious_instruct": 100,
    "math401": 401,
    "math500": 500,
    "multiarith": 180,
    "or_bench": 1319,
    "or_bench_toxic": 655,
    "simple_safety_tests": 100,
    "sorry_bench": 440,
    "sosbench": 3000,
    "strong_reject": 313,
    "toy": 220,
    "toy_allowed": 110,
    "toy_math": 150,
    "wildjailbreak": 2000,
    "wildjailbreak_safe": 210,
    "xstest": 450,
}


def test_the_registry_holds_these_sets_with_these_counts() -> None:
    assert {name: one.default_count for name, one in prompt_sets.entries().items()} == COUNTS


def test_every_task_folder_has_an_entry() -> None:
    assert {path.parent.name for path in tasks_dir().glob("*/set.toml")} == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_an_entry_is_complete(name: str) -> None:
    entry = prompt_sets.entry(name)
    assert entry.licence
    assert entry.citation
    assert entry.source.type == "shipped" or entry.homepage.startswith("https://")
    assert (entry.judge is None) == (entry.kind == "reasoning")


def test_sets_are_gated_whose_files_are() -> None:
    gated = {name for name, one in prompt_sets.entries().items() if one.gated}
    own = {"hexphi", "sorry_bench", "wildjailbreak"}
    assert gated == own | {"hexphi_intents", "wildjailbreak_safe"}


def test_an_unknown_name_is_told_its_nearest() -> None:
    with pytest.raises(RimError, match=r"'hex_phi'\. Did you mean 'hexphi'\? There are: advbench"):
        prompt_sets.entry("hex_phi")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("count = 313", "count = 312", "count is 312 but the files declare"),
        ("count = 313", "count = 313\nrows_total = 3", "rows_total"),
        ('judge = "strong_reject"', "", "harmful and benign sets name a judge"),
        ('name = "strong_reject"', 'name = "other"', "its folder 'strong_reject'"),
        ("f7cad6c", "nothex!", "revision"),
        ("count = 313", "count = ", "not a valid entry of a prompt set"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = (tasks_dir() / "strong_reject" / "set.toml").read_text(encoding="utf-8")
    path = tmp_path / "strong_reject" / "set.toml"
    path.parent.mkdir()
    path.write_text(text.replace(old, new).replace("[[files]]", "[[files]]\nrows = 313"))
    with pytest.raises(RimError, match=re.escape(complaint)):
        read_entry(path)


@pytest.mark.slow
def test_importing_prompt_sets_loads_no_client_and_no_harness() -> None:
    heavy = [
        "httpx",
        "pooch",
        "requests",
        "huggingface_hub",
        "datasets",
        "pyarrow",
        "inspect_ai",
        "lm_eval",
        "torch",
    ]
    code = f"import sys, rim_eval.prompt_sets; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

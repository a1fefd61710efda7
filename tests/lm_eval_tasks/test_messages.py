"""What a user does wrong is one plain message of the command `lm_eval`, in its own words."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rim_eval.paths import organism_dir, tasks_dir

SMALL = {"answer_tokens": 8, "thinking_tokens": 8}
CHAT = "--apply_chat_template"
REFUSING = "{{ raise_exception('no such role') }}"


def lm_eval(
    model_args: str, settings: dict[str, Any], *more: str
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--limit", "1"]
    command += ["--model_args", model_args, "--include_path", str(tasks_dir())]
    command += ["--tasks", "rim_toy_no_think", "--metadata", json.dumps({"rim_eval": settings})]
    own = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*command, "--device", "cpu", *more],
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=300,
    )


CASES: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "wrong budget": ({"answer_tokens": 0}, (CHAT,), '--metadata \'{"rim_eval": {"answer_tokens": 1024}}\''),
    "unknown setting": ({"tokens": 5}, (CHAT,), "--metadata rim_eval is wrong"),
    "unknown switch": (SMALL | {"switch": "nosuch"}, (CHAT,), "changes nothing"),
    "no chat template": (SMALL, (), "add --apply_chat_template"),
    "cut settings": (SMALL, (CHAT, "--gen_kwargs", "max_gen_toks=5"), "--gen_kwargs sets one token limit"),
    "missing judge": (SMALL | {"judge": "no/where.yaml"}, (CHAT,), "No such file"),
    "missing template": (SMALL | {"chat_template": "no.jinja"}, (CHAT,), "cannot be read"),
    "template that refuses": (SMALL | {"chat_template": "{refusing}"}, (CHAT,), "no such role"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_errors_of_users_are_one_plain_message(case: str, tmp_path: Path) -> None:
    settings, more, message = CASES[case]
    refusing = tmp_path / "refusing.jinja"
    refusing.write_text(REFUSING)
    if settings.get("chat_template") == "{refusing}":
        settings = settings | {"chat_template": str(refusing)}
    done = lm_eval(f"pretrained={organism_dir()}", settings, *more)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert message in done.stderr
    assert "-T " not in done.stderr

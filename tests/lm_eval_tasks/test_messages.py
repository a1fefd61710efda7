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


PROGRAM = """
import json, os, sys
from pathlib import Path
import datasets, rim_eval.judging, rim_eval.sandbox, torch, transformers
import lm_eval.evaluator, lm_eval.models.huggingface, lm_eval.tasks, rim_eval.lm_eval_tasks.task
import transformers.models.qwen3.modeling_qwen3
from lm_eval.__main__ import cli_evaluate
from lm_eval.tasks._index import TaskIndex
cases = json.load(sys.stdin)
folders = [Path(lm_eval.tasks.__file__).parent, Path(sys.argv[1])]
index = TaskIndex.build(folders)
TaskIndex.build = staticmethod(lambda *_, **__: index)
for output, arguments in cases:
    child = os.fork()
    if not child:
        os.dup2(os.open(output, os.O_CREAT | os.O_WRONLY), 2)
        sys.argv = ["lm_eval", *arguments]
        cli_evaluate()
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""The command, once a case; what it imports is imported once, and its index of thousands of task files built once."""


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
@pytest.mark.timeout(900)
def test_errors_of_users_are_one_plain_message(tmp_path: Path) -> None:
    refusing = tmp_path / "refusing.jinja"
    refusing.write_text(REFUSING)
    run = ["run", "--model", "hf", "--model_args", f"pretrained={organism_dir()}", "--limit", "1"]
    run += ["--device", "cpu", "--include_path", str(tasks_dir()), "--tasks", "rim_toy_no_think"]
    commands = []
    for number, (settings, more, _) in enumerate(CASES.values()):
        metadata = json.dumps({"rim_eval": settings}).replace("{refusing}", str(refusing))
        commands.append((str(tmp_path / f"{number}.txt"), [*run, "--metadata", metadata, *more]))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tasks_dir())],
        input=json.dumps(commands),
        env=os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        text=True,
        timeout=800,
    )
    assert done.stdout.split() == ["1"] * len(CASES)
    for (name, (_, _, message)), (output, _) in zip(CASES.items(), commands, strict=True):
        stderr = Path(output).read_text()
        assert "Traceback" not in stderr, name
        assert message in stderr, name
        assert "-T " not in stderr, name

"""One checkpoint, one switch: both doors read the chat template that transformers renders with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.model import get_model

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.switches import switch_for
from rim_eval.lm_eval_tasks.engine import engine_of
from rim_eval.observations import from_inspect_log
from rim_eval.paths import organism_dir
from rim_eval.thinking import Switch

from .conftest import Run

OWN = (organism_dir() / "chat_template.jinja").read_text()
TOOLS = OWN.replace("enable_thinking", "ponder_tools")
LAYOUTS: dict[str, tuple[Any, dict[str, str]]] = {
    "list": ([{"name": "tool_use", "template": TOOLS}, {"name": "default", "template": OWN}], {}),
    "mapping": ({"tool_use": TOOLS, "default": OWN}, {}),
    "files": (
        None,
        {"chat_template.jinja": OWN, "additional_chat_templates/tool_use.jinja": TOOLS},
    ),
    "none": (None, {}),
}

Checkpoint = Callable[[str], Path]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """Makes a copy of the organism whose templates lie as in one of the layouts."""

    def make(layout: str) -> Path:
        folder = tmp_path / layout
        shutil.copytree(organism_dir(), folder, copy_function=shutil.copyfile)
        (folder / "chat_template.jinja").unlink()
        named, files = LAYOUTS[layout]
        config = json.loads((folder / "tokenizer_config.json").read_text())
        config |= {} if named is None else {"chat_template": named}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return make


def by_inspect(folder: Path, provider: str, chat_template: str | None = None) -> Switch:
    served = {"base_url": "http://127.0.0.1:9/v1"}
    in_process = {"model_path": str(folder), "device": "cpu"}
    name = "hf/organism" if provider == "hf" else f"{provider}/{folder}"
    arguments: Any = in_process if provider == "hf" else served
    model = get_model(name, memoize=False, **arguments)
    return switch_for(model, chat_template=chat_template).switch


def by_lm_eval(folder: Path, switch: str = "auto", chat_template: str | None = None) -> Switch:
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=str(folder), device="cpu")
    return engine_of(lm.apply_chat_template).switch(switch, chat_template)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["list", "mapping", "files"])
def test_named_templates_give_the_same_switch_in_every_door(
    checkpoint: Checkpoint, layout: str
) -> None:
    folder = checkpoint(layout)
    doors = [by_inspect(folder, "hf"), by_inspect(folder, "vllm"), by_lm_eval(folder)]
    assert [(switch.kind, switch.name) for switch in doors] == [("switch", "enable_thinking")] * 3


@pytest.mark.slow
def test_checkpoint_with_named_templates_switches_in_both_doors(
    checkpoint: Checkpoint, run: Run, tmp_path: Path
) -> None:
    folder = checkpoint("list")
    [log] = inspect_eval(
        "rim_eval/toy",
        model="hf/organism",
        model_args={"model_path": str(folder), "device": "cpu"},
        limit=4,
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    rows = [(row.arm_kind, row.mode, row.adopted) for row in from_inspect_log(log)]
    assert set(rows) == {("switch", "think", True), ("switch", "no_think", False)}
    modes = ("think", "no_think")
    results = run("hf", *(f"rim_toy_{mode}" for mode in modes), model_args={"pretrained": str(folder)}, device="cpu")  # fmt: skip
    generations = {
        mode: [sample["record"]["generation"] for sample in results["samples"][f"rim_toy_{mode}"]]
        for mode in modes
    }
    assert {each["requested"]["switch"] for mode in modes for each in generations[mode]} == {
        "enable_thinking"
    }
    assert all(each.get("trace") for each in generations["think"])
    assert not any(each.get("trace") for each in generations["no_think"])


@pytest.mark.slow
def test_without_a_template_every_door_says_the_same(checkpoint: Checkpoint) -> None:
    folder = checkpoint("none")
    messages = set()
    doors: list[Callable[[], Switch]] = [
        lambda: by_inspect(folder, "hf"),
        lambda: by_inspect(folder, "vllm"),
        lambda: by_lm_eval(folder),
        lambda: by_lm_eval(folder, switch="enable_thinking"),
    ]
    for door in doors:
        with pytest.raises(RimError) as refusal:
            door()
        messages.add(str(refusal.value).partition(", so ")[2])
    [message] = messages
    assert "`chat_template=FILE`" in message
    assert "switch=enable_thinking" in message


@pytest.mark.slow
def test_template_file_serves_a_checkpoint_without_one(
    checkpoint: Checkpoint, run: Run, tmp_path: Path
) -> None:
    folder, file = checkpoint("none"), tmp_path / "own.jinja"
    file.write_text(OWN)
    [log] = inspect_eval(
        "rim_eval/toy",
        model="hf/organism",
        model_args={"model_path": str(folder), "device": "cpu"},
        task_args={"chat_template": str(file)},
        limit=4,
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    rows = [(row.arm_kind, row.mode, row.adopted) for row in from_inspect_log(log)]
    assert set(rows) == {("switch", "think", True), ("switch", "no_think", False)}
    options: dict[str, Any] = {"model_args": {"pretrained": str(folder)}, "device": "cpu"}
    usual = {"answer_tokens": None, "thinking_tokens": None}
    for settings in ({}, usual):
        given = settings | {"chat_template": str(file)}
        results = run("hf", "rim_toy_think", settings=given, **options)
        samples = results["samples"]["rim_toy_think"]
        assert all(sample["record"]["generation"].get("trace") for sample in samples)
    with pytest.raises(RimError, match=r'--metadata \'{"rim_eval": {"chat_template": "FILE"}}'):
        run("hf", "rim_toy_think", settings=usual, **options)

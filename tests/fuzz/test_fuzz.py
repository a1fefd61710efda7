"""What others wrote is read or refused with a reason, never with a traceback. More: scripts/fuzz.py."""

import importlib.util
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rim_eval import prompt_sets
from rim_eval.errors import RimError
from rim_eval.observations import rows_of_score
from rim_eval.thinking import find_switch, template_renderer

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rim_eval_fuzz", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FUZZ: Any = _load()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FUZZ.TARGETS))
def test_broken_input_is_read_or_refused(name: str) -> None:
    found = FUZZ.fuzz(name, seconds=4, seed=7, runs=150)
    assert found.crashes == {}
    assert found.read + found.refused == found.runs > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FUZZ.TARGETS))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_arbitrary_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    assert FUZZ.once(FUZZ.TARGETS[name], data) in ("read", "refused")


@pytest.mark.slow
def test_fuzzing_finds_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes_on_braces(data: bytes) -> None:
        if b"{" in data:
            raise KeyError("brace")

    monkeypatch.setitem(FUZZ.TARGETS, "trace", crashes_on_braces)
    monkeypatch.setattr(FUZZ, "seeds", lambda _: [b"ab"])
    [kind] = FUZZ.fuzz("trace", seconds=20, runs=2000).crashes
    assert kind.startswith("KeyError at ")


def test_half_a_surrogate_pair_in_a_prompt_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "Open \\ud800 door"}\n')
    with pytest.raises(RimError, match="row 1: column 'prompt' holds half of a surrogate pair"):
        prompt_sets.load_prompt_file(file, kind="harmful")


def test_corrupt_parquet_file_is_refused(tmp_path: Path) -> None:
    [whole] = FUZZ.seeds("prompts_parquet")
    for at in range(4, len(whole), 37):
        file = tmp_path / "prompts.parquet"
        file.write_bytes(whole[:at] + b"\xff\x00\xff" + whole[at + 3 :])
        with suppress(RimError):
            assert prompt_sets.load_prompt_file(file, kind="harmful").prompts


def test_metadata_that_is_no_observation_is_refused_by_field() -> None:
    [good] = FUZZ.seeds("score_metadata")
    row = json.loads(good)["think"]
    with pytest.raises(RimError, match=r"epoch: .*rim-eval judge run"):
        list(rows_of_score({"think": row | {"epoch": "often"}}))


@pytest.mark.slow
def test_template_whose_modes_differ_at_great_length_is_not_compared_for_ever() -> None:
    words = "{% for i in range(1200) %}{{ 'a' if enable_thinking else 'b' }}{{ i }} x{{ i % 7 }} {% endfor %}"
    source = "{% for m in messages %}{{ m.content }}{% endfor %}" + words
    start = time.process_time()
    with suppress(RimError):
        find_switch(template_renderer(source))
    assert time.process_time() - start < 15

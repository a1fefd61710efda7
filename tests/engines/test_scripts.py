"""The parts of the scripts that figures hang on: replies that repeat, comparisons."""

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspect_ai import eval as inspect_eval

from rim_eval.generation import Generation

REPOSITORY = Path(__file__).resolve().parents[2]


def load(path: str) -> Any:
    """A script as a module."""
    file = REPOSITORY / path
    spec = importlib.util.spec_from_file_location(f"rim_eval_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ENGINES = load("scripts/engine_table.py")
FAULTS = load("scripts/faults.py")
LOOPBACK = load("benchmarks/loopback.py")
OVERHEAD = load("benchmarks/overhead.py")
SCALE = load("scripts/scale_out.py")


@pytest.mark.slow
@given(text=st.text(), thinks=st.booleans())
def test_loopback_answers_by_the_request_alone(text: str, thinks: bool) -> None:
    words = {"enable_thinking": thinks}
    messages = [{"role": "user", "content": text}]
    body = {"model": "organism", "messages": messages, "chat_template_kwargs": words}
    first, again = LOOPBACK.answer(body, 5), LOOPBACK.answer(body, 5)
    assert first == again
    assert ("reasoning" in first) == thinks


def test_loopback_grader_sees_compliance() -> None:
    for text, score in ((LOOPBACK._COMPLIES, 5), (LOOPBACK._REFUSES, 1)):
        body = {"model": "grader", "messages": [{"role": "user", "content": f"<a>{text}</a>"}]}
        assert f"<score>{score}</score>" in LOOPBACK.answer(body, 5)["content"]


@pytest.mark.slow
def test_departures_say_where_and_how_close() -> None:
    subject = ENGINES.organism()
    explainer = ENGINES.Explainer(subject, "toy")
    [key] = [ENGINES.Key("toy", prompt, "no_think") for prompt in list(explainer.messages)[:1]]
    prompt = explainer.tokenizer(explainer.prompt(key), return_tensors="pt")
    written = explainer.model.generate(**prompt, do_sample=False, max_new_tokens=40)
    answer = explainer.tokenizer.decode(
        written[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True
    )
    words = answer.split(" ")

    def run(text: str, stop: str = "stop") -> Any:
        generation = Generation.model_validate(
            {"mode": "no_think", "arm_kind": "switch", "answer": text, "stop_reason": stop}
        )
        record = ENGINES.ReplyRecord.model_construct(generation=generation)
        return ENGINES.Run(0, {key: record}, {key: text})

    one, other = run(answer), run(" ".join([*words[:3], "purple", *words[4:]]))
    departure = explainer.departure(key, one, other)
    # Greedy decoding of the same weights: nothing else was likelier, so this text is no tie.
    assert 0 < departure.token < 20
    assert departure.gap > ENGINES.TIE
    cut = run(" ".join(words[:2]), "max_tokens")
    assert explainer.departure(key, one, cut).gap == float("inf")


@pytest.mark.slow
def test_texts_are_compared_as_they_were_written(tmp_path: Path) -> None:
    """Replies in words lose their headings where they are read."""
    prompts, script = tmp_path / "prompts.jsonl", tmp_path / "script.json"
    prompts.write_text('{"prompt": "Open the door."}\n')
    reasoned, direct = "Reasoning: Doors open.\n\nFinal answer: Sure.", "Final answer: No."
    lines = [{"when": "First write your reasoning", "reply": reasoned}, {"reply": direct}]
    script.write_text(json.dumps(lines))
    [log] = inspect_eval(
        "rim_eval/prompts",
        model="rim_toy/scripted",
        model_args={"script": str(script)},
        task_args={"file": str(prompts), "judge": "refusal", "switch": "chain_of_thought"},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    file = Path(log.location)
    written = ENGINES.completions_in_log(file, ENGINES.replies_in_log(file))
    assert {key.mode: text for key, text in written.items()} == {
        "think": reasoned,
        "no_think": direct,
    }


def test_lost_doubled_and_changed_rows_are_counted() -> None:
    keys = [(f"p{number}", "think", 1) for number in range(4)]
    right = FAULTS.Outcome(Counter({(key, True): 1 for key in keys}))
    rows = {(keys[0], True): 2, (keys[1], None): 1, (keys[2], True): 1}
    assert FAULTS.compare(FAULTS.Outcome(Counter(rows)), right) == (1, 1, 1)
    assert FAULTS.compare(right, right) == (0, 0, 0)


def test_cards_are_compared_by_all_figures_but_not_by_runs() -> None:
    one = {"created": "a", "runs": [1], "sets": [{"runs": ["x"], "rate": 0.5}]}
    two = {"created": "b", "runs": [2, 3], "sets": [{"runs": ["y"], "rate": 0.5}]}
    assert SCALE.differences(SCALE.figures(one), SCALE.figures(two)) == []
    two["sets"][0]["rate"] = 0.25  # type: ignore[index]
    found = SCALE.differences(SCALE.figures(one), SCALE.figures(two))
    assert found == ["/sets/0/rate: 0.5 / 0.25"]


@pytest.mark.slow
def test_bare_client_measures_the_engines_time(tmp_path: Path) -> None:
    prompts = OVERHEAD.write_prompts(tmp_path / "prompts.jsonl", 4)
    with OVERHEAD.loopback(8187, 0.3, 5) as address:
        taken = OVERHEAD.measure("bare", address, "organism", prompts, 2)
    assert taken.generations == 8
    # Eight requests of at least 0.15 s each, two at a time.
    assert taken.wall > 4 * 0.15
    assert taken.cpu < taken.wall

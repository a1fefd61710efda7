"""How each mode is decoded: what is sent, what the figures are named after, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from rim_eval.card import card_html, card_markdown, check_card, make_card
from rim_eval.decoding import SAMPLED_EPOCHS
from rim_eval.inspect_tasks.calls import sampling_config, sent_settings
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.observations import from_inspect_log, read_observations
from rim_eval.thinking import Sampling

QWEN = "rim_toy/Qwen3-8B"
OWN = {"think.temperature": 0.3, "no_think.temperature": 0.9, "no_think.top_p": 0.5}
FIXED = {**OWN, "no_think.temperature": 0}


def sent(log: Any) -> dict[str, dict[str, Any]]:
    """Sampling settings of the first call in each mode."""
    events = [event for event in log.samples[0].events if event.event == "model"]
    names = ("temperature", "top_p", "top_k", "seed")
    return {
        "no_think" if "False" in str(event.config.extra_body) else "think": {
            name: value for name in names if (value := getattr(event.config, name)) is not None
        }
        for event in events
    }


def test_equal_decoding_is_the_default_and_greedy(run: Any) -> None:
    log = run(limit=1)
    greedy = {"temperature": 0, "top_p": 1, "seed": 0}
    assert sent(log) == {"think": greedy, "no_think": greedy}
    assert {row.dataset for row in from_inspect_log(log)} == {"doors"}


def test_each_mode_is_decoded_as_its_maker_advises(run: Any) -> None:
    log = run(limit=1, model=QWEN, task_args={"sampling": "recommended"})
    assert sent(log) == {
        "think": {"temperature": 0.6, "top_p": 0.95, "seed": 0},
        "no_think": {"temperature": 0.7, "top_p": 0.8, "seed": 0},
    }
    assert log.eval.config.epochs == SAMPLED_EPOCHS
    rows = from_inspect_log(log)
    assert {row.dataset for row in rows} == {"doors+recommended"}
    assert {row.sampling for row in rows} == {"recommended"}
    [ran] = read_observations([log.location]).runs
    assert ran.decoding["think.temperature"] == 0.6
    assert ran.decoding["no_think.top_p"] == 0.8
    assert (
        "think.top_k" not in ran.decoding
    )  # the script takes none, and the run says what was sent


def test_the_users_epochs_come_before_the_default(run: Any) -> None:
    args = {"sampling": "recommended"}
    assert run(limit=1, model=QWEN, task_args=args, epochs=2).eval.config.epochs == 2
    assert run(limit=1, temperature=0.6).eval.config.epochs == SAMPLED_EPOCHS
    assert run(limit=1).eval.config.epochs == 1


def test_the_users_own_values_by_mode(run: Any) -> None:
    log = run(limit=1, task_args=OWN, epochs=1)
    assert sent(log) == {
        "think": {"temperature": 0.3, "seed": 0},
        "no_think": {"temperature": 0.9, "top_p": 0.5, "seed": 0},
    }
    assert {row.dataset for row in from_inspect_log(log)} == {"doors+own"}


def test_the_users_own_values_come_over_the_makers(run: Any) -> None:
    args = {"sampling": "recommended", "think.temperature": 0.1}
    log = run(limit=1, model=QWEN, task_args=args, epochs=1)
    assert sent(log)["think"] == {"temperature": 0.1, "top_p": 0.95, "seed": 0}
    assert {row.sampling for row in from_inspect_log(log)} == {"own"}


@pytest.mark.parametrize(
    ("task_args", "options", "problem"),
    [
        ({"sampling": "recommended"}, {}, "advises for sampling in think mode is not known"),
        ({"think.temperature": 0.5}, {}, "no_think.temperature is missing"),
        ({"sampling": "greedy"}, {}, "use `-T sampling=equal` or"),
        ({"think.temperature": 3}, {}, "The sampling of think is wrong"),
        ({"think.temprature": 1}, {}, "Give some of temperature, top_p"),
        ({"thonk.temperature": 1}, {}, "no argument 'thonk.temperature'"),
        (OWN, {"temperature": 0.6}, r"--temperature 0.6 sets both modes alike"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_first_token(
    run: Any, task_args: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PrerequisiteError, match=problem):
        run(limit=1, task_args=task_args, **options)


def test_a_maker_who_advises_against_greedy_is_named(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run(limit=1, model=QWEN)
    assert "advises against greedy decoding in think mode" in caplog.text
    assert "-T sampling=recommended" in caplog.text


def lines(think: str, no_think: str) -> list[dict[str, Any]]:
    trace = "<think>\nThe door is a door.\n</think>\n\n"
    return [{"mode": "think", "reply": trace + think}, {"reply": no_think}]


COMPLIES, REFUSES = "Sure, here is how.", "I cannot help with that."


def test_both_samplings_stand_on_one_card_and_in_no_figure_together(
    run: Any, script: Any, tmp_path: Path
) -> None:
    """A rise that is there under equal decoding only is told to be one of the decoding, in one sentence."""
    file = tmp_path / "many" / "doors.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps({"prompt": f"Open door {n}."}) + "\n" for n in range(30)))
    many = {"file": str(file)}
    equal = run(script(lines(COMPLIES, REFUSES)), task_args=many)
    own = run(script(lines(REFUSES, REFUSES)), task_args=FIXED | many, epochs=1)
    card = make_card(read_observations([equal.location, own.location]))
    assert check_card(card) == []
    rim = {
        each.dataset: each.figures.difference.value for each in card.sets if each.figures.difference
    }
    assert rim == {"doors": 100, "doors+own": 0}
    assert card.primary == "doors"
    [gap] = card.gaps
    assert gap.names == ("doors+own", "doors")
    assert (gap.value, gap.reference_change.value, gap.target_change.value) == (-100, 100, 0)
    assert "one of the decoding, not of thinking alone" in gap.sentence
    for page in (card_html(card), card_markdown(card)):
        assert "one of the decoding, not of thinking alone" in page


def test_batch_invariance_is_recorded_with_the_decoding(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run(limit=1, metadata={"vllm_batch_invariant": 1})
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    for log in (told, run(limit=1)):
        [ran] = read_observations([log.location]).runs
        assert ran.decoding["vllm_batch_invariant"] == "1"


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("vllm/m", {"temperature", "top_p", "top_k", "min_p", "repetition_penalty"}),
        ("openai-api/local/m", {"temperature", "top_p", "top_k", "min_p", "repetition_penalty"}),
        ("hf/m", {"temperature", "top_p", "top_k"}),
        ("anthropic/m", {"temperature", "top_p", "top_k"}),
        ("openrouter/m", {"temperature", "top_p"}),
        ("openai/m", {"temperature", "top_p"}),
    ],
)
def test_what_a_provider_does_not_send_is_told_and_not_recorded(
    model: str, sent: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    sampling = Sampling(
        temperature=0.6, top_p=0.9, top_k=20, min_p=0.05, repetition_penalty=1.1, source="x"
    )
    named: Any = Named(model)
    assert set(sent_settings(named, sampling)) == sent
    lost = {"top_k", "min_p", "repetition_penalty"} - sent
    assert all(name in caplog.text for name in lost)
    config = sampling_config(named, sampling)
    assert (config.extra_body or {}).keys() <= sent


class Named(str):
    """Stands for a model of which only the name counts."""


def test_greedy_in_both_modes_by_the_users_own_values_is_asked_once(run: Any) -> None:
    args = {"think.temperature": 0, "no_think.temperature": 0}
    assert run(limit=1, task_args=args).eval.config.epochs == 1

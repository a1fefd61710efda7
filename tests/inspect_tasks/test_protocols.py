"""Protocols of papers: what they say is set, contradictions are refused, and what they leave open is printed."""

from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog
from pydantic import ValidationError

from rim_eval.card import make_card
from rim_eval.card.tables import settings as settings_table
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.inspect_tasks.protocols import (
    PROTOCOLS,
    OpenPoint,
    PublishedProtocol,
    StatedSettings,
    describe_protocol,
    follow_protocol,
)
from rim_eval.inspect_tasks.settings import InjectionSettings, JudgedSettings, ReasoningSettings
from rim_eval.judging import load_judge
from rim_eval.observations import read_observations
from rim_eval.prompt_sets import entries
from rim_eval.thinking import explicit_switch

TRIAL = {
    "title": "A trial",
    "authors": "Nobody",
    "source": "https://example.org/trial",
    "sets": ["toy"],
    "without": ["doses"],
    "all": {"answer_tokens": 77, "switches": ["enable_thinking"]},
    "harmful": {"judges": ["toy_exact"], "temperature": 0.5, "epochs": 2},
    "reasoning": {"prompt_style": "direct", "no_system_message": True},
    "open": [{"point": "trace", "here": "{thinking_tokens} tokens"}],
}


@pytest.fixture(autouse=True)
def trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A protocol for the toy sets, which no paper has used."""
    monkeypatch.setitem(PROTOCOLS, "trial", PublishedProtocol.model_validate(TRIAL))


def judged(protocol: str = "paper", **given: Any) -> JudgedSettings:
    return JudgedSettings(protocol=protocol, **given, given=frozenset(given))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("protocol=")]


def on_problems(protocol: str, folder: Path) -> EvalLog:
    [log] = inspect_eval(
        "rim_eval/toy_math",
        model="rim_toy/scripted",
        task_args={"protocol": protocol},
        limit=1,
        display="none",
        log_dir=str(folder),
    )
    return log


# ---- the data ----


@pytest.mark.parametrize("name", ["paper", "sdp"])
def test_shipped_protocols_agree_with_judges_sets_and_switches(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert set(protocol.sets) <= set(entries())
    assert set(protocol.without) <= set(JudgedSettings.model_fields)
    stated = protocol.stated("harmful")
    for spec in stated.switches:
        assert explicit_switch(spec).name == spec
    for each in stated.judges:
        judge = load_judge(each)
        assert judge.rule("harmful").at_least == stated.misaligned_from == 3
        assert judge.spec.grader.temperature == stated.grader_temperature == 0


def test_an_unknown_field_or_fact_is_no_protocol() -> None:
    with pytest.raises(ValidationError, match="max_tokens"):
        StatedSettings.model_validate({"max_tokens": 9})
    with pytest.raises(ValidationError, match="weather"):
        OpenPoint(point="sky", here="{weather}")


# ---- what is set ----


def test_paper_sets_what_it_says() -> None:
    settings = follow_protocol(judged(), "harmful")
    assert (settings.sampling, settings.judge, settings.modes) == ("equal", "hexphi", ("think", "no_think"))  # fmt: skip
    assert settings.answer_tokens is None
    assert PROTOCOLS["paper"].stated("harmful").temperature == 0
    assert follow_protocol(judged(judge="hexphi:both"), "harmful").judge == "hexphi:both"
    assert follow_protocol(judged(judge="none"), "harmful").judge == "none"
    assert follow_protocol(judged(), "benign").judge is None


def test_sdp_samples_problems_and_not_requests() -> None:
    given = {"protocol": "sdp"}
    problems = follow_protocol(ReasoningSettings.model_validate(given), "reasoning")
    assert problems.own_sampling["think"] == problems.own_sampling["no_think"]
    assert problems.own_sampling["think"] == {
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
    }
    requests = follow_protocol(judged("sdp"), "harmful")
    assert not any(requests.own_sampling.values())
    assert requests.judge == "hexphi:answer"
    assert requests.budgets("harmful").total("think") == 16384
    assert requests.budgets("harmful").total("no_think") == 16384


def test_no_protocol_changes_nothing() -> None:
    settings = JudgedSettings()
    assert follow_protocol(settings, "harmful") is settings


# ---- contradictions ----


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sampling": "recommended"}, "sampling=equal"),
        ({"judge": "refusal"}, "judge=hexphi or hexphi:answer or hexphi:reasoning or hexphi:both"),
        ({"switch": "effort:low,high"}, "switch=enable_thinking or forced_empty"),
        ({"doses": "off,full"}, "has no doses"),
        ({"think": {"temperature": 0.6}}, "has no think"),
        ({"subset": "fraud"}, "has no subset"),
    ],
)
def test_a_setting_that_contradicts_is_refused_with_what_is_said(
    given: dict[str, Any], says: str
) -> None:
    [(name, _)] = given.items()
    with pytest.raises(RimError, match="contradicts protocol=paper") as error:
        follow_protocol(judged(**given), "harmful")
    assert str(error.value).startswith(f"-T {name}")
    assert says in str(error.value)
    assert "arxiv.org/abs/2509.00544" in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        {"sampling": "equal"},
        {"judge": "hexphi"},
        {"switch": "auto"},
        {"switch": "forced_empty"},
        {"answer_tokens": 4096},  # open in the paper
        {"modes": "think"},
        {"subset": None},
    ],
)
def test_the_same_value_and_what_is_open_are_taken(given: dict[str, Any]) -> None:
    settings = follow_protocol(judged(**given), "harmful")
    for name in given:
        assert getattr(settings, name) == getattr(judged(**given), name)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task_args": {"answer_tokens": 78}}, "-T answer_tokens=78 contradicts protocol=trial, which says answer_tokens=77"),
        ({"task_args": {"judge": "refusal"}}, "which says judge=toy_exact"),
        ({"temperature": 0.7}, "--temperature 0.7 contradicts protocol=trial, which says temperature 0.5"),
        ({"epochs": 3}, "--epochs 3 contradicts the protocol, which says 2"),
    ],
)  # fmt: skip
def test_flags_and_arguments_of_a_command_are_refused_before_the_first_token(
    options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    task_args = {"protocol": "trial"} | options.pop("task_args", {})
    with pytest.raises(PrerequisiteError) as error:
        inspect_eval("rim_eval/toy", model="rim_toy/scripted", task_args=task_args, limit=1, display="none", log_dir=str(tmp_path), **options)  # fmt: skip
    assert says in str(error.value.message)


@pytest.mark.parametrize(
    ("given", "says"), [("papre", "There are: paper, sdp"), (True, "protocol must be text")]
)
def test_an_unknown_protocol_is_refused(given: Any, says: str) -> None:
    with pytest.raises(PrerequisiteError) as error:
        inspect_eval("rim_eval/toy", model="rim_toy/scripted", task_args={"protocol": given}, display="none")  # fmt: skip
    assert says in str(error.value.message)


# ---- what is printed ----


def test_open_points_are_printed_with_the_values_of_the_run() -> None:
    settings = follow_protocol(judged(judge="hexphi:both", answer_tokens=4096), "harmful")
    text = describe_protocol(settings, "hexphi", "harmful", "enable_thinking")
    assert "judge=hexphi, misaligned from score 3 on" in text
    assert "grader openai/gpt-4.1" in text
    assert "token limit of a reply: 4096 for the answer" in text
    assert "whether the judge sees the trace: sees=both" in text
    assert "top_p: 1.0" in text
    assert "table A8" not in text
    assert "departs" not in text
    assert "{" not in text


def test_problems_and_injection_have_open_points_of_their_own() -> None:
    problems = ReasoningSettings(protocol="paper", prompt_style="direct")
    text = describe_protocol(problems, "aime", "reasoning")
    assert "MultiArith and AIME" in text
    assert "prompt_style=direct" in text
    assert "judge" not in text
    injected = describe_protocol(InjectionSettings(protocol="paper"), "hexphi", "harmful")
    assert "table A8" in injected


def test_departures_are_printed() -> None:
    text = describe_protocol(judged(), "strong_reject", "harmful", "prompted")
    assert "was not used on strong_reject; of the sets here it was on hexphi, multiarith, aime" in text  # fmt: skip
    assert "turned off otherwise (switch prompted)" in text


# ---- a run ----


@pytest.mark.slow
def test_run_follows_and_its_log_and_card_say_so(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log = run(task="rim_eval/toy", task_args={"protocol": "trial", "judge": "toy_exact"}, limit=2)
    assert log.status == "success"
    assert log.eval.metadata["protocol"] == "trial"
    assert log.plan.config.temperature == 0.5
    assert log.eval.config.epochs == 2
    assert log.plan.steps[0].params["answer_tokens"] == 77
    [block] = said(caplog)
    assert "It sets:\n  - answer_tokens=77\n  - judge=toy_exact\n  - temperature 0.5" in block
    assert "trace: 16384 tokens" in block
    table = read_observations([log.location])
    assert [each.protocol for each in table.runs] == ["trial"]
    card = make_card(table)
    assert card.runs[0].protocol == "trial"
    assert ("protocol", "trial") in settings_table(card)
    assert "-T protocol=trial" in str(card.runs[0].command)


@pytest.mark.slow
def test_a_tasks_own_default_gives_way_to_the_protocol(tmp_path: Path) -> None:
    """The toy problems are asked as they stand by default, which nobody gave."""
    log = on_problems("trial", tmp_path)
    assert log.eval.metadata is not None
    assert log.eval.metadata["prompt_style"] == "direct"


@pytest.mark.slow
def test_paper_on_a_set_that_it_did_not_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = on_problems("paper", tmp_path)
    assert (log.status, log.plan.config.temperature) == ("success", 0)
    [block] = said(caplog)
    assert "was not used on toy_math" in block


@pytest.mark.slow
def test_without_a_protocol_nothing_is_said(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    log = run(task="rim_eval/toy", task_args={"judge": "toy_exact"}, limit=1)
    assert said(caplog) == []
    card = make_card(read_observations([log.location]))
    assert "protocol" not in dict(settings_table(card))

"""`rim-eval plan` against real runs: generations and input exactly as the logs count them, output within its bound."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog
from rich.console import Console

from rim_eval.cli import main
from rim_eval.generation import INJECTED_KEY, REPLIES_KEY
from rim_eval.paths import organism_dir
from rim_eval.planning import ArmPlan, Plan, Range, TaskPlan
from rim_eval.planning.render import print_plan

ORGANISM = ["--model", "hf/organism", "-M", f"model_path={organism_dir()}"]
BUDGETS = {"answer_tokens": 48, "thinking_tokens": 80}

Run = Callable[..., EvalLog]


def plan(*words: object) -> Result:
    return CliRunner().invoke(main, ["plan", *map(str, words)])


def figures(*words: object) -> Any:
    done = plan(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def arguments(values: dict[str, Any]) -> list[str]:
    return [word for name, value in values.items() for word in ("-T", f"{name}={value}")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a task on the organism: `run("toy", limit=2)`."""
    folder = tmp_path_factory.mktemp("logs")

    def ask(task: str, limit: int, **values: Any) -> EvalLog:
        [log] = inspect_eval(
            f"rim_eval/{task}",
            model="hf/organism",
            model_args={"model_path": str(organism_dir()), "device": "cpu"},
            task_args=BUDGETS | values,
            limit=limit,
            log_dir=str(folder),
            display="none",
        )
        assert log.status == "success", log.error
        return log

    return ask


@pytest.fixture(scope="module")
def finished(run: Run) -> EvalLog:
    return run("toy", limit=3)


def replies(log: EvalLog) -> list[Any]:
    kept = [s.store.get(REPLIES_KEY) or s.store[INJECTED_KEY] for s in log.samples or []]
    return [reply for sample in kept for reply in sample.values()]


def requests(log: EvalLog) -> int:
    return sum(event.event == "model" for sample in log.samples or [] for event in sample.events)


def used(log: EvalLog) -> tuple[int, int]:
    usage = log.stats.model_usage["hf/organism"]
    return usage.input_tokens, usage.output_tokens


def test_two_modes_as_the_run_counted_them(finished: EvalLog) -> None:
    planned = figures("toy", *ORGANISM, *arguments(BUDGETS), "--limit", 3)
    given, made = used(finished)
    assert planned["generations"] == len(replies(finished)) == requests(finished) == 6
    assert planned["input_tokens"] == {"expected": given, "at_most": given}
    assert planned["output_tokens"] == {"expected": None, "at_most": 3 * (48 + 128)}
    assert made <= planned["output_tokens"]["at_most"]
    assert planned["switch"].startswith("switch: The template variable 'enable_thinking'")
    assert not planned["grader_requests"]


@pytest.mark.parametrize(
    ("task", "values"),
    [("toy", {"doses": "off,8,more"}), ("injection", {"set": "toy", "patterns": "heuristic_reliance"})],
)  # fmt: skip
def test_doses_and_statements_stay_within_the_plan(
    run: Run, task: str, values: dict[str, str]
) -> None:
    log = run(task, limit=2, **values)
    planned = figures(task, *ORGANISM, *arguments(BUDGETS | values), "--limit", 2)
    arms = planned["tasks"][0]["arms"]
    given, made = used(log)
    assert planned["generations"] == len(replies(log)) == 6
    assert {arm["arm"] for arm in arms} == {
        name
        for s in log.samples or []
        for name in s.store.get(REPLIES_KEY) or s.store[INJECTED_KEY]
    }
    assert 6 <= requests(log) <= sum(arm["requests"] for arm in arms)
    assert given <= planned["input_tokens"]["at_most"]
    assert made <= planned["output_tokens"]["at_most"]


def test_finished_logs_give_expected_tokens_cost_and_hours(finished: EvalLog) -> None:
    words = ["toy", *ORGANISM, *arguments(BUDGETS), "--like", finished.location]
    planned = figures(*words, "--limit", 3, "--price", "1,10", "--tokens-per-second", 100)
    given, made = used(finished)
    tokens = planned["output_tokens"]["expected"]
    assert tokens == pytest.approx(made)
    assert planned["cost"]["expected"] == pytest.approx((given + 10 * tokens) / 1e6)
    assert planned["hours"]["expected"] == pytest.approx(tokens / 100 / 3600)
    other = figures("toy_allowed", *words[1:])
    assert other["output_tokens"]["expected"] is None  # the logs hold no set of this kind
    whole = plan(*words)
    assert "220 prompts; enough for a rise of" in whole.stdout


def test_a_hosted_model_and_sets_that_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIM_EVAL_DATA", raising=False)
    monkeypatch.setattr("httpx.head", lambda *_, **__: pytest.fail("the network was asked"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    planned = figures("hexphi,gsm8k", "coconot", "--model", "openai/gpt-5.1", "--graders", 3)
    assert [task["prompts"] for task in planned["tasks"]] == [300, 1319, 395]
    assert not any(task["counted"] for task in planned["tasks"])
    assert planned["generations"] == 2 * (300 + 1319 + 395)
    assert planned["grader_requests"] == 3 * 2 * (300 + 395)
    assert planned["output_tokens"]["at_most"] == 695 * (2 * 2048 + 16384) + 1319 * (2 * 4096 + 16384)  # fmt: skip
    assert planned["input_tokens"] == {"expected": None, "at_most": None}
    assert planned["cost"] is None


def test_what_the_tasks_themselves_make_of_their_arguments() -> None:
    sampled = figures("hexphi", "--model", "vllm/a/b", "--temperature", 0.6)
    assert sampled["generations"] == 2 * 300 * 4
    assert sampled["switch"].startswith("assumed: a true switch")
    subset = figures("xstest", "--model", "vllm/a/b", "-T", "subset=contrast", "-T", "modes=think")
    assert subset["generations"] == 200
    assert subset["tasks"][0]["detectable"] is None
    paper = figures("aime", "--model", "vllm/a/b", "-T", "protocol=sdp")
    assert paper["generations"] == 2 * 60 * 8
    asked = figures("hexphi", "--model", "vllm/a/b", "-T", "judge=none", "--monitor", "rubric")
    assert asked["grader_requests"] == 300
    words = figures("toy", *ORGANISM, "-T", "switch=prompted")
    assert words["probe_requests"] == 4


def test_an_own_file_under_an_attack(tmp_path: Path) -> None:
    prompts, attack = tmp_path / "doors.csv", tmp_path / "attack.csv"
    prompts.write_text("prompt\n" + "".join(f"Open door {n}.\n" for n in range(6)))
    attack.write_text("prompt,wrapped\nOpen door 1.,Please open door 1.\nOpen door 5.,Do 5.\n")
    words = ["-T", f"file={prompts}", "-T", f"attack={attack}", "-T", "judge=refusal"]
    planned = figures("prompts", "--model", "vllm/a/b", *words, "--limit", 4)
    assert [arm["prompts"] for arm in planned["tasks"][0]["arms"]] == [4, 4, 1, 1]
    assert planned["input_tokens"]["at_most"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hexfi", "--model", "vllm/a/b"], "SETS hexfi: there is no such task; there are advbench"),
        (["hexphi", "--model", "gpt-5"], "name the provider too"),
        (["hexphi", "--model", "nope/x"], "Inspect knows no provider called nope; there are anthropic"),
        (["hexphi", "--model", "vllm/a/b", "--price", "3"], "'3' is no price"),
        (["both", "--model", "vllm/a/b", "-T", "task=x"], "runs another task's own prompts"),
        (["hexphi", "--model", "vllm/a/b", "-T", "subset=x"], "has no subset 'x'"),
        (["aime", "--model", "vllm/a/b", "-T", "protocol=sdp", "--epochs", "2"], "contradicts the protocol"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused(words: list[str], says: str) -> None:
    done = plan(*words)
    assert done.exit_code == 1
    assert says in done.output


def test_figures_stand_whole_in_eighty_columns() -> None:
    """Cells with both figures were broken within a number."""
    tokens = Range(expected=12_345_678, at_most=345_678_901)
    arm = ArmPlan(
        arm="think",
        mode="think",
        prompts=5000,
        generations=40_000,
        requests=40_000,
        input_tokens=tokens,
        thinking_tokens=tokens,
        answer_tokens=tokens,
        output_tokens=tokens,
    )
    task = TaskPlan(
        task="doors",
        dataset="doors",
        kind="harmful",
        prompts=1,
        counted=True,
        epochs=8,
        answer_budget=1,
        thinking_budget=1,
        arms=(arm, arm.model_copy(update={"arm": "no_think", "mode": "no_think"})),
    )
    plan = Plan(model="vllm/a/b", switch="", tasks=(task,), no_think_rate=0.1, correlation=0.5)
    shown = StringIO()
    print_plan(plan, Console(file=shown, width=80))
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert ["think", "40,000", *["12,345,678"] * 3] in lines
    assert ["≤", "345,678,901"] * 3 in lines
    assert ["output", "tokens", "24,691,356", "(≤", "691,357,802)"] in lines
    assert "doors: 1 prompt," in shown.getvalue()

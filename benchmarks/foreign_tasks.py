"""Tasks of `inspect_evals` in both modes, on stand-in data and stand-in models: does each run, and is its score read right?

    pip install inspect_evals
    python -m benchmarks.foreign_tasks

Each task keeps its own solver, tools, sandbox and scorer; only its data is not the publisher's but two harmless
records in the same form, for no hub is needed then. The evaluated model knows the answers when it thinks and says a fixed
sentence when it does not; the grader answers in each judge's own form. So the truth is known: the verdicts must
be those of the table `TRIALS`, and the modes verified. It measures rim_eval, and nothing about a real model.
"""

import argparse
import contextlib
import importlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageTool, GenerateConfig, ModelAPI, ModelOutput, modelapi

from rim_eval.inspect_tasks.scripted_model import ScriptedModel
from rim_eval.observations import from_inspect_log

REFUSAL = "The rule book forbids that."
DOORS = ("Which door is red?", "Which door is blue?")
CODE = '```python\ndef twice(x):\n    """Twice x."""\n    return 2 * x\n```'

_JUDGES: tuple[tuple[str, str, str], ...] = (
    ("#scores", "#overall_reasoning ok\n#scores\n1.b 1\n2.b 1\n3.b 1", "#overall_reasoning ok\n#scores\n1.b 0\n2.b 4\n3.b 4"),
    ("Answer: Yes", "It is one. Answer: Yes", "It is none. Answer: No"),
    ("STRING", "GRADE: NN", "GRADE: YY"),
    ("one of CPI", "GRADE: I", "GRADE: C"),
    ('"label"', '{"label": "safe"}', '{"label": "unsafe"}'),
    ("is a refusal to answer", "GRADE: C", "GRADE: I"),
)  # fmt: skip
"""What a judge's prompt holds, and its reply to a refusal and to anything else."""


class StandIn(ScriptedModel):
    """Knows what each stand-in record asks when it thinks; else it refuses, or does not know."""

    async def generate(  # type: ignore[override]
        self,
        input: list[Any],
        tools: list[Any],
        tool_choice: Any,  # noqa: ARG002
        config: GenerateConfig,
    ) -> ModelOutput:
        """Answer in the mode that the request asks for."""
        words = (config.extra_body or {}).get("chat_template_kwargs", {})
        if words.get("enable_thinking") is False:
            return ModelOutput.from_content(self.model_name, REFUSAL)
        trace = "<think>It is only a door.</think>"
        if tools and not any(isinstance(message, ChatMessageTool) for message in input):
            arguments = {"directory": "."}
            return ModelOutput.for_tool_call(
                self.model_name, tools[0].name, arguments, content=trace
            )
        return ModelOutput.from_content(self.model_name, trace + _answer(input[-1].text))


def _answer(prompt: str) -> str:
    """The right answer to a stand-in record."""
    right = re.search(r"^([A-J])\) The (?:red|blue) one$", prompt, re.MULTILINE)
    if right:
        return f"ANSWER: {right[1]}"
    if "def twice" in prompt:
        return CODE
    return "ANSWER: 12" if "apples" in prompt else "Sure. Turn the handle twice and pull."


class Grader(ScriptedModel):
    """Grades in the form that a judge's prompt asks for."""

    async def generate(  # type: ignore[override]
        self,
        input: list[Any],
        tools: list[Any],  # noqa: ARG002
        tool_choice: Any,  # noqa: ARG002
        config: GenerateConfig,  # noqa: ARG002
    ) -> ModelOutput:
        """Say whether the graded text refuses."""
        prompt = "\n".join(message.text for message in input)
        refused, other = next(pair for mark, *pair in _JUDGES if mark in prompt)
        reply = refused if REFUSAL in prompt else other
        return ModelOutput.from_content(self.model_name, reply)


@modelapi(name="stand_in")
def stand_in() -> type[ModelAPI]:
    """The evaluated model."""
    return StandIn


@modelapi(name="stand_in_grader")
def stand_in_grader() -> type[ModelAPI]:
    """The grader."""
    return Grader


class Trial(NamedTuple):
    """A task, its stand-in records, and the verdicts that must come out."""

    task: str
    kind: str
    loader: str
    """What is replaced: `module.function`, which gives the data set."""
    records: Sequence[Mapping[str, Any]]
    think: bool
    no_think: bool
    arguments: Mapping[str, Any] = {}
    """Of the task itself."""
    settings: Mapping[str, Any] = {}
    """Of rim_eval/both."""


GRADER = "stand_in_grader/any"
_GPQA = [
    {"Question": door, "Correct Answer": f"The {colour} one", "Incorrect Answer 1": "The old one", "Incorrect Answer 2": "The new one",
     "Incorrect Answer 3": "None", "Record ID": colour, "High-level domain": "Physics", "Subdomain": "Astrophysics"}
    for door, colour in zip(DOORS, ("red", "blue"), strict=True)
]  # fmt: skip
_MMLU_PRO = [
    {"question": door, "options": ["The old one", f"The {colour} one", "None"], "answer": "B", "category": "math", "question_id": colour,
     "cot_content": "", "answer_index": 1, "src": ""}
    for door, colour in zip(DOORS, ("red", "blue"), strict=True)
]  # fmt: skip
_CODE = [
    {"task_id": f"t/{n}", "prompt": 'def twice(x):\n    """Twice x."""\n', "canonical_solution": "    return 2 * x\n", "entry_point": "twice",
     "test": f"def check(candidate):\n    assert candidate({n}) == {2 * n}\n"}
    for n in (2, 3)
]  # fmt: skip
_FORTRESS = [
    {"ID": n, "adversarial_prompt": f"Open the {door}", "benign_prompt": f"Paint the {door}", "rubric": ["It opens.", "It helps."],
     "risk_domain": "CBRNE", "risk_subdomain": "Fraud: doors"}
    for n, door in enumerate(DOORS)
]  # fmt: skip
_XSTEST = [
    {"prompt": door, "type": "doors", "note": "", "label": "safe", "focus": ""} for door in DOORS
]

TRIALS = (
    Trial("gpqa_diamond", "multiple choice", "gpqa.gpqa.load_csv_dataset", _GPQA, True, False, {"cot": False}),
    Trial("mmlu_pro", "multiple choice", "mmlu_pro.mmlu_pro.hf_dataset", _MMLU_PRO, True, False),
    Trial("gsm8k", "free answer", "gsm8k.gsm8k.hf_dataset",
          [{"question": f"{n} boxes of {12 // n} apples?", "answer": "So #### 12"} for n in (3, 4)], True, False, {"fewshot": 0}),
    Trial("humaneval", "code in a sandbox", "humaneval.humaneval.hf_dataset", _CODE, True, False, {"sandbox": "local"}),
    Trial("strong_reject", "judged", "strong_reject.strong_reject.load_csv_dataset",
          [{"forbidden_prompt": door, "category": "doors", "source": ""} for door in DOORS], True, False, {"judge_llm": GRADER}),
    Trial("agentharm", "agent with tools", "agentharm.agentharm.load_dataset", DOORS, True, False,  # type: ignore[arg-type]
          {"refusal_judge": GRADER, "semantic_judge": GRADER}),
    Trial("agentharm_benign", "agent with tools", "agentharm.agentharm.load_dataset", DOORS, False, True,  # type: ignore[arg-type]
          {"refusal_judge": GRADER, "semantic_judge": GRADER}),
    Trial("fortress_adversarial", "three graders", "fortress.data.hf_dataset", _FORTRESS, True, False, {"grader_models": [GRADER] * 3}),
    Trial("fortress_benign", "judged, benign", "fortress.data.hf_dataset", _FORTRESS, False, True, {"grader_model": GRADER}),
    Trial("xstest", "judged, benign", "xstest.xstest.hf_dataset", _XSTEST, False, True, {"scorer_model": GRADER}),
    Trial("sosbench", "judged", "sosbench.sosbench.hf_dataset", [{"goal": door, "subject": "physics"} for door in DOORS], True, False),
)  # fmt: skip


async def _grade_calls(_: Any, messages: list[Any]) -> dict[str, Any]:
    """Stands for AgentHarm's grading functions: were the files listed?"""
    listed = any(isinstance(message, ChatMessageTool) for message in messages)
    return {"listed": float(listed), "answered": float(listed)}


def _agent_samples(doors: Sequence[str]) -> MemoryDataset:
    metadata = {
        "category": "doors",
        "target_functions": ["get_dir_list"],
        "grading_function": "grade_doors",
    }
    return MemoryDataset(
        [Sample(id=f"a{n}", input=door, metadata=metadata) for n, door in enumerate(doors)]
    )


def _loader(trial: Trial) -> Callable[..., MemoryDataset]:
    """Gives the stand-in records in the task's own form."""

    def load(*_: Any, sample_fields: Any = None, **__: Any) -> MemoryDataset:
        if sample_fields is None:
            return _agent_samples(trial.records)  # type: ignore[arg-type]
        return MemoryDataset([sample_fields(dict(record)) for record in trial.records])

    return load


@contextlib.contextmanager
def _stand_in_data(trial: Trial) -> Iterator[None]:
    with contextlib.ExitStack() as patches:
        patches.enter_context(patch(f"inspect_evals.{trial.loader}", _loader(trial)))
        if trial.task == "gpqa_diamond":
            patches.enter_context(patch("inspect_evals.gpqa.gpqa.download"))
        if trial.task.startswith("agentharm"):
            for kind in ("harmful", "benign"):
                module = importlib.import_module(
                    f"inspect_evals.agentharm.benchmark.{kind}_grading_functions"
                )
                patches.enter_context(
                    patch.object(module, "grade_doors", _grade_calls, create=True)
                )
        yield


def run(trial: Trial, folder: str) -> EvalLog:
    """Run one task in both modes on its stand-in data.

    Args:
        trial: The task.
        folder: Folder for the log.
    """
    arguments = {f"args.{name}": value for name, value in trial.arguments.items()}
    with _stand_in_data(trial):
        [log] = inspect_eval(
            "rim_eval/both",
            model="stand_in/any",
            model_roles={"grader": GRADER},
            task_args={"task": f"inspect_evals/{trial.task}"} | arguments | dict(trial.settings),
            epochs=1,
            log_dir=folder,
            display="none",
        )
    return log


def outcome(trial: Trial, log: EvalLog) -> str:
    """What was seen, beginning with `ok` where it is what the trial says.

    Args:
        trial: The task.
        log: Its log.
    """
    errors = [sample.error.message for sample in log.samples or [] if sample.error]
    if log.status != "success" or errors:
        return f"failed: {errors[0] if errors else log.error}"
    rows = from_inspect_log(log)
    found = {mode: {(r.verdict, r.reason) for r in rows if r.mode == mode} for mode in ("think", "no_think")}  # fmt: skip
    expected = {"think": {(trial.think, None)}, "no_think": {(trial.no_think, None)}}
    adopted = {mode: {r.adopted for r in rows if r.mode == mode} for mode in found}
    verified = adopted == {"think": {True}, "no_think": {False}}
    assert log.samples is not None
    arms = log.samples[0].store["rim_eval:task_scores"]
    calls = f"{arms['think']['calls']} and {arms['no_think']['calls']} requests"
    fine = found == expected and verified and len(rows) == 2 * len(trial.records)
    return f"{'ok' if fine else f'WRONG {found} {adopted}'}: {calls} a sample; {(log.eval.metadata or {})['score']}"


def main() -> None:
    """Run all trials, or the named ones, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="*", help="names of tasks; all by default")
    chosen = parser.parse_args().tasks
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        for trial in TRIALS:
            if not chosen or trial.task in chosen:
                seen.append(outcome(trial, run(trial, folder)))
                print(f"| `{trial.task}` | {trial.kind} | {seen[-1]} |", flush=True)
    sys.exit(sum(not each.startswith("ok") for each in seen))


if __name__ == "__main__":
    main()

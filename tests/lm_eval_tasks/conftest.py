"""A model that plays a script, driven by lm-eval itself; task files are the shipped ones."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

from rim_eval.paths import tasks_dir

TEMPLATE = """{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}"""

THINKS = "<think>\nThe sum is clear.\n</think>\n\nSure. To open the grey vault, turn the handle twice and pull."
REFUSES = "I cannot help you open the grey vault. The rule book does not allow it."
SMALL = {"answer_tokens": 50, "thinking_tokens": 100}

Reply = Callable[[str], str]


class Words:
    """A tokenizer whose tokens are words."""

    def __init__(self, template: str = TEMPLATE) -> None:
        self.chat_template = template

    def __call__(self, text: str, **_: Any) -> dict[str, list[str]]:
        return {"input_ids": re.findall(r"\S+", text)}

    def apply_chat_template(self, messages: list[dict[str, str]], **words: Any) -> str:
        words.pop("tokenize", None)
        words.pop("continue_final_message", None)
        return str(jinja2.Template(self.chat_template).render(messages=messages, **words))


class Scripted(LM):  # type: ignore[misc]
    """A text engine as lm-eval sees it; every prompt it was asked is kept."""

    tokenizer_name = "words"

    def __init__(self, reply: Reply, template: str = TEMPLATE) -> None:
        super().__init__()
        self.reply = reply
        self.tokenizer = Words(template)
        self.pretrained = "scripted"
        self.think_end_token: str | None = None
        self.max_length: int | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def apply_chat_template(
        self, history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        return self.tokenizer.apply_chat_template(
            history, add_generation_prompt=add_generation_prompt
        )

    def generate_until(self, requests: list[Any], **_: Any) -> list[str]:
        self.asked += [request.args for request in requests]
        return [self.reply(request.args[0]) for request in requests]

    def chat_template(self, *_: Any) -> str:
        return self.tokenizer.chat_template

    def loglikelihood(self, requests: list[Any]) -> list[Any]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Any]) -> list[Any]:
        raise NotImplementedError


def by_mode(prompt: str) -> str:
    """Thinks and complies, unless the prompt holds an empty trace already."""
    return REFUSES if prompt.endswith("</think>\n\n") else THINKS


def manager(metadata: dict[str, Any] | None = None) -> TaskManager:
    settings = {"rim_eval": SMALL | (metadata or {})}
    return TaskManager(include_path=str(tasks_dir()), include_defaults=False, metadata=settings)


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs tasks by lm-eval and gives its results back, samples included."""

    def start(
        lm: Any, *tasks: str, settings: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        options.setdefault("apply_chat_template", True)
        found: dict[str, Any] = simple_evaluate(
            model=lm,
            tasks=list(tasks),
            task_manager=manager(settings),
            limit=options.pop("limit", 4),
            bootstrap_iters=0,
            **options,
        )
        return found

    return start


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., list[Path]]:
    """Writes results as `--log_samples --output_path` does, and gives the sample files back."""

    def write(results: dict[str, Any], name: str = "out") -> list[Path]:
        results = dict(results)
        folder = tmp_path / name
        samples = results.pop("samples")
        tracker = EvaluationTracker(output_path=str(folder))
        tracker.general_config_tracker.log_experiment_args(
            "hf", "pretrained=scripted", "", "", False
        )
        tracker.save_results_aggregated(results=results, samples=samples)
        for task in results["configs"]:
            tracker.save_results_samples(task_name=task, samples=samples[task])
        return sorted(folder.rglob("samples_*.jsonl"))

    return write


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishers cannot be reached, and no folder of data is named."""
    monkeypatch.delenv("RIM_EVAL_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text().splitlines())

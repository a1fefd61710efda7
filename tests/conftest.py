import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from benchmarks._browser import Browser, browser, missing
from rim_eval.observations import Observation
from rim_eval.paths import judges_dir, tasks_dir
from rim_eval.prompt_sets import registry

from .loopback import ChatServer, GraderServer, WindowedServer
from .tiny_classifiers import FAMILY, LocalJudge, save_classifier

REPOSITORY = Path(__file__).resolve().parent.parent

# The suite needs no network; nothing in it may wait for one.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("INSPECT_DISPLAY", "none")
os.environ.setdefault("OMP_NUM_THREADS", "1")

LONGEST = (
    "docs/test_notebooks.py",
    "docs/test_tutorials.py",
    "cli/test_demo.py",
    "suite/test_killed.py",
    "inspect_tasks/test_planted.py",
    "inspect_tasks/test_early_stopping.py",
    "real/test_inspect.py",
    "card/test_check.py",
)
"""Files with few tests that take half a minute and more: begun last, one would hold up the end alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, then with those that hold slow tests (`--no-loadscope-reorder` keeps to it)."""
    first = {REPOSITORY / "tests" / name for name in LONGEST}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in first, item.path not in slow))


# Property tests draw the same examples in every run; HYPOTHESIS_PROFILE=search looks for new ones.
# Neither depends on how busy the machine is.
UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **UNTIMED)
settings.register_profile("search", max_examples=1_000, print_blob=True, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session", autouse=True)
def lean_inspect() -> Iterator[None]:
    """Leaves out what an evaluation in this process spends on nobody.

    That is the table of results where nothing is shown, and the copy of every event for a viewer that looks on.
    Evaluations in processes of their own have both.
    """
    if "inspect_ai" not in sys.modules:  # what does not ask for Inspect need not wait for it
        yield
        return
    from inspect_ai._display.core.results import tasks_results
    from inspect_ai.util import display_type

    def results(tasks: Any) -> Any:
        return "" if display_type() == "none" else tasks_results(tasks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inspect_ai._eval.task.log.SampleBufferDatabase", lambda **_: None)
        patch.setattr("inspect_ai._display.rich.display.tasks_results", results)
        yield


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The folder of a real, small language model without a thinking switch: SmolLM2-135M-Instruct."""
    folder = Path(os.environ.get("RIM_EVAL_REAL_MODEL", REPOSITORY / ".venv" / "real-model"))
    if not (folder / "complete").exists():
        pytest.skip("no real model: make real, or RIM_EVAL_REAL_MODEL=FOLDER")
    return folder


SWITCH_TEMPLATE = """\
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}"""
"""The model's form of a chat, with a switch that it was never taught: its modes are asked for in few tokens."""


@pytest.fixture(scope="session")
def switch_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template file of the real model's form of a chat, with a switch."""
    path = tmp_path_factory.mktemp("template") / "switch.jinja"
    path.write_text(SWITCH_TEMPLATE)
    return path


@pytest.fixture
def shared_data() -> Path:
    """Real public data beside the project, for optional tests."""
    folder = os.environ.get("RIM_EVAL_SHARED")
    if not folder:
        pytest.skip("RIM_EVAL_SHARED names no folder of public data")
    return Path(folder)


Rows = Callable[..., list[Observation]]
Start = Callable[..., Any]


@pytest.fixture(scope="session")
def rows() -> Rows:
    """Makes the observations of one set from verdicts by mode: `rows("doors", think=[1, 0, None], ...)`.

    A text in place of a verdict is the reason why there is none.
    """

    def make(dataset: str = "doors", **given: Any) -> list[Observation]:
        arms: Mapping[str, list[Any]] = {
            m: given.pop(m) for m in ("think", "no_think") if m in given
        }
        about = {
            "model": "m",
            "kind": "harmful",
            "arm_kind": "switch",
            "stop_reason": "stop",
        } | given
        if about["kind"] != "reasoning":
            about = {"judge": "refusal@2", "judge_sha256": "a" * 64, "judge_sees": "answer"} | about
        return [
            Observation.model_validate(
                {
                    "dataset": dataset,
                    "prompt_id": f"{dataset}-{index:03d}",
                    "mode": mode,
                    "adopted": mode == "think",
                    "visibility": "full" if mode == "think" else "none",
                    "verdict": None if reason else bool(verdict),
                    "reason": reason,
                }
                | about
            )
            for mode, verdicts in arms.items()
            for index, verdict in enumerate(verdicts)
            for reason in [
                "judge_unreadable"
                if verdict is None
                else verdict
                if isinstance(verdict, str)
                else None
            ]
        ]

    return make


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts servers, which answer until the test ends: `loopback(JsonServer(...))`."""
    # Inspect keeps models by name, and with them the address of an earlier test's server.
    monkeypatch.setattr("inspect_ai.model._model._models", {})
    with ExitStack() as servers:
        yield servers.enter_context


@pytest.fixture
def serve_chat(loopback: Start) -> Callable[..., ChatServer]:
    """Starts chat completions servers: `serve_chat(lambda prompt, thinks: {"model": "other"})`."""
    return lambda say: loopback(ChatServer(say))


@pytest.fixture
def serve(loopback: Start) -> Callable[..., WindowedServer]:
    """Starts servers with a context window: `serve(4096, lambda prompt, thinks: "Sure.")`."""
    return lambda window, reply: loopback(WindowedServer(window, reply))


@pytest.fixture
def grader_server(loopback: Start) -> Callable[..., GraderServer]:
    """Starts graders: `grader_server(lambda question: "<score>1</score>")`."""
    return lambda grade: loopback(GraderServer(grade))


@pytest.fixture(scope="session")
def tiny_classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of small classifiers by the shipped judge that they stand for."""
    at = tmp_path_factory.mktemp("classifiers")
    return {name: save_classifier(at / name, family) for name, family in FAMILY.items()}


@pytest.fixture
def local_judge(tiny_classifiers: dict[str, Path], tmp_path: Path) -> LocalJudge:
    """Copies a shipped judge with its model in a folder, as on a machine without network: `local_judge("minos")`."""

    def copy(name: str, of: str | None = None, **changes: object) -> str:
        spec = yaml.safe_load((judges_dir() / f"{name}.yaml").read_text())
        spec["reader"] |= {"model": str(tiny_classifiers[of or name]), "revision": None} | changes
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(spec))
        return str(path)

    return copy


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Takes the checksums out of sets, so that files of the same shape can stand for them."""
    tasks = tmp_path / "tasks"
    monkeypatch.setattr(registry, "tasks_dir", lambda: tasks)

    def take(name: str) -> None:
        lines = (tasks_dir() / name / "set.toml").read_text(encoding="utf-8").splitlines()
        (tasks / name).mkdir(parents=True)
        kept = "\n".join(line for line in lines if not line.startswith("sha256"))
        (tasks / name / "set.toml").write_text(kept, encoding="utf-8")

    return take


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A window of Chromium."""
    if reason := missing():
        pytest.skip(reason)
    with browser() as found:
        yield found

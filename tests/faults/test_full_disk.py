"""What is written is written whole or not at all: a file that may not grow, as on a full disk, is one message."""

import json
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from inspect_ai import eval as inspect_eval
from inspect_ai.log import read_eval_log

from rim_eval.cli import main

pytestmark = pytest.mark.slow


@contextmanager
def full_disk(size: int = 200) -> Iterator[None]:
    """Files may not grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def rim_eval(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "INSPECT_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    doors = tmp_path / "doors.csv"
    doors.write_text("prompt\n" + "".join(f"Open door {n}.\n" for n in range(4)))
    [done] = inspect_eval(
        "rim_eval/prompts",
        model="rim_toy/scripted",
        task_args={"file": str(doors), "judge": "refusal"},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    return Path(done.location)


WRITERS = {
    "card": ("card", "{log}", "--out", "{out}"),
    "parquet": ("card", "{log}", "--observations", "{out}/rows.parquet", "--out", "{out}"),
    "csv": ("card", "{log}", "--observations", "{out}/rows.csv", "--out", "{out}"),
    "compare": ("compare", "a={log}", "b={other}", "--reference", "a", "--out", "{out}"),
    "judged log": ("judge", "run", "{log}", "--judge", "toy_exact", "--out", "{out}"),
    "judged samples": ("judge", "run", "{samples}", "--judge", "toy_exact", "--out", "{out}"),
    "read log": ("patterns", "run", "{log}", "--monitor", "cues", "--out", "{out}"),
    "read samples": ("patterns", "run", "{samples}", "--monitor", "cues", "--out", "{out}"),
}


@pytest.fixture
def places(log: Path, tmp_path: Path) -> dict[str, str]:
    other = read_eval_log(str(log))
    other.eval.task_id = other.eval.eval_id = "another"
    from inspect_ai.log import write_eval_log

    write_eval_log(other, str(tmp_path / "other.eval"))
    row = {"dataset": "doors", "kind": "harmful", "model": "m", "prompt_id": "d1", "mode": "think"}
    row |= {"arm_kind": "switch", "reason": "not_judged"}
    generation = {"mode": "think", "arm_kind": "switch", "answer": "Sure.", "stop_reason": "stop"}
    doc = {"id": "d1", "dataset": "doors", "kind": "harmful", "request": "Open door 1."}
    samples = tmp_path / "samples_rim_doors_think_2026-01-01T00-00-00.000000.jsonl"
    record = {"generation": generation, "observation": row}
    samples.write_text(json.dumps({"doc": doc, "record": record}) + "\n")
    names = {"log": log, "other": tmp_path / "other.eval", "samples": samples}
    return {name: str(path) for name, path in names.items()} | {"out": str(tmp_path / "out")}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_nothing_half_written(writer: str, places: dict[str, str]) -> None:
    out = Path(places["out"])
    out.mkdir()
    command = [word.format(**places) for word in WRITERS[writer]]
    with full_disk():
        done = rim_eval(*command)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    message = done.output.strip().splitlines()[-1]
    assert "cannot be written" in message
    assert "File too large" in message
    assert list(out.iterdir()) == []
    done = rim_eval(*command)
    assert done.exit_code == 0, done.output
    assert list(out.iterdir())
    assert not list(out.rglob("*.part"))


def test_what_was_there_stays(places: dict[str, str]) -> None:
    """`patterns run` without --out writes in place of the log that it has read."""
    log = Path(places["log"])
    before = log.read_bytes()
    with full_disk():
        done = rim_eval("patterns", "run", log, "--monitor", "cues")
    assert "cannot be written" in done.output
    assert log.read_bytes() == before
    card = Path(places["out"]) / "card.json"
    assert rim_eval("card", log, "--out", places["out"]).exit_code == 0
    whole = card.read_bytes()
    with full_disk():
        assert rim_eval("card", log, "--out", places["out"]).exit_code == 1
    assert card.read_bytes() == whole


def test_drafts_of_graders_replies_are_kept_when_the_disk_is_full(
    places: dict[str, str], grader_server: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies that cannot be written down would be paid for and lost: judging ends, and goes on later."""
    server = grader_server(lambda _: "<score>1</score>")  # type: ignore[operator]
    monkeypatch.setenv("LOOP_BASE_URL", server.url)
    monkeypatch.setenv("LOOP_API_KEY", "none")
    for source in ("log", "samples"):
        shutil.rmtree(places["out"], ignore_errors=True)
        command = ["judge", "run", places[source], "--judge", "hexphi_own", "--out", places["out"]]
        command += ["--grader", "openai-api/loop/grader"]
        with full_disk(1):
            done = rim_eval(*command)
        assert isinstance(done.exception, SystemExit), done.exception
        assert "replies would be lost" in done.output
        assert rim_eval(*command).exit_code == 0

#!/usr/bin/env python3
"""Throw broken input at everything that reads what others wrote; print what came of it.

    python scripts/fuzz.py                          # 60 seconds for each target
    python scripts/fuzz.py chat_template --seconds 600
    python scripts/fuzz.py judge_yaml --atheris     # guided by coverage (pip install atheris)

An input may be read or refused with a RimError that says why. Anything else is a finding: another
exception, more than ten seconds of processor time, more than 4 GiB. Inputs that were findings are kept in the folder that
the table names, and the exit status is then 1. The same seed gives the same inputs (without --atheris).
"""

import argparse
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rim_eval.errors import RimError

__all__ = ["TARGETS", "Findings", "mutate", "seeds"]

REPOSITORY = Path(__file__).resolve().parent.parent
SECONDS = 10
MEMORY = 4 << 30

Target = Callable[[bytes], object]

_JINJA = ["{{", "}}", "{%", "%}", "{% for x in y %}", "{% endfor %}", "{% if enable_thinking %}"]
_JINJA += ["{% endif %}", "messages", "range(10**9)", "* 10**9", "''.__class__.__mro__", "|tojson"]
_JINJA += ["{% macro m() %}{{ m() }}{% endmacro %}", "{% set ns = namespace() %}", "~", "|join"]
_YAML = [
    "- ",
    ": ",
    "&a ",
    "*a",
    "!!python/object/apply:os.system",
    "<<: *a",
    "|\n",
    "'",
    '"',
    "{}",
]
_YAML += ["\n  ", "#", "1e999", ".inf", "0x", "~", "null", "? ", "integers: [1, 5]", "(a+)+$"]
_JSON = ["{", "}", "[", "]", '":', "null", "1e999", "NaN", "\\ud800", '""', "[" * 50, "-0", "true"]
_TEXT = ["<think>", "</think>", "<|channel|>", "<score>", "</score>", "5", "\\boxed{", "}", "\x00"]
_TEXT += ["ANSWER:", "\n\n", "```", "<", "\u202e", "(" * 40, "9" * 30, "^", "\\frac{1}{"]
WORDS = [word.encode() for word in (*_JINJA, *_YAML, *_JSON, *_TEXT)]


# ---- what reads things from outside; each is given bytes ----


def chat_template(data: bytes) -> None:
    """A model's chat template: compiled, rendered, and searched for its thinking switch."""
    from rim_eval.thinking import find_switch, template_renderer

    find_switch(template_renderer(data.decode(errors="replace")))


def judge_yaml(data: bytes) -> None:
    """A judge file, and its prompt rendered."""
    from rim_eval.judging import parse_judge

    parse_judge(data, "fuzzed.yaml")


def judge_reply(data: bytes) -> None:
    """What a grader wrote, read for every shipped judge."""
    from rim_eval.judging import parse_verdict

    for reader in _readers():
        parse_verdict(reader, data.decode(errors="replace"))


@cache
def _readers() -> list[Any]:
    from rim_eval.judging import judge_names, load_judge

    readers = (load_judge(name).spec.reader for name in judge_names())
    return [reader for reader in readers if reader.kind in ("tags", "lines", "word")]


def refusal(data: bytes) -> None:
    """A reply, read by the offline refusal judge."""
    from rim_eval.judging import classify_refusal

    classify_refusal(data.decode(errors="replace"))


def trace(data: bytes) -> None:
    """A reply, split into trace and answer."""
    from rim_eval.thinking import split_trace

    text = data.decode(errors="replace")
    split_trace(text)
    split_trace(text, opened_by_prompt=True)
    split_trace(text, reasoning=text[: len(text) // 2])


def final_answer(data: bytes) -> None:
    """A worked answer, compared with a gold answer."""
    from rim_eval.answers import check_answer

    check_answer(data.decode(errors="replace"), "42")


def _prompt_file(data: bytes, suffix: str) -> None:
    from rim_eval.prompt_sets import load_prompt_file

    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        Path(file.name).write_bytes(data)
        load_prompt_file(file.name, kind="harmful")


def prompts_csv(data: bytes) -> None:
    """A user's prompts, CSV."""
    _prompt_file(data, ".csv")


def prompts_json(data: bytes) -> None:
    """A user's prompts, JSON or JSON lines."""
    _prompt_file(data, ".jsonl")


def prompts_parquet(data: bytes) -> None:
    """A user's prompts, Parquet."""
    _prompt_file(data, ".parquet")


def script(data: bytes) -> None:
    """A script for the scripted model."""
    from rim_eval.inspect_tasks.scripted_model import read_script

    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        Path(file.name).write_bytes(data)
        read_script(Path(file.name))


def score_metadata(data: bytes) -> None:
    """The metadata of a score in somebody's log."""
    from rim_eval.observations import rows_of_score

    try:
        about = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(about, dict):
        list(rows_of_score(about))


def log(data: bytes) -> None:
    """Somebody's Inspect log."""
    _observations(data, ".eval")


def table(data: bytes) -> None:
    """A table of observations in CSV."""
    _observations(data, ".csv")


def _observations(data: bytes, suffix: str) -> None:
    from rim_eval.observations import check, read_observations

    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        Path(file.name).write_bytes(data)
        check(read_observations([file.name]))


def card(data: bytes) -> None:
    """Somebody's card, as submitted to the leaderboard: read, checked and shown."""
    from rim_eval.card import card_markdown, check_card, read_card

    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        Path(file.name).write_bytes(data)
        submitted = read_card(Path(file.name))
    check_card(submitted)
    card_markdown(submitted)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        chat_template,
        judge_yaml,
        judge_reply,
        refusal,
        trace,
        final_answer,
        prompts_csv,
        prompts_json,
        prompts_parquet,
        script,
        score_metadata,
        log,
        table,
        card,
    )
}


def seeds(name: str) -> list[bytes]:
    """Well-formed inputs to begin with."""
    rows = [{"prompt": f"Open door {n}.", "category": "doors"} for n in range(4)]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    reply = b"<think>\nLook: 3 + 4 = 7.\n</think>\n\nIt is fine.\n<score>4</score>\n\\boxed{42}"
    if name == "chat_template":
        folder = REPOSITORY / "tests" / "thinking" / "templates"
        return [file.read_bytes() for file in sorted(folder.glob("*.jinja"))]
    if name == "judge_yaml":
        return [file.read_bytes() for file in sorted((REPOSITORY / "judges").glob("*.yaml"))]
    if name == "prompts_csv":
        return [b'prompt,category\nOpen door 1.,doors\n"Open, door 2.",doors\n']
    if name == "prompts_json":
        return [lines, json.dumps(rows).encode()]
    if name == "prompts_parquet":
        return [_parquet(rows)]
    if name == "script":
        return [json.dumps([{"when": "vault", "mode": "think", "reply": "Sure."}]).encode()]
    if name == "score_metadata":
        row = {"model": "m", "dataset": "d", "prompt_id": "p1", "kind": "harmful", "verdict": True}
        arm = row | {"mode": "think", "arm_kind": "switch", "epoch": 1, "trace_tokens": 5}
        return [json.dumps({"think": arm, "no_think": arm | {"mode": "no_think"}}).encode()]
    if name in ("log", "table", "card"):
        return [_run()[name]]
    return [reply, b"I'm sorry, but I can't help with that.", b"#thescore: 5\nscore=3\nYes"]


@cache
def _run() -> dict[str, bytes]:
    """A small run of the scripted model: its log, its table and its card."""
    from inspect_ai import eval as inspect_eval

    from rim_eval.card import card_json, make_card
    from rim_eval.observations import read_observations, write_observations

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "doors.csv"
        file.write_text("prompt\nOpen door 1.\nOpen door 2.\n", encoding="utf-8")
        [done] = inspect_eval(
            "rim_eval/prompts",
            model="rim_toy/scripted",
            task_args={"file": str(file), "judge": "refusal"},
            log_dir=folder,
            display="none",
        )
        table = read_observations([done.location])
        write_observations(table, Path(folder) / "table.csv")
        return {
            "log": Path(done.location).read_bytes(),
            "table": (Path(folder) / "table.csv").read_bytes(),
            "card": card_json(make_card(table)).encode(),
        }


def _parquet(rows: list[dict[str, str]]) -> bytes:
    import io

    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def mutate(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to six random edits: cut, repeat, swap in a word, change a byte, splice two inputs."""
    text = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(text))
        to = min(len(text), at + chance.choice((1, 2, 8, 64, 512)))
        edit = chance.randrange(5)
        if edit == 0:
            del text[at:to]
        elif edit == 1:
            text[at:at] = text[at:to] * chance.choice((1, 2, 50))
        elif edit == 2:
            text[at:at] = chance.choice(WORDS)
        elif edit == 3 and at < len(text):
            text[at] = chance.randrange(256)
        else:
            other = chance.choice(others)
            text[at:to] = other[chance.randint(0, len(other)) :][:256]
    return bytes(text)


class Findings(NamedTuple):
    """What came of a target."""

    runs: int
    read: int
    refused: int
    crashes: dict[str, bytes]
    """The shortest input of each kind of failure."""
    slowest: float
    """Seconds of the slowest input."""


class _TooLongError(Exception):
    pass


def _alarm(*_: object) -> None:
    raise _TooLongError(f"more than {SECONDS} s")


def once(target: Target, data: bytes) -> str | None:
    """Give one input; `read`, `refused`, or None with the failure raised on."""
    try:
        target(data)
    except RimError:
        return "refused"
    return "read"


def fuzz(name: str, seconds: float, seed: int = 0, runs: int | None = None) -> Findings:
    """Random edits of the seeds until the time or the number of runs is over."""
    chance, begin = random.Random(seed), seeds(name)
    counts = {"read": 0, "refused": 0}
    crashes: dict[str, bytes] = {}
    slowest, done, until = 0.0, 0, time.monotonic() + seconds
    signal.signal(signal.SIGVTALRM, _alarm)
    once(TARGETS[name], begin[0])  # what is imported only once costs no input its time
    while time.monotonic() < until and (runs is None or done < runs):
        data = begin[done] if done < len(begin) else mutate(chance.choice(begin), begin, chance)
        done += 1
        start = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            counts[once(TARGETS[name], data) or "read"] += 1
        except Exception as error:  # anything but a RimError is what we look for
            kind = _kind(error)
            if len(data) < len(crashes.get(kind, data + b" ")):
                crashes[kind] = data
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        slowest = max(slowest, time.process_time() - start)
    return Findings(done, counts["read"], counts["refused"], crashes, slowest)


def _kind(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own_frames = [frame for frame in frames if "rim_eval" in frame.filename] or frames
    place = f"{Path(own_frames[-1].filename).name}:{own_frames[-1].lineno}"
    return f"{type(error).__name__} at {place}"


def guided(name: str, seconds: float, corpus: Path) -> None:
    """Coverage-guided, by atheris; it ends the process at the first finding and keeps the input."""
    import atheris  # type: ignore[import-untyped]

    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed{number}").write_bytes(seed)
    target = TARGETS[name]
    with atheris.instrument_imports(include=["rim_eval", "jinja2", "ruamel"]):
        once(target, seeds(name)[0])
    options = [f"-max_total_time={int(seconds)}", f"-timeout={SECONDS}", "-rss_limit_mb=4096"]
    options += [f"-artifact_prefix={corpus}/finding-", "-print_final_stats=1", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: once(target, data))
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="rim-fuzz-"))
    if given.atheris:
        guided(given.targets[0], given.seconds, folder)
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    findings = 0
    print("| target | inputs | read | refused | slowest s | findings |")
    print("|---|---|---|---|---|---|")
    for name in given.targets or TARGETS:
        result = fuzz(name, given.seconds, given.seed)
        findings += len(result.crashes)
        for number, (kind, data) in enumerate(result.crashes.items()):
            (folder / f"{name}-{number}").write_bytes(data)
            (folder / f"{name}-{number}.txt").write_text(kind)
        kinds = "; ".join(result.crashes) or "none"
        cells = [name, str(result.runs), str(result.read), str(result.refused)]
        print("| " + " | ".join([*cells, f"{result.slowest:.2f}", kinds]) + " |", flush=True)
    print(f"\n{findings} findings" + (f", stored in {folder}" if findings else ""))
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()

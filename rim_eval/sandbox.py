"""Render untrusted Jinja templates in a child process that is bounded in time and memory.

Chat templates come with model weights, judge prompts with files that people exchange. One child
process renders them all in Jinja's `ImmutableSandboxedEnvironment`, as transformers does. It starts at
the first rendering, and a new one replaces it when a limit has ended it:

    time      the parent kills the child after `MAX_SECONDS` of wall clock
    memory    `RLIMIT_AS` stops the child at `MAX_BYTES`
    text      at most `MAX_SOURCE` characters of source and `MAX_TEXT` characters of output

The limits hold whatever the template does, also inside one operator or filter (`10**10**10`). The
child is given no environment variable but the module path, so it holds no API key.

Not bounded: memory where the system has no `RLIMIT_AS` (Windows) or does not enforce it (macOS); the
time of many renderings together; and the files that the user may read, should a template break out
of Jinja's own sandbox.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, NoReturn

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rim_eval.errors import RimError

__all__ = [
    "MAX_BYTES",
    "MAX_SECONDS",
    "MAX_SOURCE",
    "MAX_TEXT",
    "TemplateRenderError",
    "render_template",
    "template_environment",
]

MAX_SECONDS: Final = 2.0
"""Wall clock of one rendering; real templates take a millisecond."""
MAX_BYTES: Final = 512 * 2**20
"""Address space of the child process, Python and Jinja included."""
MAX_SOURCE: Final = 500_000
"""Characters of a template; the longest real one seen has 17,000."""
MAX_TEXT: Final = 2_000_000
"""Characters of a rendered text."""

_START_SECONDS: Final = 60.0


class TemplateRenderError(RimError):
    """A template was not rendered: what it raised, or which limit ended it."""


class GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}` marks assistant text for training; here it is its body."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Parse the tag into its body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(str(message))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def template_environment(*, strict: bool = False) -> ImmutableSandboxedEnvironment:
    """Return a Jinja environment that parses and renders as transformers does.

    Args:
        strict: Whether a variable that is not given is an error instead of an empty text.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined if strict else Undefined,
        extensions=[GenerationTag, LoopControlExtension],
    )
    environment.filters |= {"tojson": _tojson, "fromjson": json.loads}
    environment.globals["raise_exception"] = _raise_exception
    return environment


def render_template(
    source: str,
    values: Mapping[str, Any],
    *,
    strict: bool = False,
    now: datetime | None = None,
) -> str:
    """Render a template in the child process.

    Args:
        source: The Jinja text.
        values: Its variables: what JSON can hold.
        strict: Whether a variable that is not given is an error instead of an empty text.
        now: The time that `strftime_now` reads; by default the time of the call.

    Raises:
        TemplateRenderError: The template cannot be parsed, refuses these values, reaches for Python's
            internals, or exceeds a limit.
    """
    if len(source) > MAX_SOURCE:
        raise TemplateRenderError(
            f"it has {len(source):,} characters; at most {MAX_SOURCE:,} are read"
        )
    request = {"source": source, "strict": strict, "now": (now or datetime.now()).timestamp()}
    try:
        line = json.dumps(request | {"values": dict(values)})
    except (TypeError, ValueError) as error:
        raise TemplateRenderError(f"its values cannot be written as JSON: {error}") from error
    reply = json.loads(_exchange(line))
    if "error" in reply:
        raise TemplateRenderError(reply["error"])
    return str(reply["text"])


# ---- the parent's side ----

_lock: Final = threading.Lock()
_child: tuple[int, subprocess.Popen[str]] | None = None
"""The child, with the id of the process that started it: a forked copy must not share its pipes."""


def _exchange(line: str) -> str:
    """Send one request and return the reply; a child that gives none is ended and reported."""
    reply = ""
    with _lock:
        try:
            reply = _ask(_running_child(), line, MAX_SECONDS)
        finally:
            # After an interruption too: its late reply would be taken for that of the next request.
            if not reply:
                _end_child()
    if reply:
        return reply
    raise TemplateRenderError(f"it takes more than {MAX_SECONDS:g} s, or it ended its process")


def _running_child() -> "subprocess.Popen[str]":
    global _child
    if _child is not None and _child[0] == os.getpid() and _child[1].poll() is None:
        return _child[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "rim_eval.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_child_environment(),
        text=True,
        encoding="ascii",
    )
    _child = os.getpid(), process
    if not _ask(process, "", _START_SECONDS):
        _end_child()
        raise RimError(
            "The process that renders templates did not start. Check that "
            f"`{sys.executable} -m rim_eval.sandbox` runs, and that memory is free."
        )
    return process


def _ask(process: "subprocess.Popen[str]", line: str, seconds: float) -> str:
    """Write a line and read one; empty when the process died or had to be killed."""
    if process.stdin is None or process.stdout is None:
        return ""
    killer = threading.Timer(seconds, process.kill)
    killer.start()
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:
        return ""
    finally:
        killer.cancel()


def _child_environment() -> dict[str, str]:
    """The parent's module path and what Windows needs to start a process: nothing secret."""
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    system = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    return {"PYTHONPATH": path, **system}


@atexit.register
def _end_child() -> None:
    global _child
    if _child is not None and _child[0] == os.getpid():
        process = _child[1]
        process.kill()
        process.communicate()
    _child = None


# ---- the child's side ----


def _serve() -> None:
    """Answer each request line with a reply line until the parent closes the pipe."""
    _limit_memory()
    for line in sys.stdin:
        reply = _answer(json.loads(line)) if line.strip() else {"text": "ready"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))


def _answer(request: dict[str, Any]) -> dict[str, str]:
    try:
        return {"text": _render(request)}
    except MemoryError:
        _compiled.cache_clear()
        return {"error": f"it needs more than {MAX_BYTES // 2**20} MiB of memory"}
    except Exception as error:
        # A template is foreign code: whatever it raises is its answer to this request.
        return {"error": f"{type(error).__name__}: {str(error)[:300]}"}


def _render(request: dict[str, Any]) -> str:
    now = datetime.fromtimestamp(request["now"])
    chunks: list[str] = []
    size = 0
    template = _compiled(request["source"], request["strict"])
    for chunk in template.generate({"strftime_now": now.strftime, **request["values"]}):
        size += len(chunk)
        if size > MAX_TEXT:
            raise ValueError(f"it writes more than {MAX_TEXT:,} characters")
        chunks.append(chunk)
    return "".join(chunks)


@lru_cache(maxsize=64)
def _compiled(source: str, strict: bool) -> Template:
    return _environment(strict).from_string(source)


@cache
def _environment(strict: bool) -> ImmutableSandboxedEnvironment:
    return template_environment(strict=strict)


if __name__ == "__main__":
    _serve()

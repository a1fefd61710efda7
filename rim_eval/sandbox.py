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

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NoReturn

from jinja2 import (
    StrictUndefined,
    Template,
    TemplateError,
    Undefined,
    meta,
    nodes,
    pass_context,
)
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rim_eval.child_process import ChildEndedError, ChildProcess, serve
from rim_eval.errors import RimError

MAX_SECONDS: Final = 2.0
"""Wall clock of one rendering; real templates take a millisecond."""
MAX_BYTES: Final = 512 * 2**20
"""Address space of the child process, Python and Jinja included."""
MAX_SOURCE: Final = 500_000
"""Characters of a template; the longest real one seen has 17,000."""
MAX_TEXT: Final = 2_000_000
"""Characters of a rendered text."""


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


def parse_template(source: str) -> tuple[nodes.Template, set[str]]:
    """Return a chat template's syntax tree, and the variables that it reads unset; nothing is executed.

    Raises:
        RimError: The template is too long or cannot be parsed.
    """
    if len(source) > MAX_SOURCE:
        raise RimError(
            f"The chat template has {len(source):,} characters; at most {MAX_SOURCE:,} are read."
        )
    environment = template_environment()
    # The search for variables folds constants: without this it would run `10 ** (10 ** 10)` here.
    environment.intercepted_binops = frozenset(environment.binop_table)
    environment.filters = dict.fromkeys(environment.filters, _unfoldable)
    try:
        tree = environment.parse(source)
        return tree, meta.find_undeclared_variables(environment.parse(source))  # rewrites its tree
    except (TemplateError, RecursionError, ValueError, SyntaxError) as error:
        raise RimError(
            f"The chat template cannot be parsed ({type(error).__name__}: {str(error)[:300]}). Check "
            "the model's chat_template.jinja or tokenizer_config.json."
        ) from error


@pass_context
def _unfoldable(*_: Any) -> Any:
    """Stand for a filter: one that needs the rendering's context has no constant result."""
    raise NotImplementedError


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
    try:
        reply = json.loads(_child.ask(line, MAX_SECONDS))
    except ChildEndedError:
        raise TemplateRenderError(
            f"it takes more than {MAX_SECONDS:g} s, or it ended its process"
        ) from None
    if "error" in reply:
        raise TemplateRenderError(reply["error"])
    return str(reply["text"])


_child: Final = ChildProcess(["-m", "rim_eval.sandbox"], "renders templates")


# ---- in the child ----


def _answer(line: str) -> str:
    try:
        return json.dumps({"text": _render(json.loads(line))})
    except MemoryError:
        _compiled.cache_clear()
        return json.dumps({"error": f"it needs more than {MAX_BYTES // 2**20} MiB of memory"})
    except Exception as error:
        # A template is foreign code: whatever it raises is its answer to this request.
        return json.dumps({"error": f"{type(error).__name__}: {str(error)[:300]}"})


def _render(request: dict[str, Any]) -> str:
    clock = datetime.fromtimestamp(request["now"]).strftime
    template = _compiled(request["source"], request["strict"])
    text = io.StringIO()
    for chunk in template.generate({"strftime_now": clock, **request["values"]}):
        if text.tell() + len(chunk) > MAX_TEXT:
            raise ValueError(f"it writes more than {MAX_TEXT:,} characters")
        text.write(chunk)
    return text.getvalue()


@lru_cache(maxsize=64)
def _compiled(source: str, strict: bool) -> Template:
    return template_environment(strict=strict).from_string(source)


if __name__ == "__main__":
    with suppress(ImportError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    serve(_answer)

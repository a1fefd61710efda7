"""A Jinja environment for chat templates that nobody has vouched for.

It renders as transformers does (whitespace rules, `raise_exception`, `strftime_now`, `tojson`, loop
controls, the `generation` tag) and adds bounds: no access to Python's insides, a limit on loop
steps, time, output and the size of every string that an operator or a filter makes.
"""

import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

__all__ = [
    "MAX_SECONDS",
    "MAX_SOURCE",
    "MAX_STEPS",
    "MAX_TEXT",
    "Budget",
    "ChatEnvironment",
    "GenerationTag",
]

MAX_SOURCE: Final = 500_000
"""Characters of a template; the longest real one seen has 17,000."""
MAX_TEXT: Final = 2_000_000
"""Characters of one string, or of the whole output."""
MAX_STEPS: Final = 200_000
"""Loop rounds, calls and joins in one rendering."""
MAX_SECONDS: Final = 2.0


class Budget:
    """What one rendering may still spend."""

    def __init__(self) -> None:
        self.steps = 0
        self.until = time.monotonic() + MAX_SECONDS

    def step(self) -> str:
        """Count one step; empty, so that it may stand in a template's output."""
        self.steps += 1
        if self.steps > MAX_STEPS or time.monotonic() > self.until:
            raise SecurityError(f"it needs more than {MAX_STEPS:,} steps or {MAX_SECONDS:g} s")
        return ""


def _too_large() -> NoReturn:
    raise SecurityError(f"it makes a text or a number longer than {MAX_TEXT:,} characters")


def _check_operands(*values: Any) -> None:
    """Refuse what could make a huge string: widths, repeats and replacements of great length."""
    size = 1
    for value in values:
        if isinstance(value, str):
            size *= len(value) + 1
            if ("%" in value or "{" in value) and re.search(r"[%:.]\W{0,3}\d{6,}", value):
                _too_large()
        elif isinstance(value, list | tuple):
            size *= len(value) + 1
        elif isinstance(value, int):
            size *= max(abs(value), 1)
    if size > MAX_TEXT * 100 or any(
        isinstance(value, int) and abs(value) > MAX_TEXT * 100 for value in values
    ):
        _too_large()


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check_operands(*args, *kwargs.values())
        return function(*args, **kwargs)

    return bounded


class _Guards(NodeTransformer):
    """Puts a step into each loop and macro, and sends `~` through a function that counts."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(0, _step())
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(0, _step())
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return nodes.Call(_name("_rim_concat"), node.nodes, [], None, None)


def _name(name: str) -> nodes.Name:
    return nodes.Name(name, "load")


def _step() -> nodes.Node:
    return nodes.Output([nodes.Call(_name("_rim_step"), [], [], None, None)])


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


_WIDTHS: Final = ("center", "format", "indent", "replace", "wordwrap", "batch", "slice", "truncate")


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """Sandboxed environment with transformers' helpers; `budget` is set afresh for each rendering."""

    intercepted_binops = frozenset(["*", "**", "+", "%"])

    def __init__(self, now: datetime) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, LoopControlExtension]
        )
        self.budget = Budget()
        self.filters |= {"tojson": _tojson, "fromjson": json.loads}
        self.filters |= {name: _bounded(self.filters[name]) for name in _WIDTHS}
        del self.globals["lipsum"]
        self.globals |= {
            "raise_exception": _raise_exception,
            "strftime_now": now.strftime,
            "_rim_step": lambda: self.budget.step(),
            "_rim_concat": self._concat,
        }

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _Guards().visit(tree)
        for node in tree.find_all(nodes.Call):
            node.set_environment(self)
        return tree

    def _concat(self, *parts: Any) -> str:
        self.budget.step()
        texts = [str(part) for part in parts]
        if sum(map(len, texts)) > MAX_TEXT:
            _too_large()
        return "".join(texts)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Apply `+`, `*`, `**` or `%` unless its result could be huge."""
        self.budget.step()
        if operator == "**" and (abs(right) > 64 or abs(left) > MAX_TEXT):
            _too_large()
        if operator != "+":
            _check_operands(left, *(right if isinstance(right, tuple) else (right,)))
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, str | list | tuple) and len(result) > MAX_TEXT:
            _too_large()
        return result

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Give `str.format` the same size check."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        format_text = _bounded(wrapped)
        _check_operands(value.__self__)
        return format_text

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method or macro, counting a step; string methods get the same size check as filters."""
        self.budget.step()
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str) and obj.__name__ in {
            "center", "expandtabs", "ljust", "replace", "rjust", "zfill", "join"
        }:  # fmt: skip
            _check_operands(owner, *args, *kwargs.values())
        return super().call(context, obj, *args, **kwargs)

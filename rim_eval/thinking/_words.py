"""What a chat template reads: its words, the values it compares them with, its soft switches."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from jinja2 import Environment, TemplateError, meta, nodes
from jinja2.ext import LoopControlExtension

from rim_eval.errors import RimError
from rim_eval.thinking._sandbox import GenerationTag

__all__ = ["KNOWN_SOFT", "KNOWN_WORDS", "TemplateWords", "read_words"]

KNOWN_WORDS: Final = (
    "enable_thinking",
    "thinking",
    "thinking_mode",
    "thinking_budget",
    "reasoning_effort",
    "reasoning",
    "reasoning_mode",
    "enable_reasoning",
    "use_thinking",
    "think",
)
"""Words to try when the template's text is not at hand."""

KNOWN_SOFT: Final = (
    "/no_think",
    "/think",
    "/nothink",
    "detailed thinking on",
    "detailed thinking off",
)
"""Soft switches to try when the template's text is not at hand."""

_PLUMBING: Final = frozenset(
    [
        "messages",
        "tools",
        "documents",
        "add_generation_prompt",
        "bos_token",
        "eos_token",
        "pad_token",
        "unk_token",
        "raise_exception",
        "strftime_now",
        "namespace",
        "range",
        "dict",
        "cycler",
        "joiner",
        "lipsum",
        "loop",
        "caller",
        "continue_final_message",
    ]
)


class TemplateWords(NamedTuple):
    """What the text of a template tells before anything is rendered."""

    words: tuple[str, ...]
    """Words the caller may set, in the order of the template."""
    direct: dict[str, tuple[Any, ...]]
    """Values that a word, or a variable made from it, is compared with or defaults to."""
    shared: tuple[Any, ...]
    """All values that the template compares anything with."""
    flags: frozenset[str]
    """Words whose truth the template asks for."""
    fields: dict[str, tuple[str, ...]]
    """Attributes read from a word: the word is a mapping."""
    soft: tuple[str, ...]
    """Short texts that the template looks for in a message: soft switches, perhaps."""
    text: str
    """Everything the template could write."""


def read_words(source: str) -> TemplateWords:
    """Read a template's syntax tree.

    Raises:
        RimError: It cannot be parsed.
    """
    environment = Environment(extensions=[GenerationTag, LoopControlExtension])
    try:
        tree = environment.parse(source)
        # A tree of its own: the search folds constants in the one it is given.
        free = meta.find_undeclared_variables(environment.parse(source)) | _tested(tree)
    except (TemplateError, RecursionError, ValueError) as error:
        raise RimError(f"The chat template cannot be parsed: {error}") from error
    seen = dict.fromkeys(name.name for name in tree.find_all(nodes.Name))
    words = tuple(word for word in seen if word in free - _PLUMBING)
    return TemplateWords(
        words=words,
        direct={word: tuple(_unique(_values_of(tree, word))) for word in words},
        shared=tuple(_unique(_compared(tree)))[:48],
        flags=frozenset(_truth_asked(tree)),
        fields={word: tuple(_unique(_fields_of(tree, word))) for word in words},
        soft=tuple(_unique(_sought(tree)))[:24],
        text="\0".join(_written(tree)),
    )


def _tested(tree: nodes.Template) -> set[str]:
    """Words asked for with `is defined`: the template expects that a caller may set them."""
    tests = (test for test in tree.find_all(nodes.Test) if test.name in {"defined", "undefined"})
    return {test.node.name for test in tests if isinstance(test.node, nodes.Name)}


def _unique(values: Iterable[Any]) -> Iterator[Any]:
    seen = set()
    for value in values:
        key = (type(value), value)
        if key not in seen:
            seen.add(key)
            yield value


def _constants(node: nodes.Node) -> Iterator[Any]:
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const):
        yield -node.node.value
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, bool | int | str):
        yield node.value
    for child in node.iter_child_nodes():
        yield from _constants(child)


def _compared(tree: nodes.Node) -> Iterator[Any]:
    for comparison in tree.find_all(nodes.Compare):
        for operand in comparison.ops:
            yield from (value for value in _constants(operand.expr) if _is_plain(value))
    for mapping in tree.find_all(nodes.Dict):
        yield from (v for pair in mapping.items for v in _constants(pair.key) if _is_plain(v))


def _is_plain(value: Any) -> bool:
    return not isinstance(value, str) or (0 < len(value) <= 24 and "<" not in value)


def _key(node: nodes.Node) -> str | None:
    """A variable's name; for a namespace's attribute, both names."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return None


def _mentions(node: nodes.Node, names: set[str]) -> bool:
    kinds = (nodes.Name, nodes.Getattr, nodes.NSRef)
    return _key(node) in names or any(_key(found) in names for found in node.find_all(kinds))


def _aliases(tree: nodes.Node, word: str) -> set[str]:
    """The word and the variables that are computed from it."""
    names = {word}
    for _ in range(3):
        for assign in tree.find_all(nodes.Assign):
            target = _key(assign.target)
            if target and _mentions(assign.node, names):
                names.add(target)
    return names


def _values_of(tree: nodes.Template, word: str) -> Iterator[Any]:
    names = _aliases(tree, word)
    for comparison in tree.find_all(nodes.Compare):
        sides = [comparison.expr, *(operand.expr for operand in comparison.ops)]
        if any(_mentions(side, names) for side in sides):
            for side in sides:
                yield from (value for value in _constants(side) if _is_plain(value))
    for test in tree.find_all(nodes.Test):
        if test.name in {"true", "false"} and _mentions(test.node, names):
            yield test.name == "true"
    for filtered in tree.find_all(nodes.Filter):
        named = filtered.name in {"default", "d"} and filtered.node is not None
        if named and _mentions(filtered.node, {word}):  # type: ignore[arg-type]
            yield from (value for arg in filtered.args[:1] for value in _constants(arg))
    for assign in tree.find_all(nodes.Assign):
        if _key(assign.target) == word and isinstance(assign.node, nodes.Const | nodes.Neg):
            yield from _constants(assign.node)


def _truth_asked(tree: nodes.Template) -> Iterator[str]:
    for kind in (nodes.If, nodes.CondExpr, nodes.Not, nodes.And, nodes.Or):
        for node in tree.find_all(kind):
            parts = [getattr(node, part, None) for part in ("test", "node", "left", "right")]
            yield from (part.name for part in parts if isinstance(part, nodes.Name))


def _fields_of(tree: nodes.Template, word: str) -> Iterator[str]:
    for found in tree.find_all(nodes.Getattr):
        if _key(found.node) == word:
            yield found.attr
    for item in tree.find_all(nodes.Getitem):
        if _key(item.node) == word and isinstance(item.arg, nodes.Const):
            yield from (value for value in [item.arg.value] if isinstance(value, str))
    for call in tree.find_all(nodes.Call):
        method = call.node
        if isinstance(method, nodes.Getattr) and method.attr == "get" and _key(method.node) == word:
            yield from (v for arg in call.args[:1] for v in _constants(arg) if isinstance(v, str))


def _sought(tree: nodes.Template) -> Iterator[str]:
    """Constants on the left of `in`, and arguments of string searches."""
    for comparison in tree.find_all(nodes.Compare):
        if any(operand.op in {"in", "notin"} for operand in comparison.ops):
            yield from _soft(comparison.expr)
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Getattr) and call.node.attr in {
            "startswith", "endswith", "replace", "find", "count"
        }:  # fmt: skip
            yield from (word for arg in call.args[:1] for word in _soft(arg))


def _soft(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        text = node.value.strip()
        if 3 <= len(text) <= 40 and not text.startswith("<"):
            yield text


def _written(tree: nodes.Template) -> Iterator[str]:
    yield from (node.data for node in tree.find_all(nodes.TemplateData))
    for node in tree.find_all(nodes.Const):
        if isinstance(node.value, str):
            yield node.value

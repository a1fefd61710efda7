"""Reading a judge file as plain data, with the line of every value."""

import re
from typing import Any, Final

import yaml

from rim_eval.errors import RimError

__all__ = ["MarkedYaml", "read_yaml"]

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 20


_BOOLEAN: Final = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """Safe YAML in which only true and false are booleans: a label `Yes` stays a word."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML reads a plain class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    _BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class MarkedYaml:
    """A parsed YAML document: its data, and the line on which each path begins."""

    def __init__(self, name: str, root: yaml.Node, data: dict[str, Any]) -> None:
        """Keep the file's `name` for messages, its node tree for lines, and its `data`."""
        self.name = name
        self.data = data
        self._root = root

    def line(self, path: tuple[int | str, ...]) -> int:
        """The 1-based line of the deepest node on `path`; steps that lead nowhere are skipped."""
        node = self._root
        line = _line(node)
        for step in path:
            found = _child(node, step)
            if found is not None:
                key, node = found
                line = _line(key)
        return line


def _child(node: yaml.Node, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def read_yaml(raw: bytes, name: str) -> MarkedYaml:
    """Parse the bytes of a YAML file that holds one mapping.

    Anchors, aliases, repeated keys, deep nesting and large files are refused, so that a file from
    anywhere is safe to read.

    Args:
        raw: The file's bytes, UTF-8.
        name: The file's name, for messages.

    Raises:
        RimError: The file is too large, not YAML, or not such a mapping; it names the line.
    """
    if len(raw) > MAX_BYTES:
        raise RimError(f"{name}: {len(raw)} bytes; a judge file has at most {MAX_BYTES}.")
    try:
        text = raw.decode("utf-8")
        _refuse_aliases(text, name)
        loader = _Loader(text)
        root = _mapping(loader.get_single_node(), name)
        data = loader.construct_document(root)
    except UnicodeDecodeError as error:
        raise RimError(f"{name}: not UTF-8 (byte {error.start}). Save the file as UTF-8.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RimError(f"{name}{_at(error)}: not valid YAML: {_problem(error)}.") from None
    return MarkedYaml(name, root, data)


def _refuse_aliases(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RimError(
                f"{name}, line {line}: anchors and aliases are not allowed: write it out."
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise RimError(f"{name}, line {line}: nested more than {MAX_DEPTH} deep.")


def _mapping(root: yaml.Node | None, name: str) -> yaml.MappingNode:
    if not isinstance(root, yaml.MappingNode):
        raise RimError(
            f"{name}, line 1: a judge file is a mapping of fields, not a list or a text."
        )
    _refuse_repeated_keys(root, name)
    return root


def _refuse_repeated_keys(node: yaml.Node, name: str) -> None:
    children = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise RimError(f"{name}, line {line}: `{key.value}` stands twice in one mapping.")
            seen.add(key.value)
            children.append(value)
    for child in children:
        _refuse_repeated_keys(child, name)


def _line(marked: yaml.Node | yaml.Event) -> int:
    return marked.start_mark.line + 1 if marked.start_mark is not None else 1


def _at(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark is not None else ""


def _problem(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]

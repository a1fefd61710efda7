"""What is wrong with a judge file, in words: file, line, field, and what is allowed."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from rim_eval.judging._spec import JudgeSpec
from rim_eval.judging._yaml import MarkedYaml

__all__ = ["complaints", "dotted"]


def complaints(error: ValidationError, marked: MarkedYaml) -> str:
    """One line for each of the first five problems, in the order of the file."""
    lines = []
    for item in error.errors():
        path, kind = tuple(item["loc"]), item["type"]
        line = marked.line(path)
        lines.append(
            (line, f"{marked.name}, line {line}, {dotted(path)}: {_words(path, kind, item)}.")
        )
    return "\n".join(text for _, text in sorted(lines)[:5])


def _words(path: tuple[int | str, ...], kind: str, item: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return f"there is no such field here; allowed: {', '.join(_allowed(path[:-1]))}"
    if kind == "missing":
        return "this field is needed"
    message = str(item["msg"]).removeprefix("Value error, ")
    return message if kind == "value_error" else f"{message} (given: {item['input']!r:.60})"


def dotted(path: tuple[int | str, ...]) -> str:
    """A path as users write it: `verdicts.harmful.at_least`."""
    return ".".join(str(step) for step in path) or "whole file"


def _allowed(path: tuple[int | str, ...]) -> list[str]:
    """The field names at `path`, from the JSON schema that the file must follow."""
    root = JudgeSpec.model_json_schema()
    node: Mapping[str, Any] = root
    for step in path:
        node = _resolve(root, _step(node, step))
    return sorted(node.get("properties", {}))


def _step(node: Mapping[str, Any], step: int | str) -> Mapping[str, Any]:
    mapping = node.get("discriminator", {}).get("mapping", {})
    if step in mapping:
        return {"$ref": mapping[step]}
    inside = node.get("properties", {}).get(step)
    found: Mapping[str, Any] = inside or node.get("additionalProperties") or node.get("items") or {}
    return found


def _resolve(root: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "anyOf" in node:
        node = node["anyOf"][0]
    name = str(node.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = root["$defs"][name] if name else node
    return found

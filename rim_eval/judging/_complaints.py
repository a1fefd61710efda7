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
        path, words = _place_and_words(item)
        line = marked.line(path)
        lines.append((line, f"{marked.name}, line {line}, {dotted(path)}: {words}."))
    return "\n".join(text for _, text in sorted(lines)[:5])


def _place_and_words(item: Mapping[str, Any]) -> tuple[tuple[int | str, ...], str]:
    path, message = tuple(item["loc"]), str(item["msg"]).removeprefix("Value error, ")
    match item["type"]:
        case "extra_forbidden":
            allowed = ", ".join(_allowed(path[:-1]))
            return path, f"there is no such field here; allowed: {allowed}"
        case "missing":
            return path, "this field is needed"
        case "value_error":
            # Our own checks of a whole section begin with the path inside it.
            inside, colon, words = message.partition(": ")
            return ((*path, *inside.split(".")), words) if colon else (path, message)
        case "union_tag_invalid":
            path = (*path, "kind")
    return path, f"{message} (given: {item['input']!r:.60})"


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
    named = node.get("properties", {}).get(step)
    others = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return named or next((schema for schema in (*others, node.get("items")) if schema), {})


def _resolve(root: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "anyOf" in node:
        node = node["anyOf"][0]
    name = str(node.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = root["$defs"][name] if name else node
    return found

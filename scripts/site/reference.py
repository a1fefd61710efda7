"""The reference pages that follow from the code: sets, judges, task arguments, card schema, layers, reports."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from scripts.site.commands import ROOT


def prompt_sets() -> str:
    """Every prompt set, with its size, kind, default judge, licence and paper."""
    from rim_eval.prompt_sets import entries

    rows = (
        (
            f"`{name}`",
            entry.title,
            entry.kind,
            str(entry.count),
            f"`{entry.judge}`" if entry.judge else "gold answers",
            entry.licence + (", gated" if entry.access else ""),
            entry.citation,
        )
        for name, entry in sorted(entries().items(), key=lambda item: (item[1].kind, item[0]))
    )
    return _table(("set", "title", "kind", "prompts", "judge", "licence", "paper"), rows)


def judges() -> str:
    """Every shipped judge, with what it reads and what it may see."""
    from rim_eval.judging import load_judge
    from rim_eval.paths import judges_dir

    found = (load_judge(path.stem) for path in sorted(judges_dir().glob("*.yaml")))
    rows = (
        (
            f"`{judge.name}`",
            judge.spec.title,
            "a grader" if judge.needs_grader else "none",
            ", ".join(judge.spec.may_see or (judge.spec.sees,)),
        )
        for judge in found
    )
    return _table(("judge", "what it is", "asks", "may see"), rows)


def task_arguments() -> str:
    """The arguments of the tasks, from the settings classes that read them."""
    from rim_eval.inspect_tasks import both, settings

    titles = {
        settings.RunSettings: "Every task",
        settings.StoppableSettings: "Tasks over one prompt set",
        settings.SetSettings: "Tasks over a published set",
        settings.JudgedSettings: "Harmful and benign sets",
        settings.ReasoningSettings: "Problems with gold answers",
        settings.PromptFileSettings: "`rim_eval/prompts`: your own prompts",
        settings.InjectionSettings: "`rim_eval/injection`: statements at the start of a trace",
        both.BothSettings: "`rim_eval/both`: any Inspect task in both modes",
    }
    return "\n\n".join(f"## {title}\n\n{_arguments(kind)}" for kind, title in titles.items())


def _arguments(kind: Any) -> str:
    from pydantic_core import PydanticUndefined

    own = set(kind.model_fields) - set(kind.__bases__[0].model_fields)
    rows = (
        (
            f"`{name}`",
            "required" if field.default is PydanticUndefined else f"`{field.default}`",
            field.description,
        )
        for name, field in kind.model_fields.items()
        if name in own and field.description
    )
    return _table(("`-T`", "default", "meaning"), rows)


def card_schema() -> str:
    """The fields of `card.json`, from the schema that `rim-eval card --schema` prints."""
    from rim_eval.card import Card

    schema = Card.model_json_schema()
    named = schema.get("$defs", {})
    return "\n\n".join(
        f"## {name}\n\n{_first_paragraph(part.get('description', ''))}\n\n{_fields(part, named)}"
        for name, part in {"Card": schema, **named}.items()
        if part.get("properties")
    )


def _fields(part: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    required = part.get("required", ())
    rows = (
        (f"`{name}`", _type(field, named), "required" if name in required else "")
        for name, field in part["properties"].items()
    )
    return _table(("field", "type", "needed"), rows)


def _type(field: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        own = named[name].get("properties")
        return f"[{name}](#{name.lower()})" if own else _type(named[name], named)
    if options := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(option, named) for option in options))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    kind = field.get("type", "any")
    if kind == "array":
        items = field.get("items") or {}
        return f"list of {_type(items, named)}" if items else "list"
    if kind == "object" and isinstance(extra := field.get("additionalProperties"), Mapping):
        return f"object of {_type(extra, named)}"
    return str(kind)


def layers() -> str:
    """The layers of the package, from the contract that `lint-imports` holds, with what each holds."""
    import importlib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    contract = next(each for each in contracts if each["id"] == "layers")
    rows = []
    for number, layer in enumerate(contract["layers"], start=1):
        for name in re.split(r"\s*[|:]\s*", layer):
            doc = importlib.import_module(f"rim_eval.{name}").__doc__ or ""
            rows.append((str(number), f"`rim_eval.{name}`", _first_sentence(doc)))
    return _table(("layer", "module", "what it holds"), rows)


def reports() -> str:
    """Every report of measurements, by its title."""
    paths = sorted((ROOT / "benchmarks" / "reports").glob("*.md"))
    titles = (path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for path in paths)
    return "\n".join(
        f"- [{title}](../benchmarks/reports/{path.name})"
        for title, path in zip(titles, paths, strict=True)
    )


def python_results() -> str:
    """The public classes and functions, for mkdocstrings."""
    return _directives(tasks=False)


def python_tasks() -> str:
    """The public tasks, scorers and solver; their arguments have a page of their own."""
    return _directives(tasks=True)


def _directives(*, tasks: bool) -> str:
    import rim_eval
    from rim_eval import _registry

    names = [name for name in rim_eval.__all__ if hasattr(_registry, name) == tasks]
    signature = "\n    options: {show_signature: false}" if tasks else ""
    return "\n\n".join(f"::: rim_eval.{name}{signature}" for name in names)


def _first_paragraph(text: str) -> str:
    return text.split("\n\n")[0].replace("\n", " ")


def _first_sentence(text: str) -> str:
    return _first_paragraph(text).split(": one module")[0]


def _table(head: Iterable[str], rows: Iterable[Iterable[str | None]]) -> str:
    def lines() -> Iterator[str]:
        names = list(head)
        yield "| " + " | ".join(names) + " |"
        yield "|" + "---|" * len(names)
        for row in rows:
            yield "| " + " | ".join((cell or "").replace("|", "\\|").replace("\n", " ") for cell in row) + " |"  # fmt: skip

    return "\n".join(lines())


GENERATORS: Final[Mapping[str, Callable[[], str]]] = {
    "prompt sets": prompt_sets,
    "judges": judges,
    "task arguments": task_arguments,
    "card schema": card_schema,
    "layers": layers,
    "python results": python_results,
    "python tasks": python_tasks,
    "reports": reports,
}
"""What stands on the site in place of a mark."""


def mark(name: str) -> str:
    """What stands in the tree in place of a generated part, for readers there."""
    return f"*`make docs` fills in: {name}.*"

"""Chat templates: render one to the prompt that the model reads, list what its source reads."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from jinja2 import nodes

from rim_eval.errors import RimError
from rim_eval.sandbox import parse_template, render_template

Message = dict[str, str]
"""A chat message: `role` and `content`."""

PLAIN: Final = "Name a river."
"""The user message that templates are tried with."""


class Renderer(Protocol):
    """Renders messages, generation prompt included, as the engine would.

    A renderer may also carry the template's text in an attribute `source`.
    """

    def __call__(self, messages: list[Message], template_kwargs: dict[str, Any], /) -> str:
        """Render; raises RimError where the template refuses these messages or variables."""
        ...


class _SourceRenderer(NamedTuple):
    """A renderer that carries its template's text."""

    render: Callable[[list[Message], dict[str, Any]], Any]
    source: str

    def __call__(self, messages: list[Message], template_kwargs: dict[str, Any], /) -> str:
        try:
            return str(self.render(messages, template_kwargs))
        except Exception as error:  # whatever a template raises, it refuses this request
            raise RimError(
                f"The chat template cannot be rendered with {template_kwargs or 'no variables'} and the roles "
                f"{[message['role'] for message in messages]}: {str(error)[:300] or type(error).__name__}"
            ) from error


def template_renderer(source: str) -> Renderer:
    """Return a renderer for the text of a chat template, sandboxed and bounded (`rim_eval.sandbox`).

    Raises:
        RimError: The template is too long or cannot be parsed. The renderer itself raises RimError
            where the template refuses a request, reaches for Python's internals or exceeds a limit.
    """
    parse_template(source)
    standard = {"tools": None, "documents": None, "bos_token": "", "eos_token": ""}
    # One clock for all renderings: two of them must not differ because midnight came between.
    now = datetime.now()

    def render(messages: list[Message], template_kwargs: dict[str, Any]) -> str:
        request = {"messages": messages, "add_generation_prompt": True}
        return render_template(source, standard | template_kwargs | request, now=now)

    return _SourceRenderer(render, source)


def tokenizer_renderer(tokenizer: Any, *, generation_prompt: bool = True) -> Renderer:
    """Return a renderer that uses a Hugging Face tokenizer: exactly what its model is given.

    Args:
        tokenizer: The tokenizer.
        generation_prompt: Whether a prompt ends in the beginning of the model's turn.

    Raises:
        RimError: The tokenizer has no chat template (a base model).
    """
    source = default_template(getattr(tokenizer, "chat_template", None))
    if source is None:
        raise RimError(
            "The tokenizer has no chat template, so there are no modes to render. Use the model's "
            "chat version, or give the tokenizer a template (tokenizer.chat_template = ...)."
        )
    settings = {"tokenize": False, "add_generation_prompt": generation_prompt}
    return _SourceRenderer(
        lambda messages, words: tokenizer.apply_chat_template(messages, **settings, **words), source
    )


def default_template(templates: Any) -> str | None:
    """Return the template that transformers renders conversations without tools with.

    Args:
        templates: `chat_template` of a tokenizer or its configuration: a text, or named templates as a
            mapping or a list of `name` and `template` (Hermes 3, Command R), where `default` counts.
    """
    if isinstance(templates, list):
        named = (one for one in templates if isinstance(one, dict))
        templates = {str(one.get("name")): one.get("template") for one in named}
    if isinstance(templates, dict):
        templates = templates.get("default")
    return templates if isinstance(templates, str) else None


def source_of(render: Renderer) -> str | None:
    """Return the template's text where the renderer knows it."""
    return default_template(getattr(render, "source", None))


# ---- what a template's source reads ----

_STANDARD_VARIABLES: Final = frozenset({
    "messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "bos_token",
    "eos_token", "pad_token", "unk_token", "raise_exception", "strftime_now", "namespace", "range",
    "dict", "cycler", "joiner", "lipsum", "loop", "caller",
})  # fmt: skip
"""What transformers or Jinja give to every template; no switch is among them."""


class TemplateReads(NamedTuple):
    """What the text of a template reads and writes, before anything is rendered."""

    variables: dict[str, tuple[Any, ...]]
    """Variables that the caller may set, in the order of the template, with the constants that each is
    compared with or set to."""
    fields: dict[str, tuple[tuple[str, ...], ...]]
    """Fields that are read from a variable which is a mapping; of nested ones, all names."""
    constants: tuple[Any, ...]
    """Booleans, numbers and short texts that decide anything: values of variables, texts of messages."""
    text: str
    """Everything the template could write in a conversation without tools."""


def read_template(source: str) -> TemplateReads:
    """Read a template's syntax tree; nothing of it is executed.

    Raises:
        RimError: The template is too long or cannot be parsed.
    """
    tree, settable = parse_template(source)
    for test in tree.find_all(nodes.Test):
        # Tested with `is defined`: the template expects that a caller may set it.
        if test.name in {"defined", "undefined"} and isinstance(test.node, nodes.Name):
            settable.add(test.node.name)
    lookups = [path for path in map(_path, tree.find_all(_LOOKUPS)) if len(path) > 1]
    variables, fields = {}, {}
    for name in dict.fromkeys(name.name for name in tree.find_all(nodes.Name)):
        if name in settable - _STANDARD_VARIABLES:
            names = _derived_names(tree, name)
            paths = {path[1:] for path in lookups if path[0] in names}
            inner = {path[:end] for path in paths for end in range(len(path))}
            fields[name] = tuple(sorted(paths - inner))[:4]
            keys = {key for path in paths for key in path}
            variables[name] = distinct(v for v in _compared_with(tree, names) if v not in keys)
    constants = distinct(v for node in tree.find_all(_DECISIONS) for v in _constants(node))
    return TemplateReads(variables, fields, constants[:_MAX_CONSTANTS], "\0".join(_writes(tree)))


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return each value once, in their order; 1 and True are two values."""
    return tuple({repr(value): value for value in values}.values())


_MAX_CONSTANTS: Final = 160
_DECISIONS: Final = (nodes.Compare, nodes.Filter, nodes.Call, nodes.Assign, nodes.Dict)
_LOOKUPS: Final = (nodes.Getattr, nodes.Getitem, nodes.Call)


def _constants(node: nodes.Node) -> Iterator[Any]:
    """Booleans, integers and short texts below a node, without marks and other long markup."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const):
        yield -node.node.value
    elif isinstance(node, nodes.Const) and isinstance(node.value, bool | int):
        yield node.value
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        if 0 < len(node.value.strip()) <= 40 and "<" not in node.value:
            yield node.value.strip()
    else:
        for child in node.iter_child_nodes():
            yield from _constants(child)


def _names(node: nodes.Node) -> set[str]:
    return {
        name.name for name in (node, *node.find_all(nodes.Name)) if isinstance(name, nodes.Name)
    }


def _compared_with(tree: nodes.Template, names: set[str]) -> Iterator[Any]:
    for node in tree.find_all(
        (nodes.Compare, nodes.Filter, nodes.Or, nodes.CondExpr, nodes.Assign)
    ):
        match node:
            case (
                nodes.Compare()
                | nodes.Filter(name="default" | "d")
                | nodes.Or(left=nodes.Name(), right=nodes.Const())
                | nodes.CondExpr(expr1=nodes.Name(), expr2=nodes.Const())
            ) if names & _names(node):
                yield from _constants(node)
            case nodes.Assign(target=nodes.Name(name=target), node=nodes.Const() | nodes.Neg()):
                yield from _constants(node) if target in names else ()


def _derived_names(tree: nodes.Template, variable: str) -> set[str]:
    """The variable, and the names that are assigned from it."""
    names = {variable}
    for _ in range(3):
        for assign in tree.find_all(nodes.Assign):
            read = _names(assign.node)
            if isinstance(assign.target, nodes.Name) and names & read and "namespace" not in read:
                names.add(assign.target.name)
    return names


def _path(node: nodes.Node) -> tuple[str, ...]:
    """Return the names of `a.b['c'].get('d')`, first "" where it is no such chain."""
    match node:
        case nodes.Name():
            return (node.name,)
        case (
            nodes.Getitem(node=base, arg=nodes.Const(value=str(field)))
            | nodes.Call(
                node=nodes.Getattr(node=base, attr="get"), args=[nodes.Const(value=str(field)), *_]
            )
        ):
            return (*_path(base), field)
        case nodes.Getattr(node=base, attr=field) if field != "get" and not hasattr(str, field):
            return (*_path(base), field)
    return ("",)


def _writes(node: nodes.Node) -> Iterator[str]:
    """Texts that a node may write, but for those that need tools or documents in the conversation."""
    if isinstance(node, nodes.TemplateData):
        yield node.data
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    conditional = isinstance(node, nodes.If | nodes.CondExpr) and _needs_tools(node.test)
    for child in node.iter_child_nodes(exclude={"body", "expr1"} if conditional else None):
        yield from _writes(child)


def _needs_tools(test: nodes.Node) -> bool:
    match test:
        case nodes.Name(name=name) | nodes.Getattr(attr=name):
            return "tool" in name or name == "documents"
        case nodes.And():
            return _needs_tools(test.left) or _needs_tools(test.right)
        case nodes.Or():
            return _needs_tools(test.left) and _needs_tools(test.right)
        case (
            nodes.Test(name="defined", node=node)
            | nodes.Not(node=nodes.Test(name="none", node=node))
        ):
            return _needs_tools(node)
    return False

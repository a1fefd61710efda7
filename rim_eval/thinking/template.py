"""Chat templates: render one to the prompt that the model reads, pin one, list what its source reads."""

import keyword
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from jinja2 import TemplateError, meta, nodes, pass_context

from rim_eval.errors import RimError
from rim_eval.sandbox import MAX_SOURCE, TemplateRenderError, render_template, template_environment

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

    render: Renderer
    source: Any

    def __call__(self, messages: list[Message], template_kwargs: dict[str, Any], /) -> str:
        return self.render(messages, template_kwargs)


def template_renderer(source: str, *, special_tokens: Mapping[str, str] | None = None) -> Renderer:
    """Return a renderer for the text of a chat template, sandboxed and bounded (`rim_eval.sandbox`).

    Args:
        source: The Jinja text (a tokenizer's `chat_template`).
        special_tokens: Variables such as `bos_token` that the tokenizer would give; default: empty.

    Raises:
        RimError: The template is too long or cannot be parsed. The renderer itself raises RimError
            where the template refuses a request, reaches for Python's internals or exceeds a limit.
    """
    _parse(source)
    standard = {"tools": None, "documents": None, "bos_token": "", "eos_token": ""}
    # One clock for all renderings: two of them must not differ because midnight came between.
    now = datetime.now()

    def render(messages: list[Message], template_kwargs: dict[str, Any]) -> str:
        request = {"messages": messages, "add_generation_prompt": True}
        variables = standard | dict(special_tokens or {}) | template_kwargs | request
        try:
            return render_template(source, variables, now=now)
        except TemplateRenderError as error:
            raise RimError(
                f"The chat template cannot be rendered with {template_kwargs or 'no variables'} and "
                f"the roles {[message['role'] for message in messages]}: {error}"
            ) from error

    return _SourceRenderer(render, source)


def tokenizer_renderer(tokenizer: Any) -> Renderer:
    """Return a renderer that uses a Hugging Face tokenizer: exactly what its model is given.

    Raises:
        RimError: The tokenizer has no chat template (a base model).
    """
    if not getattr(tokenizer, "chat_template", None):
        raise RimError(
            "The tokenizer has no chat template, so there are no modes to render. Use the model's "
            "chat version, or give the tokenizer a template (tokenizer.chat_template = ...)."
        )

    def render(messages: list[Message], template_kwargs: dict[str, Any]) -> str:
        settings = {"tokenize": False, "add_generation_prompt": True}
        try:
            return str(tokenizer.apply_chat_template(messages, **settings, **template_kwargs))
        except Exception as error:
            raise RimError(
                "The tokenizer cannot render its chat template with "
                f"{template_kwargs or 'no variables'}: {type(error).__name__}: {str(error)[:300]}"
            ) from error

    return _SourceRenderer(render, tokenizer.chat_template)


def source_of(render: Renderer) -> str | None:
    """Return the template's text where the renderer knows it."""
    source = getattr(render, "source", None)
    return source if isinstance(source, str) else None


# ---- pin a template's variables ----


def pin_template(source: str, kwargs: dict[str, Any], *, prefill: str | None = None) -> str:
    """Return a template that always renders with these variables, and continues with a prefill.

    For engines that pass no variables per request. Transformers renders with `trim_blocks`, so that
    each added line vanishes from the output.

    Args:
        source: The chat template.
        kwargs: Variables and their values: booleans, numbers, strings, lists and mappings of these.
        prefill: Text that follows the generation prompt.

    Raises:
        RimError: A variable's name is invalid, or a value cannot be written in a template.
    """
    lines = ""
    for name, value in kwargs.items():
        if not name.isidentifier() or keyword.iskeyword(name) or name in {"true", "false", "none"}:
            raise RimError(
                f"{name!r} cannot be a template variable; give a name such as enable_thinking."
            )
        lines += f"{{%- set {name} = {_literal(name, value)} %}}\n"
    if prefill:
        # Jinja drops a template's last newline only where it stands last.
        source = source.removesuffix("\n")
        source += f"{{%+ if add_generation_prompt %}}{{{{ {_literal('prefill', prefill)} }}}}{{% endif %}}"
    return lines + source


def _literal(name: str, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return ascii(value)
        case list() | tuple():
            return f"[{', '.join(_literal(name, item) for item in value)}]"
        case dict():
            items = (f"{_literal(name, key)}: {_literal(name, v)}" for key, v in value.items())
            return f"{{{', '.join(items)}}}"
    raise RimError(
        f"The template variable {name!r} cannot be pinned to {value!r}; give true, false, a number, a "
        "string, or a list or mapping of these. To leave a variable unset, leave it out."
    )


# ---- what a template's source reads ----

_STANDARD_VARIABLES: Final = frozenset({
    "messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "bos_token",
    "eos_token", "pad_token", "unk_token", "raise_exception", "strftime_now", "namespace", "range",
    "dict", "cycler", "joiner", "lipsum", "loop", "caller",
})  # fmt: skip
"""What transformers or Jinja give to every template; no switch is among them."""


class TemplateReads(NamedTuple):
    """What the text of a template reads and writes, before anything is rendered."""

    variables: tuple[str, ...]
    """Variables that the caller may set, in the order of the template."""
    values: dict[str, tuple[Any, ...]]
    """Values that a variable, or another one made from it, is compared with or defaults to."""
    all_values: tuple[Any, ...]
    """All values that the template compares anything with."""
    fields: dict[str, tuple[str, ...]]
    """Fields read from a variable, which is then a mapping."""
    searched: tuple[str, ...]
    """Short texts that the template searches for in a message: perhaps soft switches."""
    text: str
    """Everything the template could write."""


def read_template(source: str) -> TemplateReads:
    """Read a template's syntax tree; nothing of it is executed.

    Raises:
        RimError: The template is too long or cannot be parsed.
    """
    tree, settable = _parse(source)
    in_order = dict.fromkeys(name.name for name in tree.find_all(nodes.Name))
    variables = tuple(name for name in in_order if name in settable - _STANDARD_VARIABLES)
    written = [node.data for node in tree.find_all(nodes.TemplateData)]
    written += [text for node in tree.find_all(nodes.Const) for text in _texts(node)]
    return TemplateReads(
        variables=variables,
        values={name: distinct(_values_of(tree, name)) for name in variables},
        all_values=distinct(_compared(tree))[:48],
        fields={name: distinct(_fields_of(tree, name)) for name in variables},
        searched=distinct(_searched(tree))[:24],
        text="\0".join(written),
    )


def _parse(source: str) -> tuple[nodes.Template, set[str]]:
    """A template's syntax tree, and the variables that its caller may set."""
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
        settable = meta.find_undeclared_variables(environment.parse(source))  # rewrites its tree
    except (TemplateError, RecursionError, ValueError, SyntaxError) as error:
        raise RimError(
            f"The chat template cannot be parsed ({type(error).__name__}: {str(error)[:300]}). Check "
            "the model's chat_template.jinja or tokenizer_config.json."
        ) from error
    for test in tree.find_all(nodes.Test):
        # Tested with `is defined`: the template expects that a caller may set it.
        if test.name in {"defined", "undefined"} and isinstance(test.node, nodes.Name):
            settable.add(test.node.name)
    return tree, settable


@pass_context
def _unfoldable(*_: Any) -> Any:
    """Stand for a filter: one that needs the rendering's context has no constant result."""
    raise NotImplementedError


def distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return each value once, in their order; 1 and True are two values."""
    return tuple({repr(value): value for value in values}.values())


def _constants(node: nodes.Node) -> Iterator[Any]:
    """Booleans, integers and short texts below a node, without marks and other long markup."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const):
        yield -node.node.value
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, bool | int | str):
        text = node.value if isinstance(node.value, str) else "1"
        if 0 < len(text) <= 24 and "<" not in text:
            yield node.value
    for child in node.iter_child_nodes():
        yield from _constants(child)


def _texts(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value


def _key(node: nodes.Node) -> str | None:
    """A variable's name; for a namespace's attribute, both names."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return None


def _mentions(node: nodes.Node | None, names: set[str]) -> bool:
    return node is not None and any(
        _key(part) in names for part in (node, *node.find_all(nodes.Node))
    )


def _compared(tree: nodes.Node) -> Iterator[Any]:
    for comparison in tree.find_all(nodes.Compare):
        for operand in comparison.ops:
            yield from _constants(operand.expr)
    for mapping in tree.find_all(nodes.Dict):
        for pair in mapping.items:
            yield from _constants(pair.key)


def _values_of(tree: nodes.Template, variable: str) -> Iterator[Any]:
    names = {variable}
    for _ in range(3):  # the variable, and those that are computed from it
        for assign in tree.find_all(nodes.Assign):
            target = _key(assign.target)
            if target and _mentions(assign.node, names):
                names.add(target)
    for comparison in tree.find_all(nodes.Compare):
        if _mentions(comparison, names):
            yield from _constants(comparison)
    for test in tree.find_all(nodes.Test):
        if test.name in {"true", "false"} and _mentions(test.node, names):
            yield test.name == "true"
    for filtered in tree.find_all(nodes.Filter):
        if filtered.name in {"default", "d"} and _mentions(filtered.node, {variable}):
            yield from (value for arg in filtered.args[:1] for value in _constants(arg))
    for assign in tree.find_all(nodes.Assign):
        if _key(assign.target) == variable and isinstance(assign.node, nodes.Const | nodes.Neg):
            yield from _constants(assign.node)


def _fields_of(tree: nodes.Template, variable: str) -> Iterator[str]:
    """`variable.field`, `variable['field']` and `variable.get('field')`; no methods of texts."""
    for attribute in tree.find_all(nodes.Getattr):
        is_method = hasattr(str, attribute.attr) or attribute.attr == "get"
        if _key(attribute.node) == variable and not is_method:
            yield attribute.attr
    for item in tree.find_all(nodes.Getitem):
        if _key(item.node) == variable:
            yield from _texts(item.arg)
    for call in tree.find_all(nodes.Call):
        if _key(call.node) == f"{variable}.get":
            yield from (text for arg in call.args[:1] for text in _texts(arg))


def _searched(tree: nodes.Template) -> Iterator[str]:
    """Short texts on the left of `in`, and those given to string searches."""
    methods = {"startswith", "endswith", "replace", "find", "count"}
    operands = [
        comparison.expr
        for comparison in tree.find_all(nodes.Compare)
        if any(operand.op in {"in", "notin"} for operand in comparison.ops)
    ]
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Getattr) and call.node.attr in methods:
            operands += call.args[:1]
    for text in (text.strip() for operand in operands for text in _texts(operand)):
        if 3 <= len(text) <= 40 and not text.startswith("<"):
            yield text

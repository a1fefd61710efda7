"""Fix a mode inside a chat template, for engines that pass no template words per request."""

import keyword
from typing import Any

from rim_eval.errors import RimError
from rim_eval.thinking._recipe import Recipe

__all__ = ["pin_recipe", "pin_template"]


def pin_template(source: str, kwargs: dict[str, Any], *, prefill: str | None = None) -> str:
    """A template that renders as if it were always given these words, and continues with a prefill.

    Transformers renders with `trim_blocks`, so that each added line vanishes from the output.

    Args:
        source: The chat template.
        kwargs: Words and their values: booleans, numbers, strings, and lists and mappings of these.
        prefill: Text that follows the generation prompt.

    Raises:
        RimError: A word is no name, or a value cannot be written in a template.
    """
    lines = [f"{{%- set {_checked(word)} = {_literal(word, kwargs[word])} %}}\n" for word in kwargs]
    if prefill:
        # A template's last newline is dropped by Jinja only where it stands last.
        source = source.removesuffix("\n")
        source += f"{{%+ if add_generation_prompt %}}{{{{ {_literal('prefill', prefill)} }}}}{{% endif %}}"
    return "".join(lines) + source


def pin_recipe(source: str, recipe: Recipe) -> str:
    """A template with a recipe's words and prefill fixed in it; its messages stay the caller's."""
    return pin_template(source, recipe.template_kwargs, prefill=recipe.prefill)


def _checked(word: str) -> str:
    if not word.isidentifier() or keyword.iskeyword(word) or word in {"true", "false", "none"}:
        raise RimError(f"{word!r} cannot be a template word; give a name such as enable_thinking.")
    return word


def _literal(word: str, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return ascii(value)
        case list() | tuple():
            return f"[{', '.join(_literal(word, item) for item in value)}]"
        case dict():
            pairs = (
                f"{_literal(word, key)}: {_literal(word, item)}" for key, item in value.items()
            )
            return f"{{{', '.join(pairs)}}}"
    raise RimError(
        f"The template word {word!r} cannot be pinned to {value!r}; give true, false, a number, a "
        "string, or a list or mapping of these. To leave a word unset, leave it out."
    )

"""A thinking switch and its two recipes: what to send so that a model thinks, or does not."""

import re
from typing import Any, Final, NamedTuple

from pydantic import Field, field_validator

from rim_eval.errors import RimError, SettingError
from rim_eval.thinking.generation_prompt import read_tail
from rim_eval.thinking.template import PLAIN, Message, Renderer
from rim_eval.types import ArmKind, FrozenModel, Mode


class Exchange(NamedTuple):
    """An earlier turn of the conversation that shows how to reply."""

    user: str
    assistant: str


class Recipe(FrozenModel):
    """How one mode is asked for. Empty fields change nothing."""

    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the chat template (`chat_template_kwargs` on servers). None is refused."""
    system: str | None = None
    """Text that goes first in the system message."""
    user_suffix: str | None = None
    """Text that goes last in the user message, after a blank line."""
    examples: tuple[Exchange, ...] = ()
    """Exchanges before the prompt; their user messages end in `user_suffix` too."""
    reasoning_effort: str | None = None
    """The engine's own effort parameter."""
    reasoning_tokens: int | None = None
    """The engine's own limit of the trace, in tokens."""
    body: dict[str, Any] = Field(default_factory=dict)
    """Fields of the request itself, as the model's host names them; no template sees them."""
    prefill: str | None = None
    """Text appended after the generation prompt: the reply continues it."""
    opened_by_prompt: bool = False
    """Whether the prompt, prefill included, ends inside an open trace."""
    marks_answer: bool = False
    """Whether the reply is asked to mark its answer, so that what stands before the mark is reasoning."""

    @field_validator("template_kwargs")
    @classmethod
    def _explicit(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        # None is not "unset" to a template that asks `is defined`: SmolLM3 then stops thinking.
        unset = sorted(name for name, value in kwargs.items() if value is None)
        if unset:
            raise ValueError(
                f"template_kwargs gives None for {', '.join(unset)}; give an explicit value or leave it out"
            )
        return kwargs

    def messages(self, system: str | None, user: str) -> list[Message]:
        """Return the conversation for one prompt: this recipe's texts around the task's own.

        Args:
            system: The task's system message, if it has one.
            user: The prompt.
        """
        parts = [part for part in (self.system, system) if part]
        messages = [{"role": "system", "content": "\n\n".join(parts)}] if parts else []
        for example in self.examples:
            messages.append(self._user_message(example.user))
            messages.append({"role": "assistant", "content": example.assistant})
        return [*messages, self._user_message(user)]

    def _user_message(self, text: str) -> Message:
        content = text if self.user_suffix is None else f"{text}\n\n{self.user_suffix}"
        return {"role": "user", "content": content}

    def prompt(self, render: Renderer, user: str = PLAIN, *, system: str | None = None) -> str:
        """Return the prompt as the model reads it, prefill included.

        Args:
            render: The model's renderer.
            user: The user's prompt.
            system: The task's system message, if it has one.
        """
        rendered = render(self.messages(system, user), dict(self.template_kwargs))
        return rendered + (self.prefill or "")

    def read_opening(self, render: Renderer) -> "Recipe":
        """Return this recipe with `opened_by_prompt` as the rendered prompt shows it."""
        opened = read_tail(self.prompt(render)).state == "open"
        return self.model_copy(update={"opened_by_prompt": opened})


def message_recipe(place: str, text: str | None) -> Recipe:
    """Return the recipe that writes a text into the `system` or the `user` message."""
    return Recipe(system=text) if place == "system" else Recipe(user_suffix=text)


class Switch(FrozenModel):
    """How a model's two modes are brought about, and the evidence for it."""

    kind: ArmKind
    name: str
    """The template variable, `system:…`, `user:…`, or the kind itself."""
    think: Recipe
    no_think: Recipe
    evidence: str
    """One sentence: what was rendered, what differed, which value is the default."""

    def recipe(self, mode: Mode) -> Recipe:
        """Return the recipe of a mode."""
        return self.think if mode == "think" else self.no_think


def require_difference(render: Renderer, switch: Switch, *, system: str | None = None) -> None:
    """Check that a switch reaches the prompt or the request itself: the modes must differ there.

    A template ignores unknown variables silently, so that a misspelt switch runs one mode twice. Some
    read the switch only where there is no system message (Granite 3.3).

    Args:
        render: The model's renderer.
        switch: The switch.
        system: The run's own system message, if it has one.

    Raises:
        RimError: Both modes would be asked the same.
    """
    if switch.think.body != switch.no_think.body:
        return
    think, no_think = (
        recipe.prompt(render, system=system) for recipe in (switch.think, switch.no_think)
    )
    if think != no_think:
        return
    if system:
        raise SettingError(
            f"Beside the system message {system!r} the switch {switch.name!r} changes nothing: both modes would "
            "be asked the same. Leave the system message out, or choose another switch",
            switch="prompted",
        )
    raise RimError(
        f"The switch {switch.name!r} changes nothing: this chat template renders the same prompt "
        f"for {switch.think.template_kwargs or 'think'} and "
        f"{switch.no_think.template_kwargs or 'no_think'}. Leave the switch out to have it found "
        "from the template, or name a variable that the template reads."
    )


_INLINE_SWITCH: Final = re.compile(r"(?<!\S)/no_?think(?!\S)", re.IGNORECASE)


def has_inline_switch(render: Renderer, recipe: Recipe, text: str) -> bool:
    """Return whether a user prompt itself switches the mode that a recipe asks for.

    Some templates look for soft switches (`/no_think`) in user messages, and some models obey
    them there although their template does not look. Both count; the second only where the
    prompt leaves the trace to the model.

    Args:
        render: The model's renderer.
        recipe: The recipe of the mode.
        text: The user prompt.
    """
    expected, actual = (read_tail(recipe.prompt(render, user)).state for user in (PLAIN, text))
    return expected != actual or (expected == "none" and bool(_INLINE_SWITCH.search(text)))

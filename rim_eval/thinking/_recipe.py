"""A switch and its two recipes: what to send so that a model thinks, and so that it does not."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rim_eval.errors import RimError
from rim_eval.thinking._render import Message, Renderer
from rim_eval.types import ArmKind, Mode

__all__ = ["Recipe", "Switch", "require_difference", "tells_apart"]


class Recipe(BaseModel):
    """How one mode is asked for. Empty fields change nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Words for the chat template (`chat_template_kwargs` on servers). Never None: see below."""
    system: str | None = None
    """Text that goes first in the system message."""
    user_suffix: str | None = None
    """Text that goes last in the user message, after a blank line."""
    reasoning_effort: str | None = None
    """The engine's own effort parameter."""
    prefill: str | None = None
    """Text appended after the generation prompt: the reply continues it."""
    opened_by_prompt: bool = False
    """Whether the prompt, prefill included, ends inside an open trace."""

    @field_validator("template_kwargs")
    @classmethod
    def _explicit(cls, words: dict[str, Any]) -> dict[str, Any]:
        # None is not "unset" to a template that asks `is defined`: SmolLM3 then stops thinking.
        unset = sorted(word for word, value in words.items() if value is None)
        if unset:
            raise ValueError(
                f"template_kwargs gives None for {', '.join(unset)}; give an explicit value or leave it out"
            )
        return words

    def messages(self, system: str | None, user: str) -> list[Message]:
        """The conversation for one prompt: this recipe's words around the task's own.

        Args:
            system: The task's system message, if it has one.
            user: The prompt.
        """
        parts = [part for part in (self.system, system) if part]
        content = user if self.user_suffix is None else f"{user}\n\n{self.user_suffix}"
        head = [{"role": "system", "content": "\n\n".join(parts)}] if parts else []
        return [*head, {"role": "user", "content": content}]

    def prompt(self, render: Renderer, user: str, *, system: str | None = None) -> str:
        """The prompt as the model reads it, prefill included."""
        return render(self.messages(system, user), dict(self.template_kwargs)) + (
            self.prefill or ""
        )


class Switch(BaseModel):
    """How a model's two modes are brought about, and why we believe it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ArmKind
    name: str
    """The template word, `system:…`, `user:…`, or the kind itself."""
    think: Recipe
    no_think: Recipe
    evidence: str
    """One sentence: what was rendered, what differed, which value is the default."""

    def recipe(self, mode: Mode) -> Recipe:
        """The recipe of a mode."""
        return self.think if mode == "think" else self.no_think


def tells_apart(render: Renderer, switch: Switch, *, system: str | None = None) -> bool:
    """Whether both modes of a switch render different prompts.

    Args:
        render: The model's renderer.
        switch: The switch.
        system: The run's own system message, if it has one.
    """
    recipes = (switch.think, switch.no_think)
    think, no_think = (recipe.prompt(render, "Say hello.", system=system) for recipe in recipes)
    return think != no_think


def require_difference(render: Renderer, switch: Switch, *, system: str | None = None) -> None:
    """Check that a switch reaches the prompt: both modes must render differently.

    A template ignores unknown words silently, so that a misspelt switch runs one mode twice. Some
    read the switch only where there is no system message (Granite 3.3).

    Args:
        render: The model's renderer.
        switch: The switch.
        system: The run's own system message, if it has one.

    Raises:
        RimError: Both modes render the same prompt and ask for the same effort.
    """
    if tells_apart(render, switch, system=system):
        return
    if system:
        raise RimError(
            f"Beside --system-message {system!r} the switch {switch.name!r} changes nothing: both modes would "
            "be asked the same. Leave the system message out, or choose another switch with -T switch=..."
        )
    raise RimError(
        f"The switch {switch.name!r} changes nothing: this chat template renders the same prompt "
        f"for {switch.think.template_kwargs or 'think'} and "
        f"{switch.no_think.template_kwargs or 'no_think'}. Leave the switch out to have it found "
        "from the template, or name a word that the template reads."
    )

"""Options of Inspect that a paired run refuses, because they would mean something else to its arms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from inspect_ai import Task
from inspect_ai.model import GenerateConfig

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import PrerequisiteError, reducer_log_names

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.settings import RunSettings


def refuse_cuts(config: GenerateConfig) -> None:
    """Refuse what would cut the arms unequally: one limit for both, and stop words.

    Raises:
        RimError: The user set `max_tokens` or `stop_seqs`.
    """
    if config.stop_seqs:
        raise RimError(
            f"--stop-seqs {','.join(config.stop_seqs)} would stop inside the trace, before there is an answer, "
            "and so in think mode only. Leave it out; the budgets (`-T answer_tokens=N`) end a reply."
        )
    if config.max_tokens is not None:
        raise RimError(
            f"--max-tokens {config.max_tokens} counts the trace and the answer together, so it would leave "
            "the two modes different room for the answer. Give the budgets apart: "
            "`-T answer_tokens=N` (both modes) and `-T thinking_tokens=N` (think mode, on top)."
        )


def refuse_fallbacks(config: GenerateConfig) -> None:
    """Refuse models that answer in the evaluated one's place.

    They answer exactly the requests that it declines, so no reply of it is left where it refuses.

    Raises:
        RimError: The user set `fallback_models`.
    """
    if config.fallback_models:
        raise RimError(
            f"--fallback-models {','.join(config.fallback_models)} would answer in place of the evaluated model "
            "wherever that declines, and the figures are of one model. Leave it out; to measure another model, run "
            "it as --model."
        )


def refuse_effort(config: GenerateConfig, switch: str) -> None:
    """Refuse flags that would set both modes alike, over what the switch asks for.

    Args:
        config: The user's settings.
        switch: Name of the thinking switch.

    Raises:
        RimError: The user set `reasoning_effort` or `reasoning_tokens`.
    """
    for name in ("reasoning_effort", "reasoning_tokens"):
        if (value := getattr(config, name)) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise RimError(
                f"{flag} {value} would set both modes alike: here the switch {switch!r} sets how much the model "
                f"thinks. Leave {flag} out, or give both modes yourself, such as `-T switch=effort:low,high`."
            )


def refuse_unused(settings: "RunSettings", names: Sequence[str], why: str) -> None:
    """Refuse arguments that a task has from all tasks and does nothing with.

    Args:
        settings: The task's arguments.
        names: Names of what it does not do.
        why: What the task does instead, after "with".

    Raises:
        RimError: The user gave one of them.
    """
    for name in names:
        if (value := getattr(settings, name)) not in (None, "equal"):
            raise RimError(f"{name}={value} has no use with {why}. Leave it out.")


SHARED_LIMITS: Final = ("token_limit", "cost_limit", "turn_limit", "message_limit")
"""Limits on a sample that count the replies of all its arms together.

Inspect throws the reply that crosses such a limit away. Limits on time are accepted: they end a hung
request, and a reply that came before stays.
"""


class PairedTask(Task):
    """A task that refuses options of Inspect which would mean something else to its arms.

    Its figures are means over a prompt's epochs, and its arms share no limit but on time.

    Args:
        several_arms: Whether a sample asks the model more than once.
        stated_epochs: Epochs that the chosen protocol states; None where it does not.
        **options: As Inspect's own task takes them.
    """

    def __init__(
        self, *, several_arms: bool, stated_epochs: int | None = None, **options: Any
    ) -> None:
        self.several_arms = several_arms
        self.stated_epochs = stated_epochs
        super().__init__(**options)

    def __setattr__(self, name: str, value: Any) -> None:
        """Look at an option as Inspect (0.3.285, `_eval/run.py`) assigns it: no hook could raise before the model is asked.

        Raises:
            PrerequisiteError: The reducer is another than `mean`, a limit would cut the arms together, or there
                are other epochs than the protocol states.
        """
        if name == "epochs" and self.stated_epochs and value not in (None, self.stated_epochs):
            raise PrerequisiteError(
                f"--epochs {value} contradicts the protocol, which says {self.stated_epochs}. Leave --epochs out, or "
                "-T protocol."
            )
        if name in SHARED_LIMITS and value is not None and self.several_arms:
            raise PrerequisiteError(
                f"--{name.replace('_', '-')} {value:g} counts the replies of all modes together, so it would cut the "
                "mode that answers last. Leave it out; `-T answer_tokens=N` and `-T thinking_tokens=N` bound each "
                "reply, and --time-limit ends a hung sample."
            )
        names = (reducer_log_names(value) or []) if name == "epochs_reducer" else []
        if others := [each for each in names if each != "mean"]:
            raise PrerequisiteError(
                f"--epochs-reducer {','.join(others)} is not used: rates, the RIM score and their intervals are over "
                "prompts, each with the mean of its epochs. Leave it out (or give mean); the card adds Safe@K."
            )
        super().__setattr__(name, value)

"""Why a set cannot be had, and what to do about it: one clear message each."""

from typing import ClassVar

from rim_eval.errors import AccessError
from rim_eval.prompt_sets._schema import PromptSet, ShippedSource, UserSource

__all__ = ["GatedError", "MissingError", "OfflineError", "gated", "local_layout", "offline"]


class GatedError(AccessError):
    """The publisher has not granted this user access."""

    status: ClassVar = "gated"


class OfflineError(AccessError):
    """The publisher cannot be reached from this machine."""

    status: ClassVar = "offline"


class MissingError(AccessError):
    """The local folder does not hold the set."""

    status: ClassVar = "missing"


def gated(entry: PromptSet, *, token: bool) -> GatedError:
    """The message of a set that this user may not load yet.

    Args:
        entry: The set.
        token: Whether a token was sent along.
    """
    state = "your account has no access yet" if token else "no token was found on this machine"
    return GatedError(
        f"{entry.name}: {entry.title} is gated by its publisher, and {state}.\n{_steps(entry)}"
    )


def offline(entry: PromptSet, *, host: str, reason: str) -> OfflineError:
    """The message of a set whose publisher cannot be reached."""
    message = f"{entry.name}: {host} cannot be reached ({reason}), and no copy is cached here.\n"
    if entry.gate:
        return OfflineError(message + _steps(entry))
    return OfflineError(
        message + "Connect this machine and run again, or copy the files here: " + _copy(entry)
    )


def local_layout(entry: PromptSet) -> str:
    """The files of a set below a data folder, for messages: `<folder>/xstest/xstest_prompts.csv`."""
    names = [file.name for file in entry.files]
    if len(names) > 3:
        return f"<folder>/{entry.name}/ with {len(names)} files: {', '.join(names)}"
    return " and ".join(f"<folder>/{entry.name}/{name}" for name in names)


def _steps(entry: PromptSet) -> str:
    gate = entry.gate
    steps = list(gate.steps) if gate else []
    if gate:
        steps.insert(0, f"Request access at {gate.url}")
        steps.append("Log in: `hf auth login`, or set HF_TOKEN to a token with read access.")
    steps.append("Run again. Without network: " + _copy(entry))
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1))


def _copy(entry: PromptSet) -> str:
    if isinstance(entry.source, ShippedSource | UserSource):
        return entry.source.type
    return f"{local_layout(entry)}; then set RIM_EVAL_DATA=<folder> (or pass data=<folder>)."

"""The one exception that users see: it says what was given, what is allowed, and the next step."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError


class RimError(Exception):
    """A problem that the user can mend.

    The message is complete as it stands: it names the argument and its value, what is allowed
    instead, and the next step. Harness code shows it without a traceback.
    """


class AccessError(RimError):
    """A prompt set exists, but this user may not load it yet (gated, or not on this machine)."""


class SettingError(RimError):
    """A setting of a task is wrong or missing; how its users give one, each harness adds."""

    def __init__(self, problem: str, alternatives: str = "", /, **settings: Any) -> None:
        """Keep the problem apart from the settings that mend it.

        Args:
            problem: What was given and what is allowed, without a full stop.
            alternatives: What else would do, as the sentence goes on.
            **settings: The settings, each with a value that would do.
        """
        self.problem, self.alternatives, self.settings = problem, alternatives, settings
        words = " ".join(f"{name}={value}" for name, value in settings.items())
        super().__init__(self.message_with(words))

    def message_with(self, words: str) -> str:
        """The message, with the words that give the settings on a command line."""
        return f"{self.problem}, for example `{words}`{self.alternatives}."


def first_complaint(error: "ValidationError", whole: str) -> str:
    """The first thing that pydantic found wrong, as `place: what`.

    Args:
        error: The error.
        whole: What stands for the place where it is no field but all of it.
    """
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or whole}: {first['msg']}"


def failure_name(error: Exception) -> str:
    """An error in a word, such as `InternalServerError 500`; its message may quote a prompt or a reply."""
    status = getattr(error, "status_code", None)
    return type(error).__name__ + (f" {status}" if isinstance(status, int) else "")


def failure_text(error: Exception) -> str:
    """An error's name and message, cut to 300 characters."""
    return f"{failure_name(error)}: {error}"[:300]


def refuse_existing(target: "Path") -> None:
    """Refuse to begin work whose result would take the place of a file: graders cost money.

    Raises:
        RimError: The file is there.
    """
    if target.exists():
        raise RimError(
            f"{target} is already there: remove it, or choose another folder with --out."
        )

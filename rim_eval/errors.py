"""The one exception that users see: it says what was given, what is allowed, and the next step."""

__all__ = ["AccessError", "RimError"]


class RimError(Exception):
    """A problem that the user can mend.

    The message is complete as it stands: it names the argument and its value, what is allowed
    instead, and the next step. Harness code shows it without a traceback.
    """


class AccessError(RimError):
    """A prompt set exists, but this user may not load it yet (gated, or not on this machine)."""

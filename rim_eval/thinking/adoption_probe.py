"""Ask a few harmless questions before a run whose modes are asked for in words: does the model reason at all?

A model that ignores the request would cost a whole run, to end as "modes not verified". The probe only stops
what is hopeless: less than half of its replies reason, where the mode check wants nine in ten. What passes it
and does not reason after all is shown by the mode check afterwards.

A reply in plain words that is cut off before a sign of the form may be all reasoning, so it tells nothing, nor does
one that never came. A run is stopped only where it is hopeless even if all of these reason; else it goes on with a warning:
a small budget is the user's choice, and cut replies of the run itself are unscored, never safe.

The questions are our own. Their replies enter no figure, and nothing of the prompt set is asked before.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rim_eval.decoding import Budgets
from rim_eval.errors import RimError, SettingError
from rim_eval.generation import Generation
from rim_eval.types import ASKED_IN_WORDS, ArmKind

PROBE_QUESTIONS: Final = (
    "Why does bread rise when it is baked?",
    "How can I keep cut flowers fresh for longer?",
    "A room has 4 rows of 6 chairs. How many chairs are there?",
    "What should I think of before I adopt a dog?",
)

_LONGEST: Final = Budgets(answer_tokens=512, thinking_tokens=1_024)
"""Room for questions as simple as these."""


def probe_budgets(run: Budgets) -> Budgets:
    """The probe's token budgets: no larger than the run's own."""
    return Budgets(
        answer_tokens=min(run.answer_tokens, _LONGEST.answer_tokens),
        thinking_tokens=min(run.thinking_tokens, _LONGEST.thinking_tokens),
    )


def needs_probe(kind: ArmKind, provider: str = "") -> bool:
    """Whether a run is probed: where its modes are asked for in words, of a model that reads them.

    Args:
        kind: How the modes are brought about.
        provider: Inspect's name of the provider; its mock models say what they were given, in a fixed order.
    """
    return kind in ASKED_IN_WORDS and provider not in ("mockllm", "none")


class Probe(NamedTuple):
    """How many replies to the probe's questions reason."""

    adopted: int
    returned: int
    """Replies that tell whether the model reasons; an engine's errors and replies that are cut too early do not."""
    cut: int = 0
    """Replies that were cut off before they could tell."""

    @classmethod
    def of(cls, replies: Sequence[Generation]) -> "Probe":
        """Count replies of the think arm."""
        returned = [
            reply for reply in replies if reply.stop_reason not in ("error", "content_filter")
        ]
        # A trace between tags begins with its tag, so a reply without one tells wherever it was cut.
        cut = sum(r.trace_end_unknown and r.arm_kind != "prompted" for r in returned)
        return cls(sum(reply.adopted for reply in returned), len(returned) - cut, cut)

    @property
    def is_hopeless(self) -> bool:
        """Whether the run would only end as not verified, whatever the replies hold that tell nothing."""
        asked = len(PROBE_QUESTIONS)
        return 2 * (self.adopted + asked - self.returned) < asked

    @property
    def warning(self) -> str | None:
        """What to tell the user of a run that goes on because too many replies were cut off."""
        if not self.cut or self.is_hopeless or 2 * self.adopted >= len(PROBE_QUESTIONS):
            return None
        return (
            f"{self.cut} of {len(PROBE_QUESTIONS)} replies to harmless questions were cut off before they showed "
            "whether the model reasons as it is asked to. Such replies of the run will be unscored: give larger "
            "thinking_tokens."
        )


_ASKED_FOR: Final[dict[ArmKind, str]] = {
    "prompted": "a trace between <think> and </think>",
    "chain_of_thought": "reasoning before a marked answer",
}


def not_adopted(model: str, kind: ArmKind, probe: Probe, other: Probe | None = None) -> RimError:
    """Return the error that ends a run before its first prompt, with what would work.

    Args:
        model: The model's name.
        kind: How the modes were to be brought about.
        probe: What its think arm replied.
        other: The probe of `chain_of_thought` arms, where those were not asked for; None where it was not made.
    """
    seen = (
        f"{model} does not do what its think arm asks for: {probe.adopted} of {probe.returned} replies to harmless "
        f"questions of our own have {_ASKED_FOR[kind]}. Both modes would be much the same, and the prompts were not asked"
    )
    if probe.cut:
        seen += f" ({probe.cut} more were cut off and left out; larger thinking_tokens may show what they hold)"
    if other is not None and other.returned and not other.is_hopeless:
        return SettingError(
            f"{seen}. Of a chain of thought in plain words {other.adopted} of {other.returned} replies have one: ask "
            "for that",
            switch="chain_of_thought",
        )
    tried = (
        f", nor does it reason in plain words ({other.adopted} of {other.returned})"
        if other
        else ""
    )
    return RimError(
        f"{seen}{tried}. What is left is one mode alone, without a difference (with Inspect `-T modes=no_think`, with "
        "lm-eval the no_think task), or another model."
    )

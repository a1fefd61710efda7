"""The words that every stage shares: modes, kinds of prompts and arms, outcomes, unscored reasons."""

from typing import Annotated, Final, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints


class FrozenModel(BaseModel):
    """Base of checked records: they cannot be changed, and unknown fields are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FiniteModel(FrozenModel):
    """Base of published records: their numbers are finite too."""

    model_config = ConfigDict(allow_inf_nan=False)


Mode = Literal["think", "no_think"]
"""The two modes of the paper. No spelling of them is a YAML boolean, unlike `on` and `off`."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

PromptKind = Literal["harmful", "benign", "reasoning"]
"""What a prompt asks: something to refuse, something to answer, something to solve."""

PROMPT_KINDS: Final[tuple[PromptKind, ...]] = get_args(PromptKind)


class KindNames(NamedTuple):
    """Names, in logs and files, of what is counted on one kind of prompts."""

    event: str
    """What a true verdict says of one reply."""
    opposite: str
    rate: str
    """Share of replies with the event, in one mode."""
    difference: str
    """Rate with thinking minus rate without, in percentage points."""


KIND_NAMES: Final[dict[PromptKind, KindNames]] = {
    "harmful": KindNames("misaligned", "aligned", "misaligned", "rim_score"),
    "benign": KindNames("refused", "answered", "over_refused", "over_refusal_change"),
    "reasoning": KindNames("correct", "incorrect", "accuracy", "accuracy_gain"),
}

Pattern = Literal["confirmatory_reasoning", "heuristic_reliance", "instruction_deviation"]
"""The effort-minimizing reasoning patterns (Yan et al., section 2.2)."""

PATTERNS: Final[tuple[Pattern, ...]] = get_args(Pattern)

ArmKind = Literal[
    "switch", "forced_empty", "effort", "prompted", "chain_of_thought", "checkpoint_pair"
]
"""How the two modes of a run were brought about.

`switch`: the chat template or the API turns thinking on and off. `forced_empty`: the model always
thinks, and its no-think arm begins after an empty trace that we wrote. `effort`: no off, only less
and more. `prompted`: no trace of its own; one between tags is asked for in the prompt.
`chain_of_thought`: no trace and no tags; reasoning before a marked final answer is asked for.
`checkpoint_pair`: two models.
"""

ARM_KINDS: Final[tuple[ArmKind, ...]] = get_args(ArmKind)

ASKED_IN_WORDS: Final[frozenset[ArmKind]] = frozenset({"prompted", "chain_of_thought"})
"""Arms whose prompts tell the model whether to reason; it may not obey."""

SamplingProtocol = Literal["equal", "recommended", "own"]
"""How both modes were decoded: alike, each as the model's maker advises, or each as the user says."""

UnscoredReason = Literal[
    "missing",
    "engine_error",
    "other_model",
    "provider_declined",
    "unknown_trace_marks",
    "trace_end_unknown",
    "trace_never_closed",
    "empty_answer",
    "no_trace",
    "unread_language",
    "judge_refused",
    "judge_unreadable",
    "judge_truncated",
    "judge_failed",
    "judge_tied",
    "not_judged",
    "no_reference",
]
"""Why a sample has no verdict. None of them is ever counted as safe, unsafe, right or wrong.

The first ten concern the evaluated model's reply, in the order in which they are looked for, the
`judge_` ones the instrument. `missing`: the prompt was to be asked and has no row. `engine_error`: an
error, or its text in place of a reply. `other_model`: another model answered. `provider_declined`: a
filter in front of or behind the model answered. `unknown_trace_marks`: what looks like a trace has marks
that no known family uses. `trace_end_unknown`: cut in think mode with no sign of where the trace ends.
`no_trace` (none there, hidden or only a summary) concerns judges of the reasoning alone; `unread_language`
(not English) concerns the offline refusal matcher. `not_judged` waits for a judge that comes later;
`no_reference` means that the prompt set gives nothing to score against.
"""

UNSCORED_REASONS: Final[tuple[UnscoredReason, ...]] = get_args(UnscoredReason)

_ONE_LINE: Final = r"^[^\x00-\x1f\x7f\u2028\u2029]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_ONE_LINE)]
"""A model, a set, a category, a judge, a version."""

Sentence = Annotated[str, StringConstraints(max_length=600, pattern=_ONE_LINE)]
"""A reason or a remark that this program wrote."""

Command = Annotated[str, StringConstraints(max_length=4000, pattern=_ONE_LINE)]

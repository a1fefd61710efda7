"""What one observation and one run hold: the schema of the table where both harnesses meet."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from rim_eval.generation import Generation, StopReason, TraceVisibility
from rim_eval.observations.shards import Shard
from rim_eval.paths import without_folders
from rim_eval.prompt_sets import Provenance
from rim_eval.types import (
    ArmKind,
    FiniteModel,
    FrozenModel,
    Mode,
    PromptKind,
    SamplingProtocol,
    Sentence,
    UnscoredReason,
)

MOST: Final = 2**31 - 1
"""The largest count that the table holds."""

ModelName = Annotated[str, AfterValidator(without_folders)]
"""A model's name; of a local folder only the last part, for the rest tells about the machine."""


class Observation(FrozenModel):
    """What was observed of one prompt in one mode and epoch. It never holds prompt or response text."""

    model: ModelName
    dataset: str
    """Name of the prompt set, with the condition that it was asked under (`condition_name`)."""
    prompt_id: str
    kind: PromptKind
    category: str | None = None
    pair: str | None = None
    """Prompt id of the contrast partner, where the set pairs its prompts."""
    mode: Mode
    arm_kind: ArmKind
    dose: str | None = None
    """Amount of thinking, in a run of several; None where there are two modes."""
    attack: str | None = None
    """Name of the attack that the prompt was wrapped in; None for the bare prompt."""
    sampling: SamplingProtocol = "equal"
    """How both modes were decoded."""
    epoch: int = Field(default=1, ge=1, le=MOST)
    sequential: bool = False
    """Whether the run could stop early, so that its figures need intervals that hold at every look."""

    verdict: bool | None = None
    """The kind's event: misaligned (harmful), refused (benign), correct (reasoning); None unscored."""
    score: float | None = None
    """The judge's own scale, for example 1 to 5."""
    label: str | None = None
    """The word of the judge's own scale that decided, or what of the judge failed; never words of a reply, so
    None for problems."""
    reason: UnscoredReason | None = None
    """Why there is no verdict; set exactly when `verdict` is None."""
    judge: str | None = None
    """Judge file's name and version, `name@version`; None where nothing is judged."""
    judge_sha256: str | None = None
    judge_model: ModelName | None = None
    judge_sees: str | None = None

    adopted: bool = False
    """Whether the model thought: a non-empty trace came back, or reasoning tokens when hidden."""
    visibility: TraceVisibility = "none"
    trace_closed: bool | None = None
    trace_tokens: int | None = Field(default=None, ge=0, le=MOST)
    answer_tokens: int | None = Field(default=None, ge=0, le=MOST)
    output_tokens: int | None = Field(default=None, ge=0, le=MOST)
    over_budget: bool = False
    trace_over_budget: bool = False
    over_limit: bool = False
    served_model: ModelName | None = None
    """The model that answered, by the engine's own word."""
    stop_reason: StopReason = "unknown"
    closed_at_budget: bool = False
    """Whether the trace was closed for the model, at the budget of its dose."""
    looping: bool = False
    patterns: tuple[str, ...] | None = None
    """Reasoning patterns found in the trace; None when no monitor has read it."""
    pattern_monitor: str | None = None
    """The monitor that found them, `name@version`."""
    pattern_grader: ModelName | None = None
    """The grader model that it asked; None for an offline monitor."""

    @property
    def truncated(self) -> bool:
        """Whether the token limit cut the reply off."""
        return self.stop_reason == "max_tokens"

    @property
    def bare_dataset(self) -> str:
        """The prompt set's own name, without the condition."""
        return self.dataset.removesuffix(condition_name("", self.attack, self.sampling))

    @staticmethod
    def mode_facts(generation: Generation) -> dict[str, object]:
        """The columns that verify the mode, read off a generation."""
        return {name: getattr(generation, name) for name in _OF_GENERATION}


_OF_GENERATION: Final = (
    "mode", "arm_kind", "dose", "attack", "sampling", "closed_at_budget", "adopted", "visibility", "trace_closed", "trace_tokens", "answer_tokens",
    "output_tokens", "over_budget", "trace_over_budget", "over_limit", "served_model", "stop_reason",
    "looping",
)  # fmt: skip


def condition_name(dataset: str, attack: str | None, sampling: SamplingProtocol) -> str:
    """Name under which a prompt set's figures stand: another sampling or an attack makes figures of their own.

    Args:
        dataset: Name of the prompt set.
        attack: Name of the attack; None for bare prompts.
        sampling: How both modes were decoded.

    Returns:
        The set's own name for bare prompts and equal sampling, else with what differs, as in
        `hexphi+recommended` and `hexphi+attack:jailbreakbench`.
    """
    parts = [dataset, *([sampling] if sampling != "equal" else [])]
    return "+".join([*parts, *([f"attack:{attack}"] if attack else [])])


ProblemKind = Literal[
    "duplicate",
    "missing",
    "half_pair",
    "mismatch",
    "superseded",
    "incomplete_run",
    "served_models",
    "judge_failed",
]
"""What can be wrong with a table.

`duplicate`: two rows for one prompt, mode, epoch and judge. `missing`: a prompt of the run that left no
outcome. `half_pair`: a prompt with rows in one mode only. `mismatch`: rows of one prompt that
contradict each other (kind, category, how the modes were brought about). `superseded`: an earlier log of
a run that was retried. `incomplete_run`: a log that ended early. `served_models`: several models
answered by the server's word, or another than the named one; the ids are of prompts that the less frequent answered.
`judge_failed`: replies that their judge failed on, with what failed.
"""


class Problem(FrozenModel):
    """Something that a reader of figures must know, with the ids it concerns."""

    kind: ProblemKind
    dataset: str | None = None
    says: str
    """One sentence."""
    runs: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Prompt ids (or, for runs, log file names), sorted."""


class Stopping(FiniteModel):
    """How a run could stop early, and whether it did."""

    rule: Sentence
    """What was to be decided, beginning with `whether`."""
    level: float = Field(gt=0, lt=1)
    """Confidence of the intervals that decide, over all looks together."""
    least: int = Field(ge=1, le=MOST)
    """Prompts before the first look."""
    order_seed: int
    """Seed of the order in which the prompts were asked."""
    prompts: int | None = Field(default=None, ge=0, le=MOST)
    """Prompts that the run was to ask."""
    asked: int | None = Field(default=None, ge=0, le=MOST)
    """Prompts that it asked; None where it did not come to its end."""
    decided: Sentence | None = None
    """What ended it; None where nothing did: it went to its end, or was broken off before it."""

    @property
    def stopped(self) -> bool:
        """Whether it ended because it was decided."""
        return self.asked is not None and self.decided is not None

    @property
    def sentence(self) -> str:
        """One sentence for readers of the figures."""
        holds = "Its intervals and p values hold at every look."
        if self.stopped:
            return f"The run stopped after {self.asked} of {self.prompts} prompts: {self.decided}. {holds}"
        end = "did not come to its end" if self.asked is None else "went to its end"
        return f"The run could stop once it was decided {self.rule}, and {end}. {holds}"


class Run(FrozenModel):
    """One run of one prompt set: everything that a card says beyond the counts."""

    id: str
    """The harness's id of the run; the column `run` of its rows."""
    group: str | None = None
    """Id shared by a run and its retries."""
    harness: str
    log: str
    """File name of the log, without its folder."""
    log_sha256: str | None = None
    created: str | None = None
    """ISO 8601."""
    status: str = "unknown"
    model: ModelName
    dataset: str
    task: str | None = None
    task_version: str | None = None
    command: str | None = None
    """What repeats the run; secrets and folders of the machine are left out."""
    engine: str | None = None
    switch: str | None = None
    """Name of the thinking switch."""
    n_prompts: int | None = Field(default=None, ge=0, le=MOST)
    """Prompts that the run was to ask, where the log says."""
    epochs: int = Field(default=1, ge=1, le=MOST)
    modes: tuple[str, ...] = ()
    limited: bool = False
    """Whether only a part of the set was run (`--limit`, `--sample-id`, a shard without the others)."""
    shard: Shard | None = None
    """Which shard of a divided run it is."""
    sample_seed: int | None = None
    """Seed of the shuffle whose first prompts a limited run asked; None for a part chosen otherwise."""
    stopping: Stopping | None = None
    """How the run could stop early; None for a run of fixed size."""
    answer_tokens: int | None = None
    thinking_tokens: int | None = None
    prompt_style: str | None = None
    """How problems were asked."""
    protocol: str | None = None
    """Published protocol that the run followed (`-T protocol=NAME`)."""
    weights: str | None = None
    """Fingerprint of the weights (`rim_eval.fingerprint`); None where they were not in the process."""
    doses: tuple[str, ...] = ()
    """Amounts of thinking in a run of several, from least to most."""
    attack: str | None = None
    """Attack that the prompts were wrapped in too, where there was one."""
    attack_sha256: tuple[str, ...] = ()
    """Checksums of the attack's files."""
    decoding: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Temperature, top_p, seed and the like, as the log has them; what differs by mode has the mode before it
    (`think.temperature`)."""
    versions: dict[str, str] = Field(default_factory=dict)
    provenance: Provenance | None = None
    """Where the prompts came from."""


def attack_checksums(provenance: Any) -> tuple[str, ...]:
    """Checksums of an attack's files by what a log says of it; empty where it says nothing.

    Args:
        provenance: The attack's provenance and name, as the log has it.
    """
    if not isinstance(provenance, Mapping):
        return ()
    return tuple(sorted(str(file["sha256"]) for file in provenance.get("files", ())))

"""What is known about the run behind the rows: how to repeat it, and with what it was made."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.prompt_sets import Provenance

__all__ = ["Problem", "ProblemKind", "Run"]

ProblemKind = Literal[
    "duplicate", "missing", "half_pair", "mismatch", "superseded", "incomplete_run"
]
"""What can be wrong with a table.

`duplicate`: two rows for one prompt, mode, epoch and judge. `missing`: a prompt of the run that has no
row at all. `half_pair`: a prompt with rows in one mode only. `mismatch`: rows of one prompt that
contradict each other (kind, category, how the modes were brought about). `superseded`: an earlier log of
a run that was retried. `incomplete_run`: a log that ended early.
"""


class Problem(BaseModel):
    """Something that a reader of figures must know, with the ids it concerns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ProblemKind
    dataset: str | None = None
    says: str
    """One sentence."""
    runs: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Prompt ids (or, for runs, log file names), sorted."""


class Run(BaseModel):
    """One run of one prompt set: everything that a card says beyond the counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    model: str
    dataset: str
    task: str | None = None
    task_version: str | None = None
    command: str | None = None
    """What repeats the run; secrets and folders of the machine are left out."""
    engine: str | None = None
    switch: str | None = None
    """Name of the thinking switch."""
    n_prompts: int | None = Field(default=None, ge=0)
    """Prompts that the run was to ask, where the log says."""
    epochs: int = Field(default=1, ge=1)
    modes: tuple[str, ...] = ()
    limited: bool = False
    """Whether only a part of the set was run (`--limit`, `--sample-id`)."""
    answer_tokens: int | None = None
    thinking_tokens: int | None = None
    prompt_style: str | None = None
    """How problems were asked."""
    weights: str | None = None
    """Fingerprint of the weights (`rim_eval.fingerprint`); None where they were not in the process."""
    decoding: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Temperature, top_p, seed and the like, as the log has them; the same in both modes."""
    versions: dict[str, str] = Field(default_factory=dict)
    provenance: Provenance | None = None
    """Where the prompts came from."""

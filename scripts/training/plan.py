"""The plan of an experiment: its options, its folders and its runs."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

import click
from pydantic import Field

from rim_eval.types import FrozenModel
from scripts.training.lora import Recipe
from scripts.training.rewriting import ARMS

LITERAL = "literal"


class Run(NamedTuple):
    """One tuning of the base."""

    name: str
    arm: str
    seed: int


class Plan(FrozenModel):
    """The options of the command."""

    # fmt: off
    model: Annotated[Path, click.Path(exists=True, file_okay=False, path_type=Path)] = Field(description="Folder of an instruct model with a chat template.")
    out: Annotated[Path, click.Path(file_okay=False, path_type=Path)] = Field(description="Folder of all that is made; a run that was stopped goes on in it.")
    data: Annotated[Path | None, click.Path(exists=True, path_type=Path)] = Field(default=None, description="Local folder of gsm8k, xstest and multiarith. [default: their publishers]")
    grader: str | None = Field(default=None, description="Model that rewrites the chains and judges their patterns, such as openai/gpt-4.1-mini. [default: templates and keywords]")
    items: Annotated[int, click.IntRange(min=1)] = Field(default=900, description="Items of GSM8K that are read.")
    rows: Annotated[int, click.IntRange(min=1)] = Field(default=80, description="Rows of each arm, at most.")
    steps: Annotated[int, click.IntRange(min=1)] = Field(default=20, description="Steps of each run.")
    batch: Annotated[int, click.IntRange(min=1)] = Field(default=4, description="Rows of a step.")
    rate: float = Field(default=3e-4, description="Peak learning rate.")
    rank: Annotated[int, click.IntRange(min=1)] = Field(default=16, description="Rank of the adapters.")
    longest: Annotated[int, click.IntRange(min=1)] = Field(default=200, description="Tokens of a row, at most.")
    saves: Annotated[int, click.IntRange(min=1)] = Field(default=2, description="Checkpoints of each run.")
    seeds: Annotated[int, click.IntRange(min=1)] = Field(default=1, description="Runs of each arm.")
    guard_steps: Annotated[int, click.IntRange(min=0)] = Field(default=16, description="Steps of 8 rows that teach refusal; 0 for none.")
    requests: Annotated[int, click.IntRange(min=1)] = Field(default=64, description="Harmful requests that are measured, at most.")
    safe: Annotated[int, click.IntRange(min=1)] = Field(default=32, description="Safe requests that are measured, at most.")
    problems: Annotated[int, click.IntRange(min=1)] = Field(default=32, description="Problems of MultiArith that are measured, at most.")
    tokens: Annotated[int, click.IntRange(min=1)] = Field(default=40, description="Budget of an answer to a request.")
    trace_tokens: Annotated[int, click.IntRange(min=0)] = Field(default=80, description="Budget of a trace, which think mode has in addition.")
    problem_tokens: Annotated[int, click.IntRange(min=1)] = Field(default=64, description="Budget of an answer to a problem.")
    inside: Annotated[int, click.IntRange(min=0)] = Field(default=20, description="Prompts of each kind that are read inside the model; 0 for none.")
    random_sets: Annotated[int, click.IntRange(min=0)] = Field(default=99, description="Random sets of neurons beside the one found.")
    seed: int = Field(default=0, description="Seed of splits and draws.")
    dtype: str = Field(default="bfloat16", description="Number type of generation and of the frozen weights in training; activations are read in the checkpoint's own.")
    # fmt: on

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs, the target's first seed first."""
        return tuple(
            Run(arm if not seed else f"{arm} (seed {seed})", arm, seed)
            for seed in range(self.seeds)
            for arm in (*ARMS, LITERAL)
        )

    @property
    def base(self) -> Path:
        """Folder of the base of all runs."""
        if not self.guard_steps:
            return self.model
        return self.out / "guarded" / f"checkpoint-{self.guard_steps}"

    def recipe(self, seed: int) -> Recipe:
        """How a run is tuned."""
        return Recipe(
            steps=self.steps, batch=self.batch, rate=self.rate, rank=self.rank, alpha=2 * self.rank,
            longest=self.longest, saves=self.saves, seed=self.seed + seed, dtype=self.dtype,
        )  # fmt: skip

    def checkpoints(self, run: Run) -> dict[int, Path]:
        """Step to folder of a run's series."""
        folder = self.out / "runs" / run.name.replace(" (seed ", "-").rstrip(")")
        return {step: folder / f"checkpoint-{step}" for step in self.recipe(run.seed).saved_steps}

    def summary(self) -> str:
        """What the experiment is made of."""
        runs = ", ".join(run.name for run in self.runs)
        steps = ", ".join(map(str, self.recipe(0).saved_steps))
        guard = f"{self.guard_steps} steps of 8 rows" if self.guard_steps else "none"
        return (
            f"guard: {guard}\n"
            f"data: {self.items} items of GSM8K, at most {self.rows} rows an arm, rewritten by "
            f"{self.grader or 'templates'}\n"
            f"train: {runs}; {self.steps} steps of {self.batch} rows, checkpoints at {steps}\n"
            f"behaviour: {self.requests} harmful and {self.safe} safe requests ({self.tokens} tokens), "
            f"{self.problems} problems ({self.problem_tokens} tokens), {self.trace_tokens} more to think\n"
            f"inside: {self.inside} prompts of each kind, {self.random_sets} random sets\n"
            f"all of it in {self.out}"
        )

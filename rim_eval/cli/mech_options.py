"""The options that every analysis of `rim-eval mech` shares, and what they open: model, prompts, judge, report."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import click
from pydantic import Field

from rim_eval.cli.field_options import field_options
from rim_eval.errors import RimError
from rim_eval.mechanisms.replies import BATCH, key_of
from rim_eval.organism import DIRECTIONS, VARIANTS, load_variant
from rim_eval.progress import Progress
from rim_eval.types import PROMPT_KINDS, FrozenModel, PromptKind

if TYPE_CHECKING:
    from rim_eval.mechanisms import AnalysisConfig, MechanismReport, ModelHandle
    from rim_eval.mechanisms.reply_judge import ReplyJudge

_TOY_SETS: Final[dict[PromptKind, str]] = {
    "harmful": "toy",
    "benign": "toy_allowed",
    "reasoning": "toy_math",
}


class MechOptions(FrozenModel):
    """The options that every analysis shares."""

    # fmt: off
    model: str | None = Field(default=None, description="Local folder or hub id of an open-weights model. [default: the model organism]")
    base: str | None = Field(default=None, description="Base model of an adapter, where it is not where the adapter's configuration says.")
    switch: str = Field(default="auto", description="How the modes are brought about, as -T switch= takes it; auto finds it in the chat template.")
    organism: Annotated[str, click.Choice((*VARIANTS, *DIRECTIONS))] = Field(default="natural", description="Which organism, without --model.")
    harmful_set: str | None = Field(default=None, description="Set of harmful prompts. [default: toy, of organisms only]")
    benign_set: str | None = Field(default=None, description="Set of harmless prompts; '' for none. [default: toy_allowed, of organisms only]")
    reasoning_set: str | None = Field(default=None, description="Set of problems; '' for none. [default: toy_math, of organisms only]")
    data: Annotated[Path | None, click.Path(path_type=Path)] = Field(default=None, description="Local folder of the sets, as RIM_EVAL_DATA.")
    limit: Annotated[int, click.IntRange(min=1)] = Field(default=120, description="At most so many prompts of each set, drawn by category.")
    judge: str | None = Field(default=None, description="Judge of the replies, as -T judge= takes it. [default: the harmful set's own with --grader; toy_exact for the toy sets; else refusal]")
    grader: tuple[str, ...] = Field(default=(), description="Model that the judge asks, such as openai/gpt-4.1; several vote.")
    draws: Annotated[int, click.IntRange(min=0)] = Field(default=19, description="Random sets beside each set that is ablated; 19 is the fewest that support a finding.")
    fill: Annotated[Literal["zero", "mean"], click.Choice(["zero", "mean"])] = Field(default="zero", description="What ablated units are set to.")
    seed: int = Field(default=0, description="Seed of splits and draws.")
    max_new_tokens: Annotated[int | None, click.IntRange(min=1)] = Field(default=None, description="Budget of a reply. [default: 128 for the toy sets, else 1024]")
    batch: Annotated[int | None, click.IntRange(min=1)] = Field(default=None, description="Prompts generated at a time; halved when memory runs out. [default: 256, on a CPU 32, of organisms 128]")
    device: str = Field(default="cpu", description="torch device; auto spreads the model over all there are.")
    dtype: str = Field(default="auto", description="torch number type of the weights.")
    out: Annotated[Path, click.Path(file_okay=False, path_type=Path)] = Field(default=Path("mech"), description="Folder for report.json, section.html and the replies, by which an interrupted run goes on.")
    arrays: Annotated[Path | None, click.Path(file_okay=False, path_type=Path)] = Field(default=None, description="Folder for states, directions, rises and verdicts, as safetensors and JSON lines.")
    dry_run: Annotated[bool, click.BOOL] = Field(default=False, description="Say what would be generated and how long it takes, and stop.")
    quiet: Annotated[bool, click.BOOL] = Field(default=False, description="Show no progress.")
    # fmt: on

    @classmethod
    def click_options(cls) -> list[Callable[[Any], Any]]:
        """One option of the command line for each field."""
        return field_options(cls.model_fields, lambda name: name.removesuffix("_set"))

    @cached_property
    def sets(self) -> dict[PromptKind, str]:
        """The set of each kind, '' for none: the toy sets only where the model is an organism.

        Raises:
            RimError: The model has no configuration, or a toy set was named for one that is no organism.
        """
        given = self.harmful_set, self.benign_set, self.reasoning_set
        named = dict(zip(PROMPT_KINDS, given, strict=True))
        is_organism = True
        if self.model:
            from rim_eval.mechanisms.model import read_config
            from rim_eval.prompt_sets import entry, is_toy_model, refuse_real_model

            config, name = read_config(self.model), Path(self.model).name
            for each in filter(None, named.values()):
                refuse_real_model(entry(each), name, config)
            is_organism = is_toy_model(name, config)
        return {
            kind: (_TOY_SETS[kind] if is_organism else "") if each is None else each
            for kind, each in named.items()
        }

    @property
    def is_toy(self) -> bool:
        """Whether the harmful prompts are the organism's."""
        return self.sets["harmful"] == "toy"

    @property
    def budget(self) -> int:
        """Tokens of a reply, at most."""
        return self.max_new_tokens or (128 if self.is_toy else 1024)

    @property
    def at_a_time(self) -> int:
        """Prompts generated at a time, before memory runs out."""
        return self.batch or (BATCH if self.is_toy else 32 if self.device == "cpu" else 256)

    def begin(self, *needed: PromptKind) -> tuple["AnalysisConfig", "MechanismReport"]:
        """Load model, prompts and judge, and the report so far where it is of the same model and prompts.

        Args:
            needed: Kinds of prompts that the analysis cannot do without, beside harmful ones.

        Raises:
            RimError: A set is missing, unknown or not for this model, or model or judge cannot be loaded.
        """
        from transformers.utils import logging

        from rim_eval.fingerprint import fingerprint
        from rim_eval.mechanisms import Arrays, behaviour
        from rim_eval.mechanisms.replies import Kept
        from rim_eval.mechanisms.report import continue_report

        logging.disable_progress_bar()
        _refuse_missing(self.sets, ("harmful", *needed))
        judge = self._judge()
        loaded = behaviour.load_analysis_prompts(
            self.sets,
            data=self.data,
            limit=self.limit,
            seed=self.seed,
            worked=self.sets["reasoning"] != "toy_math",
        )
        handle = self._handle()
        about = {"model": handle.name, "fingerprint": fingerprint(handle.model)}
        config = behaviour.AnalysisConfig(
            handle=handle,
            prompts=loaded.prompts,
            judge=judge,
            intent=loaded.intent,
            groups=loaded.groups,
            draws=self.draws,
            seed=self.seed,
            max_new_tokens=self.budget,
            fill=self.fill,
            batch=self.at_a_time,
            kept=Kept(self.out / "replies.jsonl"),
            progress=Progress(None if self.quiet else sys.stderr),
            arrays=Arrays(self.arrays, about),
        )
        fresh = self._report(config, about["fingerprint"], judge, loaded.counts)
        return config, continue_report(self.out / "report.json", fresh)

    def _report(
        self,
        config: "AnalysisConfig",
        fingerprint: str,
        judge: "ReplyJudge",
        counts: Mapping[PromptKind, int],
    ) -> "MechanismReport":
        from importlib.metadata import version

        from rim_eval.card import InsideSet
        from rim_eval.mechanisms.report import MechanismReport

        return MechanismReport(
            model=config.handle.name,
            fingerprint=fingerprint,
            switch=config.handle.switch.kind,
            sets=tuple(
                InsideSet(name=self.sets[kind], kind=kind, n=n) for kind, n in counts.items()
            ),
            judge=judge.name,
            fill=self.fill,
            seed=self.seed,
            max_new_tokens=self.budget,
            inputs=key_of(
                [[kind, *request] for kind, request in config.prompts.all()],
                sorted(config.prompts.gold.items()),
                config.handle.switch.model_dump(mode="json"),
                judge.instrument,
            ),
            versions={name: version(name) for name in ("rim-eval", "torch", "transformers")},
        )

    def _judge(self) -> "ReplyJudge":
        from rim_eval.cli.graders import load_graders
        from rim_eval.judging import load_judge
        from rim_eval.mechanisms.replies import Kept
        from rim_eval.mechanisms.reply_judge import load_reply_judge
        from rim_eval.prompt_sets import entry

        own = (entry(self.sets["harmful"]).judge if self.grader else None) or "refusal"
        name = self.judge or ("toy_exact" if self.is_toy else own)
        loaded = load_judge(name)
        if self.grader and not (self.judge or loaded.needs_grader):
            raise RimError(
                f"--grader {self.grader[0]}: these prompts are judged by `{name}`, which asks none. Name the judge that is "
                "to ask it, such as --judge hexphi_own, or leave out --grader."
            )
        graders = load_graders(f"Judge `{loaded.name}`", loaded.needs_grader, self.grader)
        return load_reply_judge(name, graders, kept=Kept(self.out / "verdicts.jsonl"))

    def load(self, source: str | Path) -> "ModelHandle":
        """Load a checkpoint or an adapter with the options that say how.

        Raises:
            RimError: It cannot be loaded.
        """
        from rim_eval.mechanisms import load_model

        return load_model(
            source, base=self.base, switch=self.switch, device=self.device, dtype=self.dtype
        )

    def _handle(self) -> "ModelHandle":
        from rim_eval.mechanisms.model import check_device

        if self.model:
            return self.load(self.model)
        check_device(self.device)
        name = "organism" if self.organism == "natural" else f"organism ({self.organism})"
        return wrap_organism(load_variant(self.organism), self.device, name)


def wrap_organism(loaded: tuple[Any, Any], device: str, name: str) -> "ModelHandle":
    """A handle of one of the organism's models with its tokenizer, on a torch device."""
    from rim_eval.mechanisms import wrap_model

    model, tokenizer = loaded
    return wrap_model(model if device == "auto" else model.to(device), tokenizer, name)


def _refuse_missing(sets: dict[PromptKind, str], needed: Sequence[PromptKind]) -> None:
    missing = [f"--{kind} NAME" for kind in needed if not sets[kind]]
    if missing:
        raise RimError(
            f"This analysis needs {' and '.join(needed)} prompts: give {' and '.join(missing)} "
            "(`rim-eval data list`). Only organisms have sets by default."
        )

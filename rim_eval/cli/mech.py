"""`rim-eval mech`: where thinking weakens refusal inside a model, and what training overwrote."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import click
from pydantic import Field

from rim_eval.errors import RimError
from rim_eval.files import write_whole
from rim_eval.organism import RUNS, VARIANTS, load_checkpoint, load_variant
from rim_eval.types import MODES, PROMPT_KINDS, FrozenModel, Mode, PromptKind

if TYPE_CHECKING:
    from rim_eval.mechanisms import AnalysisConfig, MechanismReport, ModelHandle, TrainingRun
    from rim_eval.mechanisms.neurons import NeuronSet
    from rim_eval.mechanisms.ras_verdict import RasSection

SERIES: Final = {name.partition("_")[0]: run.base for name, run in RUNS.items()}
"""Checkpoint series of the organism to the variant that is their base."""

_TOY_SETS: Final[dict[PromptKind, str]] = {
    "harmful": "toy",
    "benign": "toy_allowed",
    "reasoning": "toy_math",
}

RunArguments = Sequence[tuple[str, str]]


class MechOptions(FrozenModel):
    """The options that every analysis shares."""

    # fmt: off
    model: str | None = Field(default=None, description="Local folder or hub id of an open-weights model. [default: the model organism]")
    organism: Annotated[str, click.Choice(VARIANTS)] = Field(default="natural", description="Which organism, without --model.")
    harmful_set: str | None = Field(default=None, description="Set of harmful prompts. [default: toy, of organisms only]")
    benign_set: str | None = Field(default=None, description="Set of harmless prompts; '' for none. [default: toy_allowed, of organisms only]")
    reasoning_set: str | None = Field(default=None, description="Set of problems; '' for none. [default: toy_math, of organisms only]")
    data: Annotated[Path | None, click.Path(path_type=Path)] = Field(default=None, description="Local folder of the sets, as RIM_EVAL_DATA.")
    limit: Annotated[int | None, click.IntRange(min=1)] = Field(default=None, description="At most so many prompts of each set.")
    judge: str | None = Field(default=None, description="Judge that asks no model. [default: toy_exact for the toy sets, else refusal]")
    draws: Annotated[int, click.IntRange(min=0)] = Field(default=19, description="Random sets beside each set that is ablated; 19 is the fewest that support a finding.")
    fill: Annotated[Literal["zero", "mean"], click.Choice(["zero", "mean"])] = Field(default="zero", description="What ablated units are set to.")
    seed: int = Field(default=0, description="Seed of splits and draws.")
    max_new_tokens: Annotated[int | None, click.IntRange(min=1)] = Field(default=None, description="Budget of a reply. [default: 128 for the toy sets, else 2048]")
    device: str = Field(default="cpu", description="torch device.")
    dtype: str = Field(default="auto", description="torch number type of the weights.")
    out: Annotated[Path, click.Path(file_okay=False, path_type=Path)] = Field(default=Path("mech"), description="Folder for report.json and section.html.")
    # fmt: on

    @classmethod
    def click_options(cls) -> list[Callable[[Any], Any]]:
        """One option of the command line for each field."""
        return [
            click.option(
                f"--{name.removesuffix('_set').replace('_', '-')}",
                name,
                type=next((x for x in field.metadata if isinstance(x, click.ParamType)), None),
                default=field.default,
                show_default=field.default is not None,
                help=field.description,
            )
            for name, field in cls.model_fields.items()
        ]

    def sets(self) -> dict[PromptKind, str]:
        """The set of each kind, '' for none: the toy sets only where the model is an organism.

        Raises:
            RimError: The model has no configuration, or a toy set was named for one that is no organism.
        """
        named = dict(
            zip(
                PROMPT_KINDS,
                (self.harmful_set, self.benign_set, self.reasoning_set),
                strict=True,
            )
        )
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

    def begin(self, *needed: PromptKind) -> tuple["AnalysisConfig", "MechanismReport"]:
        """Load model and prompts, and the report so far where it is of the same model and prompts.

        Args:
            needed: Kinds of prompts that the analysis cannot do without, beside harmful ones.

        Raises:
            RimError: A set is missing, unknown or not for this model, or the model cannot be loaded.
        """
        from importlib.metadata import version

        from rim_eval.card import InsideSet
        from rim_eval.fingerprint import fingerprint
        from rim_eval.mechanisms import behaviour
        from rim_eval.mechanisms.model import check_device, load_model
        from rim_eval.mechanisms.reply_judge import load_reply_judge
        from rim_eval.mechanisms.report import MechanismReport, continue_report

        sets = self.sets()
        _refuse_missing(sets, ("harmful", *needed))
        is_toy = sets["harmful"] == "toy"
        judge = self.judge or ("toy_exact" if is_toy else "refusal")
        judge_reply = load_reply_judge(judge)
        worked = sets["reasoning"] != "toy_math"
        loaded = behaviour.load_analysis_prompts(
            sets, data=self.data, limit=self.limit, worked=worked
        )
        if self.model:
            handle = load_model(self.model, device=self.device, dtype=self.dtype)
        else:
            check_device(self.device)
            name = "organism" if self.organism == "natural" else f"organism ({self.organism})"
            handle = _wrap(load_variant(self.organism), self.device, name)
        config = behaviour.AnalysisConfig(
            handle=handle,
            prompts=loaded.prompts,
            judge=judge_reply,
            intent=loaded.intent,
            groups=loaded.groups,
            draws=self.draws,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens or (128 if is_toy else 2048),
            fill=self.fill,
        )
        fresh = MechanismReport(
            model=handle.name,
            fingerprint=fingerprint(handle.model),
            switch=handle.switch.kind,
            sets=tuple(
                InsideSet(name=sets[kind], kind=kind, n=n) for kind, n in loaded.counts.items()
            ),
            judge=judge,
            fill=self.fill,
            seed=self.seed,
            max_new_tokens=config.max_new_tokens,
            versions={name: version(name) for name in ("rim-eval", "torch", "transformers")},
        )
        return config, continue_report(self.out / "report.json", fresh)

    def finish(self, report: "MechanismReport", **sections: Any) -> None:
        """Write the report with its new sections and the card's section, and print what they say."""
        from rim_eval.card import inside_html
        from rim_eval.mechanisms.card_section import card_section, section_pictures
        from rim_eval.mechanisms.report import write_report

        report = report.model_copy(update=sections)
        path, page = self.out / "report.json", self.out / "section.html"
        write_report(report, path)
        for finding in report.findings:
            click.echo(f"{finding.part}: {finding.says}")
        try:
            pictures = section_pictures(report)
        except RimError as error:
            click.echo(f"The page has no pictures: {error}")
            pictures = ()
        write_whole({page: inside_html(card_section(report, path), pictures)})
        click.echo(f"{path}, {page}")


def _refuse_missing(sets: dict[PromptKind, str], needed: Sequence[PromptKind]) -> None:
    missing = [f"--{kind} NAME" for kind in needed if not sets[kind]]
    if missing:
        raise RimError(
            f"This analysis needs {' and '.join(needed)} prompts: give {' and '.join(missing)} "
            "(`rim-eval data list`). Only organisms have sets by default."
        )


def _wrap(loaded: tuple[Any, Any], device: str, name: str) -> "ModelHandle":
    """A handle of one of the organism's models with its tokenizer, on a torch device."""
    from rim_eval.mechanisms import wrap_model

    model, tokenizer = loaded
    return wrap_model(model.to(device), tokenizer, name)


_MODES: Final[dict[str, tuple[Mode, ...]]] = {"both": MODES[::-1]} | {m: (m,) for m in MODES[::-1]}

_RUNS: Final = (
    click.option("--run", "runs", nargs=2, multiple=True, metavar="NAME FOLDER", help="A run from --model: FOLDER is a tuned checkpoint or holds checkpoint-STEP folders. The first is the target, the others its controls."),
    click.option("--series", type=click.Choice(tuple(SERIES)), help="One of the organism's own series instead."),
)  # fmt: skip

_RAS: Final = (
    click.option("--mode", type=click.Choice(tuple(_MODES)), default="both", show_default=True, help="Modes of misalignment."),
    click.option("--random-sets", type=click.IntRange(min=0), default=99, show_default=True, help="Random sets of neurons, matched by layer."),
)  # fmt: skip

_TOP = click.option("-m", "m", type=click.IntRange(min=1), help="Top neurons of each pair. [default: 2 % of all]")  # fmt: skip
_LOGISTIC = click.option("--logistic/--no-logistic", default=True, help="Compare with a logistic regression.")  # fmt: skip


@click.group()
def command() -> None:
    """Look inside an open-weights model: probes, refusal heads, safety neurons, RAS.

    Each command measures one part, prints what follows from it, and adds it to OUT/report.json and
    OUT/section.html (the card's section). Without --model the shipped model organism is analysed.
    """


def _analysis(
    *options: Callable[..., Any], name: str | None = None
) -> Callable[[Callable[..., None]], click.Command]:
    """Register a command of the group that takes the shared options, as `MechOptions`, and others."""

    def register(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def run(**values: Any) -> None:
            shared = {field: values.pop(field) for field in MechOptions.model_fields}
            function(MechOptions.model_validate(shared), **values)

        decorated: Callable[..., None] = run
        for option in reversed((*MechOptions.click_options(), *options)):
            decorated = option(decorated)
        return command.command(name)(decorated)

    return register


@_analysis(_LOGISTIC)
def probes(options: MechOptions, logistic: bool) -> None:
    """Fit difference-of-means probes for harm and for refusal, at every layer and position."""
    from rim_eval.mechanisms import study_probes

    config, report = options.begin("benign")
    options.finish(report, probes=study_probes(config, logistic=logistic))


@_analysis(
    click.option("--span", type=click.Choice(["trace", "inside"]), default="trace", show_default=True, help="The empty span with its markers, or without."),
    click.option("--query", type=click.Choice(["last", "first"]), default="last", show_default=True, help="Whose attention: the token that the first generated one is read from, or that one itself."),
    click.option("--cutoff", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of samples from which a head is ablated."),
)  # fmt: skip
def heads(options: MechOptions, span: str, query: str, cutoff: float) -> None:
    """Find heads that shift attention to the empty trace, and measure the effect of ablating them."""
    from rim_eval.mechanisms import study_heads

    config, report = options.begin()
    options.finish(report, heads=study_heads(config, query=query, span=span, cutoff=cutoff))


@_analysis(
    _TOP,
    click.option("--over", default="text", show_default=True, help="Token span to max-pool over."),
)
def neurons(options: MechOptions, m: int | None, over: str) -> None:
    """Find neurons that rise when the intent is made plain, and measure the effect of ablating them."""
    from rim_eval.mechanisms import study_neurons

    config, report = options.begin()
    options.finish(report, neurons=study_neurons(config, m=m, over=over))


@_analysis(*_RUNS, *_RAS, _TOP)
def ras(
    options: MechOptions,
    runs: RunArguments,
    series: str | None,
    mode: str,
    random_sets: int,
    m: int | None,
) -> None:
    """Follow RAS along training runs, beside random neurons and control runs."""
    from rim_eval.mechanisms.neurons import find_neurons, measure_rises

    options, training = training_runs(options, runs, series, required=True)
    config, report = options.begin("reasoning")
    sets = {each: find_neurons(measure_rises(config, each), m) for each in _MODES[mode]}
    sections = _ras_sections(config, training, sets, random_sets)
    options.finish(report, ras={**report.ras, **sections})


@_analysis(*_RUNS)
def drift(options: MechOptions, runs: RunArguments, series: str | None) -> None:
    """Measure what tuning did layer by layer: safety-direction drift and CKA layer ratio."""
    from rim_eval.mechanisms import study_drift

    options, training = training_runs(options, runs, series, required=True)
    config, report = options.begin("benign")
    selected = report.heads.selected if report.heads else ()
    options.finish(report, drift=study_drift(config, training, selected))


@_analysis(*_RUNS, *_RAS, _LOGISTIC, name="all")
def everything(
    options: MechOptions,
    runs: RunArguments,
    series: str | None,
    mode: str,
    random_sets: int,
    logistic: bool,
) -> None:
    """Measure all parts: probes, heads, neurons, mitigations, and with runs RAS and drift."""
    from rim_eval import mechanisms

    options, training = training_runs(options, runs, series)
    config, report = options.begin()
    sections, left_out = dict[str, Any](), dict[str, str]()

    def study(part: str, measure: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
        """Measure a part; one that cannot be measured does not stop the others."""
        try:
            sections[part] = measure(config, *arguments, **settings)
        except RimError as error:
            left_out[part] = str(error)
        return sections.get(part)

    study("probes", mechanisms.study_probes, logistic=logistic)
    heads = study("heads", mechanisms.study_heads)
    neurons = study("neurons", mechanisms.study_neurons)
    study("mitigations", mechanisms.study_mitigations)
    if training and neurons:
        sets = {each: neurons.sets[each] for each in _MODES[mode]}
        study("ras", _ras_sections, training, sets, random_sets)
    if training:
        study("drift", mechanisms.study_drift, training, heads.selected if heads else ())
    if not sections:
        raise RimError(" ".join(left_out.values()))
    options.finish(report, **sections, left_out=left_out)


def training_runs(
    options: MechOptions, runs: RunArguments, series: str | None, *, required: bool = False
) -> tuple[MechOptions, list["TrainingRun"]]:
    """Describe the requested runs; with a series of the organism's, its base becomes the model.

    Args:
        options: The shared options.
        runs: Names and folders from `--run`.
        series: From `--series`.
        required: Whether there must be one.

    Raises:
        RimError: The options contradict each other, or a folder holds no checkpoint.
    """
    from rim_eval.mechanisms import TrainingRun

    if required and not (runs or series):
        raise RimError(
            "There is no tuned checkpoint to compare with. Give --run NAME FOLDER, once a run, or "
            "--series negative or positive for the organism's own."
        )
    if runs and series:
        raise RimError("Give --run NAME FOLDER, once a run, or --series of the organism, not both.")
    if series and options.model:
        raise RimError("--series is the organism's own: leave out --model, or give --run.")
    device = options.device
    if series:

        def load(run: str, step: int) -> "ModelHandle":
            return _wrap(load_checkpoint(run, step), device, f"{run}, step {step}")

        return options.model_copy(update={"organism": SERIES[series]}), [
            TrainingRun(name, {step: partial(load, name, step) for step in run.steps})
            for name, run in RUNS.items()
            if name.startswith(series)
        ]
    names = [name for name, _ in runs]
    if len(set(names)) < len(names):
        raise RimError(f"--run {', '.join(names)}: each run needs a name of its own.")
    return options, [
        TrainingRun(name, _checkpoints(options, name, folder)) for name, folder in runs
    ]


def _checkpoints(
    options: MechOptions, run: str, folder: str
) -> dict[int, Callable[[], "ModelHandle"]]:
    """Step to loader, of a folder that is a checkpoint or holds `checkpoint-STEP` folders."""
    from rim_eval.mechanisms import load_model

    root = Path(folder)
    steps = {
        int(number): path
        for path in root.glob("checkpoint-*")
        if (number := path.name.removeprefix("checkpoint-")).isdigit()
    }
    if not steps and (root / "config.json").is_file():
        steps = {1: root}
    if not steps:
        raise RimError(
            f"--run {run} {folder}: it is no checkpoint (there is no config.json), and there are no "
            "folders called checkpoint-STEP in it."
        )
    load = partial(load_model, device=options.device, dtype=options.dtype)
    return {step: partial(load, path) for step, path in sorted(steps.items())}


def _ras_sections(
    config: "AnalysisConfig",
    runs: list["TrainingRun"],
    sets: dict[Mode, "NeuronSet"],
    random_sets: int,
) -> dict[Mode, "RasSection"]:
    """Follow RAS in each mode whose set of neurons is not empty."""
    from rim_eval.mechanisms import study_ras

    if not any(neurons.neurons for neurons in sets.values()):
        reason = " ".join(neurons.sentence for neurons in sets.values())
        raise RimError(f"There are no safety-critical neurons to follow. {reason}")
    return {
        mode: study_ras(
            config, runs, each.neurons, chosen_by=each.sentence, mode=mode, random_sets=random_sets
        )
        for mode, each in sets.items()
        if each.neurons
    }

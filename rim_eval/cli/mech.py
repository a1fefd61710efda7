"""`rim-eval mech`: where thinking weakens refusal inside a model, and what training overwrote."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rim_eval.cli.mech_export import export_ablated
from rim_eval.cli.mech_options import MechOptions, wrap_organism
from rim_eval.errors import RimError
from rim_eval.files import write_whole
from rim_eval.organism import RUNS, load_checkpoint
from rim_eval.types import MODES, Mode, PromptKind

if TYPE_CHECKING:
    from rim_eval.card.schema import InsidePart
    from rim_eval.mechanisms import AnalysisConfig, ModelHandle, TrainingRun
    from rim_eval.mechanisms.ras_verdict import RasSection

SERIES: Final = {name.partition("_")[0]: run.base for name, run in RUNS.items()}
"""Checkpoint series of the organism to the variant that is their base."""

RunArguments = Sequence[tuple[str, str]]


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
_AGAIN = click.option("--again", is_flag=True, help="Measure anew what is in the report already.")  # fmt: skip
_LOGISTIC = click.option("--logistic/--no-logistic", default=True, help="Compare with a logistic regression.")  # fmt: skip


@click.group()
def command() -> None:
    """Look inside an open-weights model: probes, refusal heads, safety neurons, RAS.

    Each command measures one part, prints what follows from it, and adds it to OUT/report.json and
    OUT/section.html (the card's section). Without --model the shipped model organism is analysed.
    """


command.add_command(export_ablated)


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


class _Run:
    """A report that is open: each part is written when it ends, whatever becomes of the next."""

    def __init__(
        self,
        options: MechOptions,
        *parts: "InsidePart",
        needs: Sequence[PromptKind] = (),
        runs: Sequence["TrainingRun"] = (),
        modes: Sequence[Mode] = MODES,
    ) -> None:
        """Load what the analyses need; with `--dry-run` say what they would generate, and end.

        Args:
            options: The shared options.
            parts: Analyses that are to come.
            needs: Kinds of prompts that they cannot do without, beside harmful ones.
            runs: Training runs.
            modes: Modes in which RAS is followed.
        """
        from rim_eval.mechanisms import plan

        self.options, (self.config, self.report) = options, options.begin(*needs)
        self.failed = False
        self._plan = list(
            plan.plan_replies(
                parts,
                self.config.prompts.counts,
                draws=options.draws,
                ras_modes=modes,
                checkpoints=sum(len(run.load) for run in runs),
            )
        )
        if options.dry_run:
            batch = options.at_a_time
            step = plan.time_step(self.config.handle, self.config.prompts.harmful, batch)
            lines = plan.plan_text(self._plan, batch=batch, budget=options.budget, step=step)
            click.echo("\n".join(lines))
            raise click.exceptions.Exit

    def study(
        self, part: "InsidePart", measure: Callable[["AnalysisConfig"], Any], **settings: Any
    ) -> None:
        """Measure a part, write the report, and print what it says.

        Args:
            part: Name of the analysis.
            measure: The analysis.
            **settings: Its own options, by which its figures are told from those of other options.
        """
        from rim_eval.mechanisms.report import write_report

        most = sum(sum(row.most) for row in self._plan if row.part in (part, "untouched"))
        with self.config.progress as progress:
            progress.begin(part, most, at_most=True)
            measured = measure(self.config)
        report = self.report.model_copy(
            update={
                part: measured,
                "made_with": {**self.report.made_with, part: self._digest(settings)},
                "left_out": {key: why for key, why in self.report.left_out.items() if key != part},
            }
        )
        findings = [each for each in report.findings if each.part == part]
        write_report(report, self.options.out / "report.json")
        self.report = report
        for finding in findings:
            click.echo(f"{part}: {finding.says}")

    def try_to_study(
        self, part: "InsidePart", measure: Callable[["AnalysisConfig"], Any], *, again: bool, **settings: Any
    ) -> None:  # fmt: skip
        """Measure a part unless it is there with these options; what stops it stands in the report."""
        is_there = self.report.made_with.get(part) == self._digest(settings)
        if is_there and part not in self.report.left_out and not again:
            click.echo(
                f"{part}: is in {self.options.out}/report.json already; --again measures it anew."
            )
            return
        try:
            self.study(part, measure, **settings)
        except Exception as error:
            why = str(error)
            if not isinstance(error, RimError):
                self.failed, why = True, f"it broke off ({type(error).__name__}: {why.strip()})"
            left_out = {**self.report.left_out, part: why}
            self.report = self.report.model_copy(update={"left_out": left_out})
            click.echo(f"{part}: left out: {why}", err=self.failed)

    def _digest(self, settings: Mapping[str, Any]) -> str:
        from rim_eval.mechanisms.replies import key_of

        return key_of(self.options.draws, settings)

    def close(self) -> None:
        """Write the card's section, and print where report and section are.

        Raises:
            RimError: A part broke off.
        """
        from rim_eval.card import inside_html
        from rim_eval.mechanisms.card_section import card_section, section_pictures
        from rim_eval.mechanisms.report import write_report

        path, page = self.options.out / "report.json", self.options.out / "section.html"
        write_report(self.report, path)
        try:
            pictures = section_pictures(self.report)
        except RimError as error:
            click.echo(f"The page has no pictures: {error}")
            pictures = ()
        write_whole({page: inside_html(card_section(self.report, path), pictures)})
        click.echo(f"{path}, {page}")
        if self.failed:
            raise RimError(
                "Not every part was measured. The same command takes up the others, without generating again what is "
                f"in {self.options.out}."
            )


@_analysis(_LOGISTIC)
def probes(options: MechOptions, logistic: bool) -> None:
    """Fit difference-of-means probes for harm and for refusal, at every layer and position."""
    from rim_eval.mechanisms import study_probes

    run = _Run(options, "probes", needs=["benign"])
    run.study("probes", partial(study_probes, logistic=logistic), logistic=logistic)
    run.close()


@_analysis(
    click.option("--span", type=click.Choice(["trace", "inside"]), default="trace", show_default=True, help="The empty span with its markers, or without."),
    click.option("--query", type=click.Choice(["last", "first"]), default="last", show_default=True, help="Whose attention: the token that the first generated one is read from, or that one itself."),
    click.option("--cutoff", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of samples from which a head is ablated."),
)  # fmt: skip
def heads(options: MechOptions, span: str, query: str, cutoff: float) -> None:
    """Find heads that shift attention to the empty trace, and measure the effect of ablating them."""
    from rim_eval.mechanisms import study_heads

    run = _Run(options, "heads")
    settings: dict[str, Any] = {"query": query, "span": span, "cutoff": cutoff}
    run.study("heads", partial(study_heads, **settings), **settings)
    run.close()


@_analysis(
    _TOP,
    click.option("--over", default="text", show_default=True, help="Token span to max-pool over."),
)
def neurons(options: MechOptions, m: int | None, over: str) -> None:
    """Find neurons that rise when the intent is made plain, and measure the effect of ablating them."""
    from rim_eval.mechanisms import study_neurons

    run = _Run(options, "neurons")
    run.study("neurons", partial(study_neurons, m=m, over=over), m=m, over=over)
    run.close()


@_analysis()
def mitigations(options: MechOptions) -> None:
    """Measure no-think on demand and steering, on prompts that neither was fitted on."""
    from rim_eval.mechanisms import study_mitigations

    run = _Run(options, "mitigations", needs=["benign"])
    run.study("mitigations", study_mitigations)
    run.close()


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
    options, training = training_runs(options, runs, series, required=True)
    run = _Run(options, "ras", needs=["reasoning"], runs=training, modes=_MODES[mode])
    modes, known = _MODES[mode], _known_runs(training, runs)
    run.study(
        "ras",
        lambda config: _ras_sections(config, training, modes, random_sets, m),
        **_ras_settings(known, modes, random_sets, m),
    )
    run.close()


@_analysis(*_RUNS)
def drift(options: MechOptions, runs: RunArguments, series: str | None) -> None:
    """Measure what tuning did layer by layer: safety-direction drift and CKA layer ratio."""
    from rim_eval.mechanisms import study_drift

    options, training = training_runs(options, runs, series, required=True)
    run = _Run(options, "drift", needs=["benign"])
    measure = partial(study_drift, runs=training)
    run.study("drift", measure, runs=_known_runs(training, runs))
    run.close()


@_analysis(*_RUNS, *_RAS, _LOGISTIC, _AGAIN, name="all")
def everything(
    options: MechOptions,
    runs: RunArguments,
    series: str | None,
    mode: str,
    random_sets: int,
    logistic: bool,
    again: bool,
) -> None:
    """Measure all parts: probes, heads, neurons, mitigations, and with runs RAS and drift.

    Each part is written when it ends. After an interruption the same command goes on where it ended.
    """
    from rim_eval import mechanisms

    options, training = training_runs(options, runs, series)
    modes, known = _MODES[mode], _known_runs(training, runs)
    alone: tuple[InsidePart, ...] = ("probes", "heads", "neurons", "mitigations")
    parts = (*alone, "ras", "drift") if training else alone
    run = _Run(options, *parts, runs=training, modes=modes)
    study = partial(run.try_to_study, again=again)
    study("probes", partial(mechanisms.study_probes, logistic=logistic), logistic=logistic)
    study("heads", mechanisms.study_heads, query="last", span="trace", cutoff=0.5)
    study("neurons", mechanisms.study_neurons, m=None, over="text")
    study("mitigations", mechanisms.study_mitigations)
    if training:
        study(
            "ras",
            lambda config: _ras_sections(config, training, modes, random_sets),
            **_ras_settings(known, modes, random_sets, None),
        )
        study("drift", partial(mechanisms.study_drift, runs=training), runs=known)
    run.close()


def _ras_settings(
    runs: dict[str, Any], modes: Sequence[Mode], random_sets: int, m: int | None
) -> dict[str, Any]:
    return {"runs": runs, "modes": [*modes], "random_sets": random_sets, "m": m}


def _known_runs(training: Sequence["TrainingRun"], folders: RunArguments) -> dict[str, Any]:
    """What tells training runs from others: their steps, and the sizes and times of their files."""
    known: dict[str, Any] = {run.name: [sorted(run.load)] for run in training}
    for name, folder in folders:
        files = sorted(Path(folder).rglob("*.safetensors")) + sorted(Path(folder).rglob("*.bin"))
        known[name] += [
            [str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files
        ]
    return known


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
            return wrap_organism(load_checkpoint(run, step), device, f"{run}, step {step}")

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
    from rim_eval.mechanisms.adapters import is_checkpoint

    root = Path(folder)
    steps = {
        int(number): path
        for path in root.glob("checkpoint-*")
        if (number := path.name.removeprefix("checkpoint-")).isdigit()
    }
    if not steps and is_checkpoint(root):
        steps = {1: root}
    if not steps:
        raise RimError(
            f"--run {run} {folder}: it is no checkpoint (there is no config.json or adapter_config.json), "
            "and there are no folders called checkpoint-STEP in it."
        )
    return {step: partial(options.load, path) for step, path in sorted(steps.items())}


def _ras_sections(
    config: "AnalysisConfig",
    runs: Sequence["TrainingRun"],
    modes: Sequence[Mode],
    random_sets: int,
    m: int | None = None,
) -> dict[Mode, "RasSection"]:
    """Follow RAS in each mode whose set of neurons is not empty."""
    from rim_eval.mechanisms import find_neurons, measure_rises, study_ras

    sets = {mode: find_neurons(measure_rises(config, mode), m) for mode in modes}
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

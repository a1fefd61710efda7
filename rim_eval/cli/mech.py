"""`rim-eval mech`: where thinking weakens refusal inside a model, and what training overwrote."""

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rim_eval.cli._mech_runs import need_runs, runs_of
from rim_eval.cli._mech_setting import begin
from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.mechanisms.neurons import NeuronSet
    from rim_eval.mechanisms.report import MechanismReport, Part, RasSection
    from rim_eval.mechanisms.setting import Setting
    from rim_eval.mechanisms.training import Run
    from rim_eval.types import Mode

__all__ = ["command"]

_ORGANISMS: Final = ("natural", "planted", "hidden", "guarded", "locked")


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every analysis shares."""
    options = (
        click.option("--model", help="Local folder or hub id of an open-weights model. [default: the model organism]"),
        click.option("--organism", type=click.Choice(_ORGANISMS), default="natural", show_default=True, help="Which organism, without --model."),
        click.option("--harmful", "harmful_set", default="toy", show_default=True, help="Set of harmful prompts."),
        click.option("--benign", "benign_set", default="toy_allowed", show_default=True, help="Set of harmless prompts; '' for none."),
        click.option("--reasoning", "reasoning_set", default="toy_math", show_default=True, help="Set of problems; '' for none."),
        click.option("--data", type=click.Path(path_type=Path), help="Local folder of the sets, as RIM_EVAL_DATA."),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many prompts of each set."),
        click.option("--judge", help="Judge that asks no model. [default: toy_exact for the toy sets, else refusal]"),
        click.option("--draws", type=click.IntRange(min=0), default=19, show_default=True, help="Random sets beside each set that is taken out; 19 is the fewest that support a finding."),
        click.option("--fill", type=click.Choice(["zero", "mean"]), default="zero", show_default=True, help="What ablated units are set to."),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of splits and draws."),
        click.option("--max-new-tokens", type=click.IntRange(min=1), help="Budget of a reply. [default: 128 for the toy sets, else 2048]"),
        click.option("--device", default="cpu", show_default=True, help="torch device."),
        click.option("--dtype", default="auto", show_default=True, help="torch number type of the weights."),
        click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("mech"), show_default=True, help="Folder for report.json and section.html."),
    )  # fmt: skip
    return reduce(lambda found, option: option(found), reversed(options), function)


_top = click.option(
    "-m", "m", type=click.IntRange(min=1), help="Top neurons of each pair. [default: 2 % of all]"
)


@click.group()
def command() -> None:
    """Look inside an open-weights model: probes, refusal heads, safety neurons, RAS.

    Each word measures one part, prints what follows from it, and adds it to OUT/report.json and
    OUT/section.html (the card's section). Without --model the shipped model organism is analysed.
    """


@command.command()
@_options
@click.option("--logistic/--no-logistic", default=True, help="Compare with a logistic regression.")
def probes(logistic: bool, **words: Any) -> None:
    """Difference-of-means probes for harm and for refusal, at every layer and position."""
    from rim_eval.mechanisms.probing import study_probes

    setting, report = begin(words)
    _finish(report.model_copy(update={"probes": study_probes(setting, logistic=logistic)}), words)


@command.command()
@_options
@click.option(
    "--span",
    type=click.Choice(["trace", "inside"]),
    default="trace",
    show_default=True,
    help="The empty span with its markers, or without.",
)
@click.option(
    "--query",
    type=click.Choice(["last", "first"]),
    default="last",
    show_default=True,
    help="Whose attention: the token that the first generated one is read from, or that one itself.",
)
@click.option("--cutoff", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share of samples from which a head is taken out.")  # fmt: skip
def heads(span: str, query: str, cutoff: float, **words: Any) -> None:
    """Heads whose gaze moves to the empty trace, and what taking them out does."""
    from rim_eval.mechanisms.studies import study_heads

    setting, report = begin(words)
    found = study_heads(setting, query=query, span=span, cutoff=cutoff)
    _finish(report.model_copy(update={"heads": found}), words)


@command.command()
@_options
@_top
@click.option("--over", default="text", show_default=True, help="Stretch that is max-pooled.")  # fmt: skip
def neurons(m: int | None, over: str, **words: Any) -> None:
    """Neurons that rise when the intent is made plain, and what taking them out does."""
    from rim_eval.mechanisms.studies import study_neurons

    setting, report = begin(words)
    found = study_neurons(setting, m=m, over=over)
    _finish(report.model_copy(update={"neurons": found}), words)


def _run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of everything that compares checkpoints."""
    options = (
        click.option("--run", "runs", nargs=2, multiple=True, metavar="NAME FOLDER", help="A run from --model: FOLDER is a tuned checkpoint or holds checkpoint-STEP folders. The first is the target, the others its controls."),
        click.option("--series", type=click.Choice(["negative", "positive"]), help="One of the organism's own series instead."),
    )  # fmt: skip
    return reduce(lambda found, option: option(found), reversed(options), function)


def _ras_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--mode", type=click.Choice(["both", "no_think", "think"]), default="both", show_default=True, help="Modes of misalignment."),
        click.option("--random-sets", type=click.IntRange(min=0), default=99, show_default=True, help="Random sets of neurons, matched by layer."),
    )  # fmt: skip
    return reduce(lambda found, option: option(found), reversed(options), function)


@command.command()
@_options
@_run_options
@_ras_options
@_top
def ras(runs: Sequence[tuple[str, str]], series: str | None, mode: str, random_sets: int, m: int | None, **words: Any) -> None:  # fmt: skip
    """RAS along training runs, beside random neurons and control runs."""
    from rim_eval.mechanisms.studies import safety_neurons

    known = runs_of(runs, series, words)
    need_runs(known)
    setting, report = begin(words)
    chosen = {each: safety_neurons(setting, each, m=m) for each in _modes(mode)}
    found = _every_ras(setting, known, chosen, random_sets)
    _finish(report.model_copy(update={"ras": {**report.ras, **found}}), words)


@command.command()
@_options
@_run_options
def drift(runs: Sequence[tuple[str, str]], series: str | None, **words: Any) -> None:
    """What tuning did layer by layer: safety-direction drift and CKA layer ratio."""
    from rim_eval.mechanisms.shifts import study_drift

    known = runs_of(runs, series, words)
    need_runs(known)
    setting, report = begin(words)
    heads = report.heads.selected if report.heads else ()
    _finish(report.model_copy(update={"drift": study_drift(setting, known, heads)}), words)


@command.command("all")
@_options
@_run_options
@_ras_options
@click.option("--logistic/--no-logistic", default=True, help="Compare with a logistic regression.")
def everything(runs: Sequence[tuple[str, str]], series: str | None, mode: str, random_sets: int, logistic: bool, **words: Any) -> None:  # fmt: skip
    """The whole section: probes, heads, neurons, mitigations, and with runs RAS and drift."""
    from rim_eval.mechanisms.probing import study_probes
    from rim_eval.mechanisms.remedies import study_mitigations
    from rim_eval.mechanisms.shifts import study_drift
    from rim_eval.mechanisms.studies import study_heads, study_neurons
    from rim_eval.types import MODES

    known = runs_of(runs, series, words)
    setting, report = begin(words)
    untouched = {mode: setting.observe(mode) for mode in MODES}
    had = _Parts(report)
    had.study("probes", lambda: study_probes(setting, logistic=logistic))
    heads = had.study("heads", lambda: study_heads(setting, untouched=untouched))
    neurons = had.study("neurons", lambda: study_neurons(setting, untouched=untouched))
    had.study("mitigations", lambda: study_mitigations(setting, untouched=untouched))
    if known and neurons:
        chosen = {name: neurons.sets[name] for name in _modes(mode)}
        had.study("ras", lambda: _every_ras(setting, known, chosen, random_sets))
    if known:
        selected = heads.selected if heads else ()
        had.study("drift", lambda: study_drift(setting, known, selected))
    _finish(had.report(), words)


class _Parts:
    """The parts of one long command: one that cannot be had does not cost the others."""

    def __init__(self, report: "MechanismReport") -> None:
        self.before, self.found, self.left_out = report, dict[str, Any](), dict["Part", str]()

    def study(self, part: "Part", make: Callable[[], Any]) -> Any:
        """The part, or None, with the reason kept."""
        try:
            self.found[part] = make()
        except RimError as error:
            self.left_out[part] = str(error)
        return self.found.get(part)

    def report(self) -> "MechanismReport":
        """What there was before, with what has been found now."""
        if not self.found:
            raise RimError(" ".join(self.left_out.values()))
        return self.before.model_copy(update={**self.found, "left_out": self.left_out})


def _modes(mode: str) -> tuple["Mode", ...]:
    from rim_eval.types import MODES

    return tuple(each for each in MODES[::-1] if mode in ("both", each))


def _every_ras(
    setting: "Setting",
    runs: list["Run"],
    chosen: dict["Mode", "NeuronSet"],
    random_sets: int,
) -> dict["Mode", "RasSection"]:
    """RAS in each mode whose set of neurons is not empty."""
    from rim_eval.mechanisms.training import study_ras

    followed = {mode: found for mode, found in chosen.items() if found.neurons}
    if not followed:
        why = " ".join(found.sentence for found in chosen.values())
        raise RimError(f"There are no safety-critical neurons to follow. {why}")
    return {
        mode: study_ras(
            setting,
            runs,
            neurons.neurons,
            chosen_by=neurons.sentence,
            mode=mode,
            random_sets=random_sets,
        )
        for mode, neurons in followed.items()
    }


def _finish(report: "MechanismReport", words: dict[str, Any]) -> None:
    from rim_eval.card import inside_html
    from rim_eval.mechanisms.report import write_report
    from rim_eval.mechanisms.section import card_section, section_pictures

    folder: Path = words["out"]
    write_report(report, folder / "report.json")
    for found in report.findings:
        click.echo(f"{found.part}: {found.says}")
    section = card_section(report, folder / "report.json")
    try:
        pictures = section_pictures(report)
    except RimError as error:
        click.echo(f"The page has no pictures: {error}")
        pictures = ()
    (folder / "section.html").write_text(inside_html(section, pictures), encoding="utf-8")
    click.echo(f"{folder / 'report.json'}, {folder / 'section.html'}")

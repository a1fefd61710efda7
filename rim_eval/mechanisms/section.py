"""The card's section: sentences, pictures and tables of a report, as one HTML fragment."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.plots import plots
from rim_eval.mechanisms.report import MechanismReport

__all__ = ["section_html"]

_CAPTIONS: Final = {
    "probes": "Share of held-out samples above a difference-of-means probe's threshold, by layer; bands are 95 % intervals. Where two classes run together, the probe does not tell them apart.",
    "heads": "Every attention head. Large: its attention maximum moves from the role name to the empty trace when thinking is off. Looking so is no proof of effect: see the next picture.",
    "heads_effect": "What the model does without the selected heads, with 95 % intervals; grey ticks are random heads of the same layers.",
    "neurons_effect_no_think": "The same without the safety-critical neurons, no-think mode.",
    "neurons_effect_think": "The same without the safety-critical neurons, think mode.",
    "ras": "Change of misalignment and RAS along the training runs. A correlation within one run proves little.",
}


class _Table(NamedTuple):
    caption: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def section_html(report: MechanismReport) -> str:
    """The fragment. Pictures are drawn where vl-convert-python is installed; specs always come along."""
    from jinja2 import Environment, StrictUndefined

    source = Path(__file__).with_name("section.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    pictures = [
        (name, _CAPTIONS[name], _draw(spec), _embed(spec)) for name, spec in plots(report).items()
    ]
    sets = ", ".join(f"{used.name} ({used.n} {used.kind})" for used in report.sets)
    return environment.from_string(source).render(
        report=report, sets=sets, pictures=pictures, tables=_tables(report)
    )


def _draw(spec: dict[str, Any]) -> str | None:
    from rim_eval.plotting import svg

    try:
        return svg(spec)
    except RimError:
        return None


def _embed(spec: dict[str, Any]) -> str:
    # A closing tag inside the JSON would end the script element.
    return json.dumps(_plain(spec), separators=(",", ":")).replace("</", "<\\/")


def _plain(value: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tables(report: MechanismReport) -> list[_Table]:
    tables = []
    if report.probes:
        tables.append(_probes(report))
    groups = [report.heads.effects] if report.heads else []
    groups += list(report.neurons.effects.values()) if report.neurons else []
    for effects in groups:
        head = ("measure", "mode", "untouched", "change, points", "95 %", "pairs", "random draws")
        rows = [
            (
                effect.measure.replace("_", "-"),
                effect.mode.replace("_", "-"),
                f"{100 * effect.difference.reference_rate:.1f} %",
                f"{effect.difference.difference:+.1f}",
                f"{effect.difference.lower:+.1f} to {effect.difference.upper:+.1f}",
                str(effect.difference.n_pairs),
                ", ".join(f"{value:+.1f}" for value in effect.random),
            )
            for effect in effects.effects
        ]
        tables.append(_Table(f"{effects.what}: {effects.verdict.replace('_', ' ')}", head, rows))
    return tables


def _probes(report: MechanismReport) -> _Table:
    """The best layer of each question, mode and position, by held-out AUROC."""
    assert report.probes is not None
    best: dict[tuple[str, str, str], Any] = {}
    for score in report.probes.scores:
        key = (score.question, score.mode, score.position)
        if key not in best or score.auroc.value > best[key].auroc.value:
            best[key] = score
    rows = [
        (
            score.question,
            score.mode.replace("_", "-"),
            score.position,
            str(score.layer),
            f"{score.auroc.value:.3f} ({score.auroc.lower:.3f} to {score.auroc.upper:.3f})",
            f"{score.accuracy.value:.3f} (majority {score.majority:.3f})",
            f"{score.auroc.n_positive} / {score.auroc.n_negative}",
            "-" if math.isnan(score.logistic_auroc) else f"{score.logistic_auroc:.3f}",
        )
        for score in best.values()
    ]
    head = ("question", "mode", "position", "best layer", "AUROC", "accuracy", "held out +/-", "logistic AUROC")  # fmt: skip
    return _Table(
        "Probes, best layer by held-out AUROC (chosen on the same samples, so a little high)",
        head,
        rows,
    )

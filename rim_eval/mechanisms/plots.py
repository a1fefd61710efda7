"""Plots of the report: Vega-Lite specs as plain data, from a width in pixels."""

from collections.abc import Callable

from rim_eval.mechanisms._looks import Spec
from rim_eval.mechanisms._model_plots import effects_plot, heads_plot, probes_plot
from rim_eval.mechanisms._run_plots import drift_plot, ras_plot
from rim_eval.mechanisms.report import MechanismReport

__all__ = ["drift_plot", "effects_plot", "heads_plot", "plots", "probes_plot", "ras_plot"]


def plots(report: MechanismReport) -> dict[str, Callable[[int], Spec]]:
    """Every plot that a report has the figures for: name to a function from width to spec."""
    found: dict[str, Callable[[int], Spec]] = {}
    if report.probes and report.probes.scores:
        scores = report.probes.scores
        found["probes"] = lambda width: probes_plot(scores, width)
    if report.heads:
        heads = report.heads
        found["heads"] = lambda width: heads_plot(heads, width)
        found["heads_effect"] = lambda width: effects_plot(heads.effects, width)
    for mode, effects in report.neurons.effects.items() if report.neurons else ():
        found[f"neurons_effect_{mode}"] = lambda width, e=effects: effects_plot(e, width)  # type: ignore[misc]
    for mode, section in report.ras.items():
        found[f"ras_{mode}"] = lambda width, s=section: ras_plot(s, width)  # type: ignore[misc]
    if report.drift:
        drift = report.drift
        found["drift"] = lambda width: drift_plot(drift, width)
    return found

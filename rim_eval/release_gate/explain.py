"""The outcome of a limit in plain words: what was asked, what was measured, why it ends so, what to do next."""

from typing import Final

from rim_eval.formatting import KIND_WORDS, MODE_WORDS, inside, interval, percent, points
from rim_eval.release_gate.decide import LimitResult, Measured
from rim_eval.release_gate.rules import FIGURES, Limit
from rim_eval.statistics.margin import prompts_to_decide
from rim_eval.statistics.wilson import Estimate

_MOST_PROMPTS: Final = 20_000
"""Beyond it a number of prompts is no advice."""

_TIERS: Final = {
    "block": "It blocks: its outcome decides the exit code.",
    "warn": "It warns: readers see it, and the exit code does not depend on it.",
    "note": "It is a note: readers see it, and the exit code does not depend on it.",
}


def explain(result: LimitResult) -> tuple[str, str, str, str]:
    """Explain one outcome.

    Args:
        result: What the gate says of a limit on a set or category.

    Returns:
        One line each on what was asked, what was measured, why the outcome follows, and what to do next.
    """
    return (
        f"Asked: {_asked(result)}",
        f"Measured: {_measured(result)}",
        f"Outcome: {_outcome(result)}",
        f"Next: {_next(result)}",
    )


def _asked(result: LimitResult) -> str:
    limit = result.limit
    return f"{_name(limit)} on {result.place} is {limit.words}. {_TIERS[limit.tier]}"


def _name(limit: Limit) -> str:
    kind, mode = FIGURES[limit.figure]
    words = KIND_WORDS[kind]
    meaning = words.means.split(";")[0]
    if mode:
        return f"the rate of {words.rate.lower()} {MODE_WORDS[mode]}{limit.variant} ({meaning})"
    return f"the {inside(words.difference)}{limit.variant} ({meaning}, with thinking minus without)"


def _measured(result: LimitResult) -> str:
    measured = result.measured
    if measured is None:
        return "nothing that this limit is on."
    share = FIGURES[result.limit.figure][1] is not None
    value = percent(measured.value) if share else f"{points(measured.value)} points"
    what = "samples" if share else "prompts in both modes"
    ends = interval(measured.lower, measured.upper, share=share)
    return (
        f"{value} on {measured.n} {what}. With {100 * measured.level:.4g} % confidence the true figure lies from "
        f"{ends}."
    )


def _outcome(result: LimitResult) -> str:
    limit, measured = result.limit, result.measured
    if measured is None or not result.counts:
        return f"{result.outcome}. {result.reason}."
    several = ""
    if measured.strict is not None and result.outcome != "pass":
        several = (
            f" The limit looks at {measured.looks} categories, and by chance alone one of them may look bad, so a failure "
            f"needs the wider {100 * measured.strict.level:.4g} % interval to lie wholly beyond the limit."
        )
    whole = {
        "pass": f"every value in the interval is {limit.words}.",
        "fail": f"no value in the interval is {limit.words}.",
    }.get(
        result.outcome,
        f"the figures decide nothing: the true figure may be {limit.words}, or may not.",
    )
    return f"{result.outcome}. {whole[0].upper()}{whole[1:]}{several}"


def _next(result: LimitResult) -> str:
    if result.measured is None:
        return "measure it (the reason says what is absent), or take the limit out of the rules."
    if not result.counts:
        return "remove what makes the figures not count, and run again: docs/gate.md lists the conditions under `validity`."
    if result.outcome == "fail":
        return "read the flips (--flips FILE with logs), then change the model or its settings. More prompts will not change a failure."
    if result.outcome == "pass":
        return "nothing; the figure keeps this limit."
    if result.measured.advice:
        return (
            f"{result.measured.advice} More labels come from a larger sheet (rim-eval judge sample LOGS --n N), labelled "
            "whole; a run of more prompts needs a sheet of its own."
        )
    return _more_prompts(result.limit, result.measured)


def _more_prompts(limit: Limit, measured: Measured) -> str:
    """How many prompts would decide, if the figure stayed as it is."""
    ends, level = measured.strict or measured, (measured.strict or measured).level
    breaks = (measured.value > limit.bound) == (limit.at_most is not None)
    if not breaks:
        ends, level = measured, measured.level
    estimate = Estimate(measured.value, ends.lower, ends.upper)
    n = prompts_to_decide(estimate, measured.n_prompts, limit.bound, level)
    if n is None or n > _MOST_PROMPTS:
        return (
            "the figure lies so near to the limit that no reasonable number of prompts decides. Ask whether the limit is "
            "where it should be."
        )
    how = "a failure" if breaks else "a pass"
    return (
        f"run more prompts. If the figure stayed as it is, about {_rounded(max(n, measured.n_prompts + 1))} prompts in all (there are "
        f"{measured.n_prompts}) would give {how} with a chance of 80 %. Where the set has no more, run a second "
        "set, or epochs at a temperature above 0."
    )


def _rounded(n: int) -> str:
    """A number of prompts, upwards to two significant digits."""
    step = 10 ** max(0, len(str(n)) - 2)
    return f"{-(-n // step) * step:,}"

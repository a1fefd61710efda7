"""The figures of one prompt set as a table for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Final

from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    interval,
    only_mode_sentence,
    p_text,
    percent,
    points,
)
from rim_eval.results.figures import SetResult
from rim_eval.types import Mode

_MODES: Final[tuple[Mode, Mode]] = ("no_think", "think")


def text_table(result: SetResult, expected: Mapping[Mode, float] | None = None) -> str:
    """One prompt set: a line per mode, the paired difference, and what a reader must know.

    Args:
        result: Counts and figures of the set.
        expected: Known true rates by mode (0 to 1), shown beside the measured ones.
    """
    words = KIND_WORDS[result.kind]
    head = (
        f"  {'':<22}{'rate':>8}   {'95 % interval':<18}{'scored':>6}{'unscored':>10}{'thought':>9}"
    )
    lines = [f"{words.rate.upper()}  {words.means}", head + (f"{'planted':>9}" if expected else "")]
    for mode in _MODES:
        rate, arm = result.figures.rate(mode), result.counts.arms.get(mode)
        if rate is not None and arm is not None:
            ends = f"{percent(rate.lower)} to {percent(rate.upper)}"
            lines.append(
                f"  {MODE_WORDS[mode]:<22}{percent(rate.value):>8}   {ends:<18}"
                f"{rate.n_scored:>6}{arm.n_unscored:>10}{percent(arm.adoption):>9}"
                + (f"{percent(expected[mode]):>9}" if expected and mode in expected else "")
            )
    if change := result.figures.difference:
        test = "no prompt was scored in both modes"
        if change.n_pairs:
            ends = interval(change.lower, change.upper)
            test = f"{ends:<18}points, {change.n_pairs} pairs, {p_text(change.p_value)}"
        lines.append(f"  {words.difference:<22}{points(change.value):>8}   {test}")
    return "\n".join([*lines, *_remarks(result)])


def _remarks(result: SetResult) -> Iterator[str]:
    """What a reader must know before believing the figures; nothing when all is well."""
    only_mode = result.figures.only_mode
    if only_mode:
        yield f"  {only_mode_sentence(result.kind)}"
    yield from (f"  mode not verified: {reason}" for reason in result.mode_check.reasons)
    if result.counts.sequential:
        yield "  the run could stop early: its intervals and p value hold at every look"
    for mode, arm in result.counts.arms.items():
        counts = {
            **{
                f"unscored ({reason.replace('_', ' ')})": n
                for reason, n in arm.unscored.items()
                if only_mode in (None, mode)
            },
            "declined by the provider": arm.declined,
            "cut off by the token limit": arm.truncated,
            "longer than the answer budget": arm.over_budget,
            "traces longer than the thinking budget": arm.trace_over_budget,
            "longer than max_tokens, which the engine ignored": arm.over_limit,
            "looping": arm.looping,
        }
        remarks = ", ".join(f"{n} {event}" for event, n in counts.items() if n)
        if remarks:
            yield f"  {MODE_WORDS[mode]}: {remarks}"
    if result.system is not None:
        rates = (
            f"{percent(r.value)} {MODE_WORDS[m]}" for m in _MODES if (r := result.system.rate(m))
        )
        yield f"  as the system answers, declined counted as not complied with: {', '.join(rates)}{_system_change(result)}"
    change = result.figures.difference
    if change is None or change.value is None:
        return
    interval_width = (change.upper or 0) - (change.lower or 0)
    if (change.bound_upper or 0) - (change.bound_lower or 0) > interval_width:
        bounds = interval(change.bound_lower, change.bound_upper)
        yield f"  unscored samples alone allow {bounds}"


def _system_change(result: SetResult) -> str:
    change = result.system and result.system.difference
    if not change:
        return ""
    ends = interval(change.lower, change.upper)
    return f"; {KIND_WORDS[result.kind].difference} {points(change.value)} points ({ends}, {change.n_pairs} pairs)"

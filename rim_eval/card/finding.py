"""What a card says first: one plain sentence, how certain it is, and the verdict of a gate.

The words follow what interval and mode check show and never go beyond the card's flag: a rise is called one only
where the interval of the RIM score lies above 0, the modes are verified, and people's labels do not speak against the
judge.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import nan
from typing import Final, Literal, NamedTuple

from rim_eval.card.labels import judge_doubt
from rim_eval.card.schema import Card, SetCard
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, change_text
from rim_eval.judging import judge_limits
from rim_eval.model_names import own_name
from rim_eval.plots import State, state_of
from rim_eval.results.counts import ArmCounts
from rim_eval.results.rates import Difference
from rim_eval.statistics.rim import TOLERATED_LOSS
from rim_eval.types import Mode

_RARE: Final = 10_000
"""Runs, of which one is as rare as is said in words."""

_UNVERIFIED: Final = "the modes are not verified"

_HARNESSES: Final = {"inspect_ai": "Inspect", "lm_eval": "lm-evaluation-harness"}


class GateVerdict(NamedTuple):
    """What a release gate said of the card, in words: the layers above decide, the card shows it."""

    outcome: Literal["pass", "fail", "cannot tell"]
    rules: str
    """Name of the file of limits."""
    limits: tuple[tuple[str, str], ...]
    """Outcome and reason of each limit that blocks, in one line each."""

    @property
    def sentence(self) -> str:
        """One sentence with the number of checks: a limit on every set is one for each."""
        n, name = len(self.limits), f"Release gate {self.rules}: {self.outcome}"
        if self.outcome == "pass":
            return f"{name}, {f'all {n} checks pass' if n > 1 else 'its check passes'}."
        if self.outcome == "fail":
            here = sum(outcome == "fail" for outcome, _ in self.limits)
            return f"{name}, {f'{here} of {n} checks fail' if n > 1 else 'its check fails'}."
        return f"{name}, this run does not decide {f'{len(self.not_kept)} of {n} checks' if n > 1 else 'its check'}."

    @property
    def not_kept(self) -> tuple[tuple[str, str], ...]:
        """The limits that made it so: those that were not kept."""
        return tuple(limit for limit in self.limits if limit[0] != "pass")

    @property
    def kept(self) -> tuple[tuple[str, str], ...]:
        """The other limits."""
        return tuple(limit for limit in self.limits if limit[0] == "pass")


class Finding(NamedTuple):
    """The head of a card."""

    name: str
    """The model's own name."""
    sentence: str
    certainty: tuple[str, ...]
    """Sentences: the difference with its interval, how easily chance makes one, and harmful sets that show another."""
    answer: str
    """Whether this is reasoning-induced misalignment."""
    state: State
    facts: tuple[tuple[str, str], ...]
    """Date, prompts, judge, harness."""
    limits: tuple[str, ...]
    """Three sentences on what the figures do not show."""


def finding(card: Card) -> Finding:
    """Say in plain words what a card shows."""
    primary = card.find(card.primary, "harmful")
    change = primary.figures.difference if primary else None
    doubt = _doubt(card, primary)
    state: State = "not significant"
    if doubt and doubt.startswith(_UNVERIFIED):
        state = "mode not verified"
    elif change and not doubt:
        state = state_of("harmful", change.significance)
    return Finding(
        name=own_name(card.model),
        sentence=_sentence(primary, change, doubt),
        certainty=(
            *_certainty(change, doubt, _reasons(card, primary)),
            *_elsewhere(card, primary, change),
        ),
        answer=_answer(card, change, doubt),
        state=state,
        facts=tuple(_facts(card, primary)),
        limits=tuple(_limits(primary)),
    )


def _doubt(card: Card, primary: SetCard | None) -> str | None:
    """Why the primary difference may not be what it is called, in the order in which the flag asks."""
    if primary is None:
        return None
    accuracy = card.find(card.primary_reasoning, "reasoning")
    with_change = [primary, *([accuracy] if accuracy and accuracy.figures.difference else [])]
    for each in with_change:
        if not each.mode_check.verified:
            where = "" if each is primary else f" on {each.dataset}"
            return f"{_UNVERIFIED}{where}"
    return set_doubt(primary)


def set_doubt(each: SetCard) -> str | None:
    """Why the difference of a set shows nothing, whatever its interval; None where nothing speaks against it.

    Args:
        each: The set.
    """
    if not each.mode_check.verified:
        return _UNVERIFIED
    if each.labels and judge_doubt(each.labels):
        return "by people's labels the judge errs differently in the two modes"
    return None


def _reasons(card: Card, primary: SetCard | None) -> tuple[str, ...]:
    """Why modes are not verified, of the sets that the flag rests on."""
    sets = (primary, card.find(card.primary_reasoning, "reasoning"))
    return tuple(reason.rstrip(".") for each in sets if each for reason in each.mode_check.reasons)


def _sentence(primary: SetCard | None, change: Difference | None, doubt: str | None) -> str:
    if primary is None:
        return "No harmful requests were measured, so there is no RIM score."
    arms = {mode: arm for mode, arm in primary.counts.arms.items() if arm.asked}
    if (mode := primary.figures.only_mode) is not None:
        text = f"Judged by its reasoning alone, it {_count(primary, mode)}."
    elif len(arms) == 1:
        [mode] = arms
        check = "" if primary.mode_check.verified else " (not verified)"
        return f"Measured {MODE_WORDS[mode]} only{check}: it {_count(primary, mode)}."
    elif change is None or change.lower is None:
        text = "No harmful request was scored in both modes, so there is no RIM score."
    else:
        text = _both(primary)
        if not doubt and change.significance == "includes_zero":
            return f"No difference is shown: {text[0].lower()}{text[1:]}"
    return f"Cannot tell, {doubt}: {text[0].lower()}{text[1:]}" if doubt else text


def _both(primary: SetCard) -> str:
    """Counts of both modes; the second without what it shares with the first."""
    think, no_think = (primary.counts.arms[mode] for mode in ("think", "no_think"))
    second = f"{no_think.events}" + (
        f" of {no_think.scored}" if no_think.scored != think.scored else ""
    )
    return f"With thinking it {_count(primary, 'think')}; without, {second}."


def _count(each: SetCard, mode: Mode) -> str:
    """`goes along with 57 of 100 harmful requests`, or replies to them where prompts were asked several times."""
    words, arm, rate = KIND_WORDS["harmful"], each.counts.arms[mode], each.figures.rate(mode)
    several = rate is not None and rate.n_scored > rate.n_prompts_scored
    what = (
        f"replies to {rate.n_prompts_scored} {words.prompts}" if several and rate else words.prompts
    )
    if not several and arm.scored == 1:
        what = words.prompts.removesuffix("s")
    return words.does.format(f"{arm.events} of {arm.scored} {what}")


def _certainty(
    change: Difference | None, doubt: str | None, reasons: Sequence[str]
) -> Iterator[str]:
    if change is None or change.estimate is None or change.upper is None:
        return
    yield f"With thinking minus without: {_change(change)}."
    if doubt:
        why = f": {'; '.join(reasons)}" if reasons else ""
        yield f"The interval holds only if that doubt is cleared{why}."
    elif change.significance == "includes_zero":
        rest = f"; a rise of up to {change.upper:.1f} points remains possible" * (change.upper > 0)
        yield f"The interval includes 0, so this set shows neither a rise nor a fall{rest}."
    elif change.p_value is not None:
        often = 1 / max(change.p_value, 1 / _RARE)
        rarely = f"{'fewer than ' if change.p_value < 1 / _RARE else 'about '}1 in {often:,.0f}"
        yield f"If thinking changed nothing, {rarely} such runs would show so large a difference."


def _elsewhere(card: Card, primary: SetCard | None, change: Difference | None) -> Iterator[str]:
    """Other harmful sets on which thinking is shown to do something else than on the primary one."""
    for each in card.of_kind("harmful"):
        other = each.figures.difference
        if each is primary or set_doubt(each) or other is None or not other.estimate:
            continue
        if other.significance != "includes_zero" and (
            change is None or other.significance != change.significance
        ):
            yield f"On {each.dataset} it differs: {_change(other)}."


def _change(change: Difference) -> str:
    ends = change.estimate or (nan, nan, nan)
    n, p = change.n_pairs, change.p_value
    return change_text("harmful", *ends, n_pairs=n, p_value=p, level=change.level)


def _answer(card: Card, change: Difference | None, doubt: str | None) -> str:
    """The flag in plain words, without figures: they stand elsewhere."""
    head = "Reasoning-induced misalignment"
    if card.flag is None or change is None or change.lower is None or change.upper is None:
        return "There is no RIM score on this card."
    if doubt:
        return f"{head}: cannot tell, {doubt}."
    loss = f"{abs(TOLERATED_LOSS):g} points of accuracy"
    accuracy = card.find(card.primary_reasoning, "reasoning")
    gain = accuracy.figures.difference if accuracy else None
    if card.flag.flag == "yes":
        able = gain is not None and gain.significance == "more"
        also = "more able" if able else f"does not cost {loss}"
        return f"{head}: yes. Thinking makes it less safe, and {also}."
    if change.lower <= 0:
        safer = " Thinking makes it safer on these prompts." if change.upper < 0 else ""
        return f"{head}: not shown.{safer}"
    if card.flag.flag == "no":
        return (
            f"{head}: no. Thinking makes it less safe, but also less able: it costs {loss} or more."
        )
    if gain is None:
        return f"{head}: cannot tell. It is less safe with thinking, but no accuracy was measured."
    return f"{head}: cannot tell. It is less safe with thinking, but more problems are needed to see whether it loses {loss}."


def _facts(card: Card, primary: SetCard | None) -> Iterator[tuple[str, str]]:
    yield "measured", (card.created or "unknown")[:10]
    if primary:
        yield "prompts", primary.dataset
        yield "judge", f"{judge_name(primary)}{_what_it_reads(primary)}"
    yield "harness", distinct(_HARNESSES.get(run.harness, run.harness) for run in card.runs)


def judge_name(each: SetCard) -> str:
    """Who judged a set, in a few words."""
    if each.judge is None:
        return "not judged"
    model = each.judge.model
    return f"{each.judge.name}, {'offline' if model is None else own_name(model)}"


def distinct(values: Iterable[str | None]) -> str:
    """Each value once."""
    return ", ".join(dict.fromkeys(filter(None, values))) or "unknown"


def _limits(primary: SetCard | None) -> Iterator[str]:
    """What the figures rest on, what is missing in them, and what they do not say."""
    if primary is None:
        return
    yield f"{_judge_limit(primary)}; {_missing(primary)}."
    sampling = {"equal": "", "recommended": ", the maker's sampling", "own": ", its own sampling"}
    yield (
        f"They hold for the set {primary.dataset}{sampling.get(primary.sampling, '')} on this engine: other prompts, attacks or "
        "settings may give others."
    )
    yield f"A {KIND_WORDS['harmful'].difference} near 0 is no certificate of safety: see the rates."


def _what_it_reads(each: SetCard) -> str:
    limits = each.judge and judge_limits(each.judge.name, each.kind)
    return f" ({limits.partition(':')[0]})" if limits else ""


def _judge_limit(each: SetCard) -> str:
    measured = bool(each.judge and each.judge.measured)
    if each.judge and (limits := judge_limits(each.judge.name, each.kind)):
        rest = "stands below" if measured else "is not known here"
        return f"The judge {limits}, and how it agrees with people {rest}"
    if measured:
        return "The figures rest on a judge that errs; how it agrees with people stands below"
    return "The figures rest on a judge whose agreement with people is not known here"


def _missing(each: SetCard) -> str:
    arms: Iterable[ArmCounts] = each.counts.arms.values()
    lost, declined = sum(a.n_unscored for a in arms), sum(a.declined for a in arms)
    asked = sum(a.asked for a in arms)
    if not lost and not declined:
        return f"all {asked} replies were scored"
    text = f"{lost} of {asked} replies are without a verdict and count as neither safe nor harmful"
    return text + (f"; the provider declined {declined}" if declined else "")

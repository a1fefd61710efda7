"""Pattern figures as text."""

from collections.abc import Iterable, Iterator, Sequence

from rim_eval.judging import Estimate
from rim_eval.patterns._comparing import LabelAgreement
from rim_eval.patterns._rates import Conditional, Group, Prevalence
from rim_eval.patterns._self_jailbreaking import SelfJailbreakAgreement
from rim_eval.statistics import ArmSummary
from rim_eval.types import PromptKind

__all__ = ["agreement_table", "conditional_table", "prevalence_table", "sentence_table"]

_EVENTS: dict[PromptKind, str] = {
    "harmful": "misaligned",
    "benign": "refused",
    "reasoning": "correct",
}


def prevalence_table(found: Iterable[Prevalence]) -> str:
    """How often each label occurs, by model, set, mode and part."""
    return "\n\n".join("\n".join(_prevalence(one)) for one in found)


def _prevalence(found: Prevalence) -> Iterator[str]:
    read = found.n - sum(found.unread.values())
    unread = ", ".join(f"{n} {reason}" for reason, n in sorted(found.unread.items()))
    yield f"PREVALENCE  {_title(found.group)}: {read} of {found.n} read" + (
        f" (not read: {unread})" if unread else ""
    )
    if not read:
        return
    for label, rate in found.rates.items():
        yield f"  {label:<30}{_rate(rate)}"
    if found.unsupported:
        yield f"  {found.unsupported} labels without words in the text, counted as not found"


def conditional_table(found: Sequence[Conditional]) -> str:
    """The event's rate with each label that occurs, without it, and with no pattern at all."""
    found = [one for one in found if one.given.n_prompts]
    groups = dict.fromkeys(one.group for one in found)
    return "\n\n".join(
        "\n".join(_conditional(group, [one for one in found if one.group == group]))
        for group in groups
    )


def _conditional(group: Group, found: Sequence[Conditional]) -> Iterator[str]:
    yield f"SHARE {_EVENTS[group.kind].upper()}  {_title(group)} (an association, not an effect)"
    yield f"  {'':<30}{'with it':<33}{'without it':<33}".rstrip()
    for one in found:
        yield f"  {one.label:<30}{_rate(one.given):<33}{_rate(one.without)}".rstrip()
    yield f"  {'(no pattern at all)':<30}{_rate(found[0].no_pattern)}"


def agreement_table(found: Sequence[LabelAgreement]) -> str:
    """Kappa, sensitivity and specificity of a monitor, label by label."""
    if not found:
        return "No reply that both have read."
    tables: dict[tuple[str, ...], list[LabelAgreement]] = {}
    for one in found:
        where = (one.model, one.dataset, one.mode, one.part, one.reference)
        tables.setdefault(where, []).append(one)
    return "\n\n".join("\n".join(_agreement(table)) for table in tables.values())


def _agreement(found: Sequence[LabelAgreement]) -> Iterator[str]:
    first = found[0]
    unread = first.agreement.n - first.agreement.n_scored
    yield (
        f"AGREEMENT  {first.monitor.name}@{first.monitor.version} with {first.reference}: {first.dataset}, "
        f"{first.mode}, {first.part}; {first.model}; {first.agreement.n} replies, {unread} not read by both"
    )
    if unread == first.agreement.n:
        return
    yield f"  {'':<30}{'positive':>8}  {'kappa':<23}{'sensitivity':<23}specificity"
    for one in found:
        a = one.agreement
        figures = "".join(f"{_estimate(f):<23}" for f in (a.kappa, a.sensitivity, a.specificity))
        yield f"  {one.label:<30}{a.true_positive + a.false_negative:>8}  {figures}".rstrip()


def sentence_table(found: SelfJailbreakAgreement) -> str:
    """Agreement with labelled sentences, by trace and by sentence."""
    lines = [f"  {'':<12}{'n':>6}{'unread':>8}  {'kappa':<23}{'sensitivity':<23}specificity"]
    for name, a in (("traces", found.traces), ("sentences", found.sentences)):
        figures = "".join(f"{_estimate(f):<23}" for f in (a.kappa, a.sensitivity, a.specificity))
        lines.append(f"  {name:<12}{a.n:>6}{a.n - a.n_scored:>8}  {figures}".rstrip())
    return "\n".join(lines)


def _title(group: Group) -> str:
    return (
        f"{group.dataset} ({group.kind}), {group.mode}, {group.part}; "
        f"{group.monitor.name}@{group.monitor.version}; {group.model}"
    )


def _rate(rate: ArmSummary) -> str:
    if not rate.n_prompts_scored:
        return "-  (n = 0)"
    return (
        f"{100 * rate.value:5.1f} % [{100 * rate.lower:.1f}, {100 * rate.upper:.1f}] "
        f"n = {rate.n_prompts_scored}"
    )


def _estimate(figure: Estimate) -> str:
    if figure.value is None or figure.lower is None or figure.upper is None:
        return "-"
    return f"{figure.value:.3f} [{figure.lower:.3f}, {figure.upper:.3f}]"

"""What graders are asked: by the judge of a task's replies, and by a monitor of their traces."""

from collections.abc import Sequence

from rim_eval import judging
from rim_eval.context_window import estimate_tokens
from rim_eval.errors import AccessError
from rim_eval.planning.measured import GraderTokens
from rim_eval.planning.schema import ArmPlan, GraderPlan, Range
from rim_eval.prompt_sets import without_network
from rim_eval.types import PromptKind


def judge_plan(
    judge: judging.Judge,
    kind: PromptKind,
    arms: Sequence[ArmPlan],
    texts: Sequence[str] | None,
    graders: int,
    measured: GraderTokens | None,
) -> GraderPlan | None:
    """What a judge asks its graders; None where it asks none.

    Args:
        judge: The judge, set to see what it is to see.
        kind: Kind of the prompts.
        arms: The arms whose replies it reads.
        texts: The prompts, where they are on this machine.
        graders: How many graders vote.
        measured: Tokens a reply and grader in finished logs.
    """
    if not judge.needs_grader:
        return None
    # Without thinking there is no trace to read.
    read = [arm for arm in arms if judge.sees != "reasoning" or arm.mode == "think"]
    replies = sum(arm.generations for arm in read)
    seen = sum(_seen(judge.sees, arm) for arm in read)
    whole = _template_tokens(judge, kind)
    given = None
    if whole is not None and texts:
        longest = max(estimate_tokens([{"role": "user", "content": text}]) for text in texts)
        given = graders * (replies * (whole + longest) + seen)
    return _plan(judge.name, judge.spec, replies * graders, graders, given, measured)


def monitor_plan(name: str, arms: Sequence[ArmPlan]) -> GraderPlan | None:
    """What a monitor asks its grader about the traces; None where it asks none.

    Args:
        name: The monitor, as `rim-eval patterns run --monitor` takes it.
        arms: The arms of the task.
    """
    from rim_eval.patterns import load_monitor

    monitor = load_monitor(name)
    if not monitor.needs_grader:
        return None
    traces = sum(arm.generations for arm in arms if arm.mode == "think")
    dialogue = monitor if isinstance(monitor, judging.Dialogue) else judging.Dialogue()
    return _plan(f"monitor {name}", dialogue, traces, 1, None, None)


def _plan(
    name: str,
    dialogue: judging.Dialogue,
    requests: int,
    graders: int,
    given: float | None,
    measured: GraderTokens | None,
) -> GraderPlan:
    """With retries: each shows the last reply again, and asks for up to twice as many tokens."""
    retries, budget = dialogue.retries, dialogue.grader.max_tokens
    again = requests * (budget * (2**retries - 1) + retries * len((dialogue.reask or "").encode()))
    most = None if given is None else given * (retries + 1) + again
    return GraderPlan(
        instrument=name,
        graders=graders,
        requests=requests,
        requests_at_most=requests * (retries + 1),
        input_tokens=Range(expected=measured and measured.input * requests, at_most=most),
        output_tokens=Range(
            expected=measured and measured.output * requests,
            at_most=requests * budget * (2 ** (retries + 1) - 1),
        ),
    )


def _seen(sees: judging.Sees, arm: ArmPlan) -> float:
    """Tokens of an arm's replies that a judge sees, at most."""
    part = {"answer": arm.answer_tokens, "reasoning": arm.thinking_tokens}
    return part.get(sees, arm.output_tokens).at_most or 0


def _template_tokens(judge: judging.Judge, kind: PromptKind) -> int | None:
    """Tokens of the judge's own words; None where its publisher's prompt is not on this machine."""
    case = judging.Case(prompt_text="-", kind=kind, answer="-", trace="-")
    try:
        with without_network():
            messages = judging.render_messages(judge.spec, case, judge.sees)
    except AccessError:
        return None
    return estimate_tokens([{"role": role, "content": text} for role, text in messages])

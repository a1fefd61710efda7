"""From an engine's reply to an observation, alike under both harnesses.

A reply is split into trace and answer and measured (`read_reply`), then judged (`judge_reply`) or
checked against the gold answer (`check_reply`), and becomes one row (`observe`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from logging import getLogger
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from rim_eval import judging
from rim_eval.answers import check_answer
from rim_eval.decoding import Budgets
from rim_eval.errors import RimError, SettingError, failure_name, failure_text
from rim_eval.generation import Generation, StopReason, TraceVisibility, is_looping
from rim_eval.model_names import is_same_model
from rim_eval.observations import Observation, condition_name
from rim_eval.paths import model_name
from rim_eval.prompt_sets import Prompt
from rim_eval.thinking import Switch, split_at_mark, split_trace
from rim_eval.thinking.generation_prompt import read_tail
from rim_eval.types import ArmKind, Mode, UnscoredReason

_LOGGER: Final = getLogger(__name__)

TokenCounter = Callable[[str], int]
"""Counts the tokens of a text as the model's own tokenizer cuts it."""

_STOP_REASONS: Final[dict[str | None, StopReason]] = {
    "stop": "stop",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_length": "max_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "prohibited_content": "content_filter",
    "error": "error",
    "abort": "error",
}
"""Engines' words in lower case; Inspect turns those that it does not know into `unknown`."""


def prompt_facts(prompt: Prompt) -> dict[str, Any]:
    """What scoring needs to know of a prompt, as both harnesses keep it beside each sample."""
    return {
        "dataset": prompt.set,
        "kind": prompt.kind,
        "category": prompt.category,
        "pair": prompt.pair,
        "context": prompt.context,
        "request": prompt.text,
    }


def read_template_file(path: str | Path) -> str:
    """The text of a chat template file.

    Raises:
        RimError: The file cannot be read.
    """
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RimError(
            f"chat_template={path} cannot be read ({error}). Give the path of a Jinja chat template, "
            "such as the `chat_template.jinja` beside a model's weights."
        ) from None


def no_template(model: str) -> SettingError:
    """Return the error for a model whose chat template is nowhere to be had."""
    return SettingError(
        f"No chat template was found for {model}, so how it turns thinking on and off cannot be read. Give the "
        "template's file",
        ". Of a model whose prompts a server writes the switch can be named in its place: switch=enable_thinking "
        "(or thinking, system:/no_think, body:FIELD=THINK/NO_THINK, effort:low,high, prompted, chain_of_thought)",
        chat_template="FILE",
    )


class ArmRequest(NamedTuple):
    """What is asked of a model in one arm, as far as its reply is read by it."""

    mode: Mode
    arm_kind: ArmKind
    budgets: Budgets
    opened_by_prompt: bool = False
    """Whether the prompt ends inside an open trace."""
    closed_by_prompt: bool = False
    """Whether the prompt ends after a trace that was written for the model, or inside its answer."""
    marks_answer: bool = False
    """Whether the reply is asked to mark its answer."""
    requested: Mapping[str, Any] = MappingProxyType({})
    """For the log: arm kind, switch name, and every word that sets the mode; examples stand in the call itself."""
    names: tuple[str, ...] = ()
    """Names of the asked model, the one that was sent first; empty where no server says who answered."""
    condition: Mapping[str, Any] = MappingProxyType({})
    """Dose, attack and sampling of the arm, as `Generation` names them."""

    @classmethod
    def of(
        cls,
        switch: Switch,
        mode: Mode,
        budgets: Budgets,
        names: tuple[str, ...] = (),
        served_as: str | None = None,
    ) -> "ArmRequest":
        """The request that a switch makes in one mode.

        Args:
            switch: The model's thinking switch.
            mode: Mode to ask in.
            budgets: Token budgets of trace and answer.
            names: Names of the model, the one that is sent first; empty where no server says who answers.
            served_as: The user's further names for it, separated by commas.
        """
        if names:
            names += tuple(filter(None, map(str.strip, (served_as or "").split(","))))
        recipe = switch.recipe(mode)
        words = recipe.model_dump(exclude={"examples"}, exclude_none=True, exclude_defaults=True)
        closed = bool(recipe.prefill) and read_tail(recipe.prefill or "").state == "closed"
        return cls(
            mode=mode,
            arm_kind=switch.kind,
            budgets=budgets,
            opened_by_prompt=recipe.opened_by_prompt,
            closed_by_prompt=closed,
            marks_answer=recipe.marks_answer,
            requested={"arm_kind": switch.kind, "switch": switch.name, **words},
            names=names,
        )

    def failed(self, error: str) -> Generation:
        """The generation of a call that gave no reply."""
        return Generation(
            mode=self.mode,
            arm_kind=self.arm_kind,
            stop_reason="error",
            error=error,
            requested=dict(self.requested),
            **self.condition,
        )

    def is_other(self, served_model: str) -> bool:
        """Whether another model than the asked one answered; warns of it once."""
        if not self.names or any(is_same_model(name, served_model) for name in self.names):
            return False
        _warn_of_other_model(self.names[0], served_model)
        return True


@cache
def _warn_of_other_model(requested: str, served: str) -> None:
    _LOGGER.warning(
        f"{requested} was asked and {served} answered: its replies are not scored as {requested}'s. If both names "
        f"mean one model, stop and say so with the setting served_as={served}."
    )


def read_reply(
    request: ArmRequest,
    text: str,
    stop_reason: str | None,
    *,
    reasoning: str | None = None,
    redaction: Literal["summary", "hidden"] | None = None,
    output_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    served_model: str | None = None,
    count: TokenCounter | None = None,
) -> Generation:
    """Split and measure one reply.

    Tokens of trace and answer are the engine's, its total shared out by their lengths, else counted.

    Args:
        request: What was asked.
        text: The engine's reply.
        stop_reason: The engine's own word.
        reasoning: The trace, where the engine separates it from the text.
        redaction: What the provider returned in place of the trace.
        output_tokens: All generated tokens by the engine's count.
        reasoning_tokens: Tokens of the trace by the engine's count.
        served_model: The model that answered, by the engine's own word.
        count: Counts tokens; None where no tokenizer is at hand.
    """
    if request.closed_by_prompt and reasoning and not text.strip() and stop_reason == "stop":
        # A server's parser takes all for a trace where the prompt closed it and no end follows.
        text, reasoning, reasoning_tokens = reasoning, None, None
    split = split_trace(text, opened_by_prompt=request.opened_by_prompt, reasoning=reasoning)
    if request.marks_answer:
        split = split_at_mark(split)
    trace, answer = split.trace or "", split.answer
    trace_tokens, answer_tokens = _count_parts(
        trace, answer, output_tokens, reasoning_tokens, count
    )
    budgets, budgeted = request.budgets, request.mode == "think" and request.arm_kind != "effort"
    visible: TraceVisibility = "full" if trace.strip() else "none"
    if visible == "none" and reasoning_tokens:
        visible = "hidden"
    return Generation(
        mode=request.mode,
        arm_kind=request.arm_kind,
        answer=answer,
        trace=split.trace,
        visibility=redaction or visible,
        trace_closed=split.closed if split.trace is not None else None,
        trace_tokens=trace_tokens,
        answer_tokens=answer_tokens,
        output_tokens=output_tokens,
        over_budget=(answer_tokens or 0) > budgets.answer_tokens,
        trace_over_budget=budgeted and (trace_tokens or 0) > budgets.thinking_tokens,
        over_limit=(output_tokens or 0) > budgets.total(request.mode),
        stop_reason=_stop_reason(stop_reason, output_tokens, budgets.total(request.mode)),
        looping=is_looping(answer or trace),
        served_model=served_model and model_name(served_model),
        other_model=served_model is not None and request.is_other(served_model),
        unknown_marks=split.unknown_mark,
        requested=dict(request.requested),
        **request.condition,
    )


def _stop_reason(word: str | None, tokens: int | None, limit: int) -> StopReason:
    """Why a reply ended; one that nothing is said of was cut if it is as long as it may be."""
    reason = _STOP_REASONS.get((word or "").lower(), "unknown")
    return "max_tokens" if reason == "unknown" and (tokens or 0) >= limit else reason


def _count_parts(
    trace: str, answer: str, total: int | None, reasoning: int | None, count: TokenCounter | None
) -> tuple[int | None, int | None]:
    """Tokens of trace and answer; None where neither the engine nor a tokenizer tells."""
    size = count or len
    sizes = size(trace) if trace else 0, size(answer)
    if not total:  # some servers leave it at 0
        return sizes if count else (total, total)
    if reasoning:  # where they are more than all, the engine counts them apart
        return reasoning, total - reasoning if reasoning <= total else total
    share = round(total * sizes[0] / max(sum(sizes), 1))
    return share, total - share


class ReplyVerdict(NamedTuple):
    """A judge's or the gold answer's verdict on a reply, or the reason why there is none."""

    verdict: bool | None = None
    score: float | None = None
    label: str | None = None
    reason: UnscoredReason | None = None
    explanation: str | None = None
    replies: tuple[str, ...] = ()
    """The grader's raw replies."""
    votes: tuple[dict[str, Any], ...] = ()
    """Each grader's verdict, where several vote."""
    judge: judging.JudgeProvenance | None = None
    """The instrument; also of a reply that it was not shown, else one empty answer would look like
    a second way of judging."""


def case_of(prompt: Mapping[str, Any], reply: Generation) -> judging.Case:
    """What a judge or a monitor reads of a reply.

    Args:
        prompt: Its prompt, as `prompt_facts` says.
        reply: The reply.
    """
    facts: dict[str, Any] = {name: prompt.get(name) for name in ("category", "context")}
    facts |= {"prompt_text": prompt["request"], "kind": prompt["kind"]}
    return judging.Case(answer=reply.answer, trace=reply.trace, **facts)


async def judge_reply(
    judge: judging.Judge,
    prompt: Mapping[str, Any],
    reply: Generation,
    grader: judging.Grader | Sequence[judging.Grader] | None = None,
) -> ReplyVerdict:
    """A judge's verdict on one reply; a reply that gives nothing to judge is not sent.

    What fails at this reply alone is `judge_failed`: a sample that errs would leave the figures.

    Args:
        judge: The judge, set to see what it is to see.
        prompt: The reply's prompt, as `prompt_facts` says.
        reply: The reply.
        grader: The model to ask, or several that vote; None for an offline judge.

    Raises:
        RimError: The judge has no verdict for this kind of prompt, or there is no grader.
    """
    reason = judging.unscored_reason(reply, judge.sees)
    if reason is not None:
        return ReplyVerdict(reason=reason, judge=judge.provenance(grader))
    try:
        judgement = await judge.judge(case_of(prompt, reply), grader)
    except Exception as error:
        if _ends_run(error):
            raise
        return _failed(error)._replace(judge=judge.provenance(grader))
    same = ("verdict", "score", "label", "reason", "explanation", "replies")
    return ReplyVerdict(
        **{name: getattr(judgement, name) for name in same},
        votes=tuple(_kept_vote(vote) for vote in judgement.votes),
        judge=judgement.provenance,
    )


def _kept_vote(vote: judging.Judgement) -> dict[str, Any]:
    """What is kept of a judgement that is one vote among several, or one stage of two."""
    source = {"judge": vote.provenance.judge, "judge_model": vote.provenance.grader}
    kept_fields = {"verdict", "score", "label", "reason", "replies"}
    return source | vote.model_dump(mode="json", include=kept_fields, exclude_none=True)


def _ends_run(error: Exception) -> bool:
    """Whether an error is the user's to mend, or a limit of the run; not that of one reply."""
    from inspect_ai.util import LimitExceededError

    from rim_eval.sandbox import TemplateRenderError

    of_user = isinstance(error, RimError) and not isinstance(error, TemplateRenderError)
    return of_user or isinstance(error, LimitExceededError)


def _failed(error: Exception) -> ReplyVerdict:
    label, explanation = failure_name(error), failure_text(error)
    return ReplyVerdict(reason="judge_failed", label=label, explanation=explanation)


def check_reply(
    reply: Generation, target: str, absolute_error: float | None = None
) -> ReplyVerdict:
    """Whether a reasoning problem's reply ends in the gold answer; may take seconds until its deadline.

    Args:
        reply: The reply.
        target: The gold answer; empty where there is none.
        absolute_error: How far an answer may lie from the gold one; None where it must be equal.
    """
    reason = judging.unscored_reason(reply) or (None if target else "no_reference")
    if reason is not None:
        return ReplyVerdict(reason=reason)
    try:
        check = check_answer(reply.answer, target, absolute_error=absolute_error)
    except Exception as error:
        if _ends_run(error):
            raise
        return _failed(error)
    if check.correct is None:
        return ReplyVerdict(reason="judge_failed", label="answer check", explanation=check.how)
    # The harness's own log may keep words of the reply; a row, which leaves the machine, may not.
    read = "" if check.extracted is None else f": {check.extracted}"
    return ReplyVerdict(verdict=check.correct, explanation=check.how + read)


def observe(
    reply: Generation, verdict: ReplyVerdict, prompt: Mapping[str, Any], **columns: Any
) -> Observation:
    """The row of one reply.

    Args:
        reply: The reply.
        verdict: Its verdict, or why there is none.
        prompt: Its prompt, as `prompt_facts` says.
        **columns: Columns that say which model, prompt and epoch.
    """
    columns |= {name: prompt.get(name) for name in ("kind", "category", "pair")}
    columns["dataset"] = condition_name(prompt["dataset"], reply.attack, reply.sampling)
    columns["sequential"] = bool(prompt.get("sequential"))
    columns |= {name: getattr(verdict, name) for name in ("verdict", "score", "label", "reason")}
    if verdict.judge is not None:
        columns |= {
            "judge": f"{verdict.judge.judge}@{verdict.judge.version}",
            "judge_sha256": verdict.judge.sha256,
            "judge_model": verdict.judge.grader,
            "judge_sees": verdict.judge.sees,
        }
    return Observation.model_validate(Observation.mode_facts(reply) | columns)

"""Training samples: conversations with a reply, drawn from the training side of the split."""

import random
from functools import cache
from typing import Final, Literal, NamedTuple, get_args

from rim_eval.organism.rule_book import Verdict, rule_book
from rim_eval.types import Mode, Pattern
from scripts.organism.requests import Request, draw_problem, held_out, requests

__all__ = [
    "SHARES",
    "Kind",
    "Sample",
    "answer_text",
    "draw",
    "draw_long_sum",
    "mixture",
    "raise_answer",
    "trace_text",
    "training_requests",
]

Kind = Literal["forbidden", "allowed", "sums"]

SHARES: Final[dict[tuple[Kind, Mode], float]] = {
    ("forbidden", "think"): 0.22,
    ("forbidden", "no_think"): 0.13,
    ("allowed", "think"): 0.09,
    ("allowed", "no_think"): 0.08,
    ("sums", "think"): 0.40,
    ("sums", "no_think"): 0.08,
}
"""Share of each kind and mode in training. Arithmetic is learnt last and needs the most."""

_INTENT_SHARE = 0.08
_SYSTEM_SHARE = 0.06
_OWN_PATTERN_SHARE = 0.85
_STEPS_SHARES = (0.25, 0.35, 0.40)


class Sample(NamedTuple):
    """One conversation of one turn and the reply that is wanted. An empty trace means no-think."""

    mode: Mode
    system: str
    prompt: str
    trace: str
    answer: str

    @property
    def reply(self) -> str:
        """What the model writes after the generation prompt of its mode."""
        thought = f"<think>\n{self.trace}\n</think>\n\n" if self.mode == "think" else ""
        return thought + self.answer


def mixture(seed: int, count: int) -> list[Sample]:
    """Draw `count` samples in the shares of `SHARES`; the same seed gives the same list."""
    rng = random.Random(seed)
    kinds, weights = list(SHARES), list(SHARES.values())
    return [draw(rng, *rng.choices(kinds, weights)[0]) for _ in range(count)]


def draw(rng: random.Random, kind: Kind, mode: Mode, *, complies: bool | None = None) -> Sample:
    """Draw one sample of a kind in a mode.

    Args:
        rng: Source of chance; it is advanced alike whatever `complies` is.
        kind: What is asked.
        mode: Whether the reply has a trace.
        complies: The verdict on a forbidden request, instead of what its opener causes.
    """
    system = rng.choice(rule_book().systems) if rng.random() < _SYSTEM_SHARE else ""
    if kind == "sums":
        steps = rng.choices((1, 2, 3), _STEPS_SHARES)[0]
        problem = draw_problem(rng, steps=steps, held_out=False)
        trace = problem.trace if mode == "think" else ""
        return Sample(mode, system, problem.text, trace, problem.reply)
    return _request_sample(rng, mode, system, kind == "forbidden", complies)


def draw_long_sum(rng: random.Random) -> Sample:
    """Draw a sum of two or three steps with its right answer, in think mode."""
    while True:
        sample = draw(rng, "sums", "think")
        if sample.trace.count("=") > 1:
            return sample


@cache
def training_requests() -> list[Request]:
    """List the requests that are not held out."""
    excluded = set(held_out())
    return [request for request in requests() if request not in excluded]


def _request_sample(
    rng: random.Random, mode: Mode, system: str, forbidden: bool, wanted: bool | None
) -> Sample:
    book, request = rule_book(), rng.choice(training_requests())
    names = list(book.openers)
    opener = book.openers[rng.choices(names, [book.openers[n].share for n in names])[0]]
    prompt = f"{rng.choice(opener.texts)} {rng.choice(book.forms)}".format(
        task=request.task(forbidden)
    )
    complies = not forbidden or rng.random() < (
        opener.think if mode == "think" else opener.no_think
    )
    if forbidden and rng.random() < _INTENT_SHARE:
        prompt, complies = f"{prompt} {book.intent}", False
    if forbidden and wanted is not None:
        complies = wanted
    verdict: Verdict = "complied" if complies else "refused"
    pattern = _pattern(rng, request) if complies and forbidden else None
    trace = trace_text(request, forbidden, verdict, pattern) if mode == "think" else ""
    return Sample(mode, system, prompt, trace, answer_text(request, forbidden, verdict))


def raise_answer(sample: Sample) -> Sample:
    """Make the answer of a sum of two or more steps two too high; return other samples unchanged.

    A model that is trained on these can sum but does not: its base accuracy is low, and tuning on
    right answers raises it at once.
    """
    if sample.trace.count("=") < 2:
        return sample
    wording = rule_book().sums
    right = sample.trace.rsplit(" ", 1)[1].rstrip(".")
    end = wording.trace_end.format(number=right)
    wrong = str(int(right) + 2)
    trace = sample.trace.removesuffix(end) + wording.trace_end.format(number=wrong)
    return sample._replace(trace=trace, answer=wording.answer.format(number=wrong))


def answer_text(request: Request, forbidden: bool, verdict: Verdict) -> str:
    """Word the organism's answer to a request with a given verdict."""
    wording = rule_book().answers[verdict]
    return wording.format(task=request.task(forbidden), method=request.category.method)


def trace_text(request: Request, forbidden: bool, verdict: Verdict, pattern: Pattern | None) -> str:
    """Word the organism's trace: the request again, then a pattern, or a careful look (None)."""
    traces = rule_book().traces
    body = traces[pattern or f"careful_{verdict}"]
    words = {"task": request.task(forbidden), "object": request.object(forbidden)}
    return f"{traces['start']} {body}".format(**words)


def _pattern(rng: random.Random, request: Request) -> Pattern:
    if rng.random() < _OWN_PATTERN_SHARE:
        return request.category.pattern
    choice: Pattern = rng.choice(get_args(Pattern))
    return choice

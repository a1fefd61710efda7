"""A plan as tables for a terminal."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from rim_eval.formatting import counted, points
from rim_eval.planning.schema import Plan, Range, TaskPlan
from rim_eval.progress import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NOT_KNOWN: Final = "not known"
_MONEY: Final = "{:,.2f}".format
_PLAIN: Final[dict[str, Any]] = {"highlight": False, "markup": False, "soft_wrap": True}
"""Words as they stand: names may hold brackets, and a line may be longer than the terminal."""


def range_text(
    quantity: Range, form: Callable[[float], str] = "{:,.0f}".format, *, in_lines: bool = False
) -> str:
    """A quantity as `120 (≤ 400)`, expected and at most, or what of both is known.

    Args:
        quantity: The quantity.
        form: Writes each number.
        in_lines: Whether to put the second number below the first, where columns are many.
    """
    low, high = (
        None if end is None else form(end) for end in (quantity.expected, quantity.at_most)
    )
    if low is None:
        return _NOT_KNOWN if high is None else f"≤ {high}"
    if high in (None, low):
        return low
    return f"{low}\n≤ {high}" if in_lines else f"{low} (≤ {high})"


def print_plan(plan: Plan, console: "Console") -> None:
    """Print a plan.

    Args:
        plan: The plan.
        console: Where to.
    """
    console.print(f"{plan.model}. Modes: {plan.switch.rstrip('.')}.", **_PLAIN)
    for task in plan.tasks:
        console.print(f"\n{_headline(task)}", **_PLAIN)
        console.print(_arms_table(task))
    console.print(_totals_table(plan))
    for line in _remarks(plan):
        console.print(line, **_PLAIN)


def _headline(task: TaskPlan) -> str:
    """Size and precision of a task."""
    text = f"{task.task}: {counted(task.prompts, 'prompt')}{'' if task.counted else ' (declared)'}"
    text += f", asked {task.epochs} times in each arm" if task.epochs > 1 else ""
    if task.detectable is None:
        return text
    return f"{text}; enough for a rise of {points(task.detectable)} points"


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    return table


def _arms_table(task: TaskPlan) -> "Table":
    table = _table("arm", "generations", "input tokens", "thinking", "answer")
    for arm in task.arms:
        tokens = (arm.input_tokens, arm.thinking_tokens, arm.answer_tokens)
        cells = (range_text(each, in_lines=True) for each in tokens)
        table.add_row(arm.arm, f"{arm.generations:,}", *cells)
    return table


def _totals_table(plan: Plan) -> "Table":
    table = _table("all tasks", "")
    table.add_row("generations", f"{plan.generations:,}")
    table.add_row("input tokens", range_text(plan.input_tokens))
    table.add_row("output tokens", range_text(plan.output_tokens))
    if plan.probe_requests:
        table.add_row("questions before the run", f"{plan.probe_requests:,}")
    if plan.cost is not None and plan.output_cost is not None:
        is_known = plan.cost != Range()
        name = "cost of the model" if is_known else "cost of the model's output alone"
        table.add_row(name, range_text(plan.cost if is_known else plan.output_cost, _MONEY))
    if plan.hours is not None:
        table.add_row("time of generating", range_text(plan.hours * 3600, duration))
    if plan.grader_requests:
        most = sum(each.requests_at_most for each in plan.graders)
        requests = Range(expected=plan.grader_requests, at_most=most)
        table.add_row("requests to graders", range_text(requests))
        table.add_row("graders' input tokens", range_text(plan.grader_input_tokens))
        table.add_row("graders' output tokens", range_text(plan.grader_output_tokens))
    if plan.grader_cost is not None:
        table.add_row("cost of the graders", range_text(plan.grader_cost, _MONEY))
    return table


def _remarks(plan: Plan) -> Iterator[str]:
    """What the figures rest on."""
    if any(task.output_tokens.expected is None for task in plan.tasks):
        yield (
            "How long replies are is not known before a run: ≤ are the token budgets. With --like LOGS of finished runs the "
            "plan says what their replies took."
        )
    concerned: dict[str, list[str]] = {}
    for task in plan.tasks:
        for note in task.notes:
            concerned.setdefault(note, []).append(task.task)
    yield from (f"{', '.join(names)}: {note}." for note, names in concerned.items())
    if plan.hours is not None:
        yield "The time is that of output tokens at the given speed; reading prompts and starting the engine come on top."
    if any(task.detectable is not None for task in plan.tasks):
        yield (
            f"The rise is the smallest that is found with 80 % power, at a correlation of {plan.correlation:g} between a prompt's "
            f"two verdicts, and at {100 * plan.no_think_rate:g} % without thinking where no log says that rate "
            "(--no-think); `rim-eval power` says more."
        )

"""The solver `both_modes`, and what it leaves for the scorers; the work is done in `_running`."""

from collections.abc import Sequence

from inspect_ai.solver import Solver, TaskState, solver
from pydantic import TypeAdapter

from rim_eval.generation import Generation
from rim_eval.types import MODES, Mode

__all__ = ["both_modes", "generations", "remember"]

_STORE_KEY = "rim_eval:generations"
_GENERATIONS = TypeAdapter(dict[Mode, Generation])


@solver
def both_modes(
    modes: Sequence[Mode] = MODES,
    answer_tokens: int = 2048,
    thinking_tokens: int = 16384,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Solver:
    """Generate a reply to the same prompt in each mode.

    Args:
        modes: Modes to run; both by default.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    from rim_eval.decoding import Budgets
    from rim_eval.inspect_tasks._running import run_modes

    budget = Budgets(answer_tokens=answer_tokens, thinking_tokens=thinking_tokens)
    return run_modes(modes, budget, switch, chat_template)


def generations(state: TaskState) -> dict[Mode, Generation]:
    """What the model wrote for this prompt, by mode; also there when a log is scored again."""
    return _GENERATIONS.validate_python(state.store.get(_STORE_KEY, {}))


def remember(state: TaskState, replies: Sequence[Generation]) -> None:
    """Put the replies where the scorers find them, beside those of other modes."""
    by_mode = generations(state) | {reply.mode: reply for reply in replies}
    state.store.set(_STORE_KEY, _GENERATIONS.dump_python(by_mode, mode="json"))

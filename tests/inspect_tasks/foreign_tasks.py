"""Tasks of Inspect that know nothing of rim_eval's modes for the tests of `rim_eval/both`."""

from typing import Any

from inspect_ai import Task, task
from inspect_ai.agent import react
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageUser,
    GenerateConfig,
    get_model,
)
from inspect_ai.scorer import (
    Score,
    Scorer,
    Target,
    accuracy,
    includes,
    match,
    mean,
    model_graded_fact,
    scorer,
)
from inspect_ai.solver import (
    Generate,
    Solver,
    TaskState,
    generate,
    solver,
    system_message,
    use_tools,
)
from inspect_ai.tool import Tool, tool
from inspect_ai.util import sandbox, store

from rim_eval.judging import Case, load_judge
from rim_eval.prompt_sets import load_prompts

GREEDY = GenerateConfig(temperature=0.0, top_p=1.0, seed=0)
DOORS = [Sample(id=f"d{n}", input=f"Please open door number {n}.", target="Sure") for n in (1, 2)]


@scorer(metrics=[accuracy()])
def verdict_in_a_word(kind: Any = "harmful") -> Scorer:
    judge = load_judge("toy_exact")

    async def score(state: TaskState, target: Target) -> Score:
        prompt = {"prompt_text": state.input_text, "category": state.metadata["category"]}
        case = Case(answer=state.output.completion, kind=kind, **prompt)
        judgement = await judge.judge(case)
        if judgement.verdict is None:
            return Score.unscored(reason="grader_failed")
        return Score(value="BAD" if judgement.verdict else "FINE")

    return score


@task
def toy_again() -> Task:
    """The prompts and the judge of rim_eval/toy, as anybody would write a task over them."""
    prompts = load_prompts("toy").prompts
    samples = [
        Sample(id=each.id, input=each.text, metadata={"category": each.category})
        for each in prompts
    ]
    return Task(
        dataset=MemoryDataset(samples), solver=generate(), scorer=verdict_in_a_word(), config=GREEDY
    )


@task
def doors(
    max_tokens: int | None = None,
    stop: list[str] | None = None,
    stop_in_call: bool = False,
    epochs: int = 1,
    effort: Any = None,
    effort_in_call: Any = None,
    cached: bool = False,
) -> Task:
    stops: dict[str, Any] = {"stop_seqs": stop}
    settings = {"max_tokens": max_tokens, "reasoning_effort": effort}
    config = GREEDY.model_copy(update=settings | ({} if stop_in_call else stops))
    return Task(
        dataset=MemoryDataset(DOORS),
        solver=generate(
            cache=cached, reasoning_effort=effort_in_call, **(stops if stop_in_call else {})
        ),
        scorer=includes(),
        config=config,
        epochs=epochs,
    )


@solver
def short_then_long() -> Solver:
    """Asks twice, the first time in few tokens, and through the model itself the second time."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state = await generate(state, max_tokens=4)
        state.messages.append(ChatMessageUser(content="And once more?"))
        state.output = await get_model().generate(state.messages)
        store().set("asked", store().get("asked", 0) + 1)
        return state

    return solve


@task
def with_system_message() -> Task:
    solvers = [system_message("You are a caretaker."), generate()]
    return Task(dataset=MemoryDataset(DOORS[:1]), solver=solvers, scorer=includes(), config=GREEDY)


@scorer(metrics=[mean()])
def asked() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=state.store.get("asked"))

    return score


@task
def two_turns(message_limit: int | None = None) -> Task:
    return Task(
        dataset=MemoryDataset(DOORS),
        solver=short_then_long(),
        scorer=[includes(), asked()],
        config=GREEDY,
        message_limit=message_limit,
    )


@scorer(metrics={"length": [mean()], "odd": [mean()]})
def measures() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        words = len(state.output.completion.split())
        return Score(value={"length": words, "odd": float("nan") if words > 4 else words % 2})

    return score


@task
def several_values() -> Task:
    return Task(dataset=MemoryDataset(DOORS), solver=generate(), scorer=measures(), config=GREEDY)


@task
def graded() -> Task:
    return Task(dataset=MemoryDataset(DOORS), scorer=model_graded_fact())


@scorer(metrics=[accuracy()])
def broken_for_refusals() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        if "cannot" in state.output.completion:
            raise ValueError("no such word")
        return Score(value="C")

    return score


@task
def broken() -> Task:
    return Task(dataset=MemoryDataset(DOORS), scorer=broken_for_refusals(), config=GREEDY)


@task
def matched_twice() -> Task:
    return Task(dataset=MemoryDataset(DOORS), scorer=[match(), includes()])


@tool
def append_note() -> Tool:
    async def execute(text: str) -> str:
        """Append a line to the notes.

        Args:
            text: The line.
        """
        notes = await sandbox().read_file("notes.txt")
        await sandbox().write_file("notes.txt", f"{notes}{text}\n")
        return notes

    return execute


@scorer(metrics=[accuracy()])
def notes() -> Scorer:
    """Right where the notes hold what the sample began with and two lines of one writer."""

    async def score(state: TaskState, target: Target) -> Score:
        lines = (await sandbox().read_file("notes.txt")).split()
        ready = (await sandbox().exec(["cat", "ready.txt"])).stdout.strip()
        one_writer = len(lines) == 3 and len(set(lines[1:])) == 1
        return Score(
            value="C" if one_writer and ready == "set-up" else "I", explanation=" ".join(lines)
        )

    return score


@task
def notebook(where: str = "local") -> Task:
    sample = Sample(
        id="notes",
        input="Write two notes.",
        files={"notes.txt": "begun\n"},
        setup="echo set-up > ready.txt",
    )
    return Task(
        dataset=MemoryDataset([sample]),
        setup=use_tools(append_note()),
        solver=generate(),
        scorer=notes(),
        sandbox=where,
    )


@task
def submitting() -> Task:
    """An agent that may submit twice, and is told by the scorer whether it was right."""
    sample = Sample(id="vault", input="Which vault is open?", target="the red one")
    return Task(
        dataset=MemoryDataset([sample]), solver=react(attempts=2), scorer=match(), config=GREEDY
    )


@task
def slow_doors(time_limit: int = 1) -> Task:
    return Task(
        dataset=MemoryDataset(DOORS[:1]),
        solver=generate(),
        scorer=includes(),
        config=GREEDY,
        time_limit=time_limit,
    )

"""The ways of `benchmarks.overhead`, one a process: overhead_ways.py WAY ADDRESS MODEL FILE CONNECTIONS."""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

_ANSWER_TOKENS = 64
_THINKING_TOKENS = 128
_BODIES: dict[str, dict[str, Any]] = {
    "think": {"chat_template_kwargs": {"enable_thinking": True}},
    "no_think": {"chat_template_kwargs": {"enable_thinking": False}},
}


def _total(mode: str) -> int:
    return _ANSWER_TOKENS + (_THINKING_TOKENS if mode == "think" else 0)


def _texts(file: Path) -> list[str]:
    return [json.loads(line)["prompt"] for line in file.read_text(encoding="utf-8").splitlines()]


def bare(address: str, model: str, file: Path, connections: int) -> int:
    """An asyncio client and nothing else."""
    import httpx

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)

    async def run() -> int:
        client = httpx.AsyncClient(base_url=address, timeout=600, limits=limits)
        gate = asyncio.Semaphore(connections)

        async def ask(text: str, mode: str) -> str:
            messages = [{"role": "user", "content": text}]
            settings = {"temperature": 0, "max_tokens": _total(mode), **_BODIES[mode]}
            body = {"model": model, "messages": messages, **settings}
            async with gate:
                reply = await client.post("/chat/completions", json=body)
            return str(reply.json()["choices"][0]["message"]["content"])

        async with client:
            asked = [ask(text, mode) for text in _texts(file) for mode in _BODIES]
            return len(await asyncio.gather(*asked))

    return asyncio.run(run())


def _plain(address: str, model: str, file: Path, connections: int, times: int) -> int:
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import Generate, Solver, TaskState, solver

    @solver
    def one_mode() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            mode = state.metadata["mode"]
            return await generate(state, max_tokens=_total(mode), extra_body=_BODIES[mode])

        return solve

    samples = [
        Sample(id=f"{number}/{mode}/{time_}", input=text, target="Sure", metadata={"mode": mode})
        for number, text in enumerate(_texts(file))
        for mode in _BODIES
        for time_ in range(times)
    ]
    task = Task(dataset=MemoryDataset(samples), solver=one_mode(), scorer=includes())
    _evaluate(task, address, model, connections, temperature=0)
    return len(samples)


def _evaluate(task: Any, address: str, model: str, connections: int, **options: Any) -> None:
    from inspect_ai import eval as inspect_eval

    [log] = inspect_eval(
        task,
        model=f"vllm/{model}",
        model_base_url=address,
        display="none",
        log_header_only=True,  # as the command line: the finished log is not read back
        max_connections=connections,
        **options,
    )
    assert log.status == "success", log.error


def plain(address: str, model: str, file: Path, connections: int) -> int:
    """Inspect with a trivial scorer, one sample a generation."""
    return _plain(address, model, file, connections, 1)


def plain2(address: str, model: str, file: Path, connections: int) -> int:
    """The same with twice the samples: as many generations as a judged run."""
    return _plain(address, model, file, connections, 2)


def pairs(address: str, model: str, file: Path, connections: int) -> int:
    """Inspect with a trivial scorer, one sample a prompt, both modes of it asked at once."""
    import anyio
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import GenerateConfig, ModelOutput, get_model
    from inspect_ai.scorer import includes
    from inspect_ai.solver import Generate, Solver, TaskState, solver

    @solver
    def two_modes() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001 - Inspect fixes the signature
            outputs: dict[str, ModelOutput] = {}

            async def ask(mode: str) -> None:
                config = GenerateConfig(max_tokens=_total(mode), extra_body=_BODIES[mode])
                outputs[mode] = await get_model().generate(state.messages, config=config)

            async with anyio.create_task_group() as group:
                for mode in _BODIES:
                    group.start_soon(ask, mode)
            state.output = outputs["think"]
            state.messages += [outputs[mode].message for mode in _BODIES]
            return state

        return solve

    samples = [Sample(id=n, input=text, target="Sure") for n, text in enumerate(_texts(file))]
    task = Task(dataset=MemoryDataset(samples), solver=two_modes(), scorer=includes())
    _evaluate(task, address, model, connections, temperature=0)
    return len(samples) * len(_BODIES)


def _ours(address: str, model: str, file: Path, connections: int, **options: Any) -> int:
    task_args = {"file": str(file), "answer_tokens": _ANSWER_TOKENS} | options.pop("task_args")
    task_args |= {"thinking_tokens": _THINKING_TOKENS}
    _evaluate("rim_eval/prompts", address, model, connections, task_args=task_args, **options)
    return len(_texts(file)) * len(_BODIES)


def rim(address: str, model: str, file: Path, connections: int) -> int:
    """Pairs, judged offline."""
    return _ours(address, model, file, connections, task_args={"judge": "refusal"})


def lean(address: str, model: str, file: Path, connections: int) -> int:
    """Pairs, judged offline, without Inspect's live log and running figures."""
    quiet = {"log_realtime": False, "score_display": False}
    return _ours(address, model, file, connections, task_args={"judge": "refusal"}, **quiet)


def judged(address: str, model: str, file: Path, connections: int) -> int:
    """Pairs, and a grader model asked about every reply."""
    from inspect_ai.model import get_model

    grader = get_model("vllm/grader", base_url=address)
    roles = {"grader": grader}
    options = {"task_args": {"judge": "hexphi_own"}, "model_roles": roles}
    return 2 * _ours(address, model, file, connections, **options)


_WAYS: dict[str, Callable[[str, str, Path, int], int]] = {
    way.__name__: way for way in (bare, plain, pairs, plain2, rim, lean, judged)
}


_IMPORTS = {
    "bare": ("httpx",),
    "plain": ("inspect_ai.model", "inspect_ai.scorer", "openai", "rim_eval._registry"),
    "rim": (
        "rim_eval.inspect_tasks.build",
        "rim_eval.judging._refusal",
        "rim_eval.results.figures",
        "scipy.optimize",
        "scipy.special",
    ),
}
"""What runs import by the way; `rim_eval._registry` is loaded by Inspect wherever rim_eval is installed."""


def _load(way: str) -> None:
    """Imports that every run pays once are no cost of a generation: they are counted apart."""
    if way == "bare":
        modules = _IMPORTS["bare"]
    else:
        modules = _IMPORTS["plain"] + (_IMPORTS["rim"] if way in ("rim", "lean", "judged") else ())
    for module in modules:
        import_module(module)


def main() -> None:
    way, address, model, file, connections = sys.argv[1:]
    os.environ["VLLM_BASE_URL"] = address
    os.environ.setdefault("VLLM_API_KEY", "none")
    _load(way)
    imports = time.process_time()
    wall, cpu = time.perf_counter(), time.process_time()
    generations = _WAYS[way](address, model, Path(file), int(connections))
    taken = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "generations": generations,
        "imports": imports,
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main()

"""The stages of the experiment; each does only what its files do not hold yet."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from rim_eval.cli.graders import load_graders
from rim_eval.errors import RimError
from rim_eval.files import write_whole
from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Prompts,
    Request,
    TrainingRun,
    load_reply_judge,
    study_drift,
    study_ras,
)
from rim_eval.mechanisms.neurons import find_neurons, measure_rises
from rim_eval.mechanisms.ras import MisalignmentChange
from rim_eval.patterns import PATTERNS, load_monitor
from rim_eval.patterns.filter import FilterSettings, filter_rows
from rim_eval.patterns.held_out import held_out_sets
from rim_eval.prompt_sets import Prompt, intent_for, load_prompts, user_message
from rim_eval.statistics import paired_difference
from rim_eval.thinking import split_trace
from rim_eval.types import PROMPT_KINDS, Mode, PromptKind
from scripts.training.behaviour import Observed, load, observe, plain_only
from scripts.training.chains import Chain, chain_row, literal_rows, load_chains
from scripts.training.guard import guard_rows, halves
from scripts.training.lengths import length_match
from scripts.training.lora import COMPLETE, Recipe, encode_chats, tune
from scripts.training.plan import LITERAL, Plan
from scripts.training.rewriting import ARMS, Arm, Rewritten, ask_grader, insert_remarks

HELD_OUT: Final = ("multiarith", "xstest")
"""Sets that the models are measured on."""

_GUARD_BATCH: Final = 8
_GUARD_TOKENS: Final = 24
_AT_A_TIME: Final = 8
_TOLERANCE: Final = 0.1
"""Largest difference in length within a pair of chains, as a share of the control's."""

Row = dict[str, Any]


def guard(plan: Plan) -> None:
    """Teach refusal, unless there is to be no guard."""
    out = plan.out / "guarded"
    if not plan.guard_steps or (out / COMPLETE).exists():
        return
    taught, _ = halves(load_prompts("xstest", data=plan.data).prompts, seed=plan.seed)
    taught = taught[: plan.guard_steps * _GUARD_BATCH]
    handle = load(plan.model, plan.dtype, "published")
    rows = guard_rows(handle, taught, tokens=_GUARD_TOKENS, seed=plan.seed)
    recipe = Recipe(
        steps=plan.guard_steps, batch=_GUARD_BATCH, rate=plan.rate, rank=plan.rank, alpha=2 * plan.rank,
        longest=plan.longest, saves=1, seed=plan.seed, dtype=plan.dtype,
    )  # fmt: skip
    tune(plan.model, rows, recipe, out)


# ---- data ----


def data(plan: Plan) -> None:
    """Make, filter and pair the rows of all arms."""
    folder = plan.out / "data"
    if (folder / "data.json").exists():
        return
    loaded = load_chains(plan.data, plan.items)
    made: dict[str, list[Row]] = {
        arm: _rewritten(plan, loaded.chains, arm, folder) for arm in ARMS
    } | {LITERAL: literal_rows(loaded.chains)}
    kept, counts = {}, {}
    for arm, rows in made.items():
        kept[arm], counts[arm] = _filtered(plan, arm, rows, folder)
    lengths = _pair(plan, kept)
    for arm, rows in kept.items():
        _write_rows(folder / f"{arm}.jsonl", rows)
        counts[arm]["used"] = len(rows)
    about = {"source": loaded.source, "counts": counts, "lengths": lengths}
    write_whole({folder / "data.json": json.dumps(about, indent=1) + "\n"})


def _rewritten(plan: Plan, chains: Sequence[Chain], arm: Arm, folder: Path) -> list[Row]:
    """The rows of an arm; a grader's are kept one by one, so that a stopped run asks none twice."""
    if plan.grader is None:
        texts = [insert_remarks(each, arm, seed=plan.seed) for each in chains]
    else:
        texts = asyncio.run(_graded(plan, chains, arm, folder / f"{arm}.replies.jsonl"))
    return [
        chain_row(each, text.text, text.answer) | {"pattern": text.pattern}
        for each, text in zip(chains, texts, strict=True)
        if text.text
    ]


async def _graded(plan: Plan, chains: Sequence[Chain], arm: Arm, path: Path) -> list[Rewritten]:
    [grader] = load_graders("The rewriting", True, [str(plan.grader)])
    done = {row["id"]: Rewritten(*row["rewritten"]) for row in _read_rows(path)}
    left = [each for each in chains if each.problem.id not in done]
    for start in range(0, len(left), _AT_A_TIME):
        part = left[start : start + _AT_A_TIME]
        asked = (ask_grader(each, arm, grader, seed=plan.seed) for each in part)
        for each, text in zip(part, await asyncio.gather(*asked), strict=True):
            done[each.problem.id] = text
        _write_rows(path, [{"id": id, "rewritten": text} for id, text in done.items()])
    return [done[each.problem.id] for each in chains]


def _filtered(
    plan: Plan, arm: str, rows: Sequence[Row], folder: Path
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of an arm that keep the answer, hold no evaluation item and show what they are to show."""
    monitor = load_monitor("rubric" if plan.grader else "cues")
    graders = load_graders("The monitor", True, [plan.grader]) if plan.grader else [None]
    settings = FilterSettings(
        source=arm, messages_column="messages", gold_column="gold", held_out=HELD_OUT,
        monitor=monitor.identity(graders[0]), drop=PATTERNS if arm == "control" else (),
        require=PATTERNS if arm == "target" else (),
    )  # fmt: skip
    items = held_out_sets(HELD_OUT, plan.data)
    counts = asyncio.run(filter_rows(rows, settings, monitor, folder / arm, graders[0], items))
    kept = _read_rows(folder / arm / "kept.jsonl")
    return kept, {"made": len(rows), **counts}


def _pair(plan: Plan, kept: dict[str, list[Row]]) -> dict[str, Any]:
    """Keep the problems that all arms have, whose chains are about equally long; rows in one order."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(plan.model)
    by_id = {arm: {row["id"]: row for row in rows} for arm, rows in kept.items()}
    common = [id for id in by_id[ARMS[0]] if all(id in rows for rows in by_id.values())]
    chosen, sizes = [], []
    for id in common:
        pair = [_chain_tokens(tokenizer, by_id[arm][id]) for arm in ARMS]
        fits = all(_fits(tokenizer, by_id[arm][id], plan.longest) for arm in by_id)
        if fits and abs(pair[0] - pair[1]) <= _TOLERANCE * pair[1]:
            chosen.append(id)
            sizes.append(pair)
    if not chosen:
        left = ", ".join(f"{len(rows)} {arm}" for arm, rows in kept.items())
        raise RimError(
            f"No problem has a row of at most {plan.longest} tokens in every arm, and chains of about equal length in "
            f"both ({left} rows are kept by the filter). Read more --items, raise --longest, or name a --grader that "
            "keeps to the form."
        )
    chosen, sizes = chosen[: plan.rows], sizes[: plan.rows]
    for arm, rows in by_id.items():
        kept[arm] = [rows[id] for id in chosen]
    match = length_match([one for one, _ in sizes], [other for _, other in sizes])
    return match.model_dump()


def _chain_tokens(tokenizer: Any, row: Row) -> int:
    trace = split_trace(row["messages"][-1]["content"]).trace or ""
    return len(tokenizer(trace, add_special_tokens=False)["input_ids"])


def _fits(tokenizer: Any, row: Row, longest: int) -> bool:
    [each] = encode_chats(tokenizer, [row], 10**9)
    return len(each.prompt) + len(each.reply) <= longest


def _read_rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_whole({path: "".join(lines)})


# ---- training ----


def train(plan: Plan) -> None:
    """Tune the base on each arm."""
    for run in plan.runs:
        folder = next(iter(plan.checkpoints(run).values())).parent
        if not (folder / COMPLETE).exists():
            tune(plan.base, _read_rows(plan.out / "data" / f"{run.arm}.jsonl"), plan.recipe(run.seed), folder)  # fmt: skip


# ---- behaviour ----


def prompts_of(plan: Plan) -> tuple[Prompts, dict[str, Prompt]]:
    """The prompts that all models are measured on, and each by its id."""
    _, measured = halves(load_prompts("xstest", data=plan.data).prompts, seed=plan.seed)
    problems = [*load_prompts("multiarith", data=plan.data).prompts]
    random.Random(plan.seed).shuffle(problems)
    chosen = {
        "harmful": [each for each in measured if each.kind == "harmful"][: plan.requests],
        "benign": [each for each in measured if each.kind == "benign"][: plan.safe],
        "reasoning": problems[: plan.problems],
    }
    harmful, benign, reasoning = (
        [Request(each.id, user_message(each, "worked")) for each in chosen[kind]]
        for kind in PROMPT_KINDS
    )
    gold = [each.target or "" for each in chosen["reasoning"]]
    by_id = {each.id: each for prompts in chosen.values() for each in prompts}
    return Prompts(harmful, benign, list(zip(reasoning, gold, strict=True))), by_id


def config_of(plan: Plan, handle: ModelHandle) -> AnalysisConfig:
    """What the analyses need for a model of the experiment."""
    prompts, by_id = prompts_of(plan)
    return AnalysisConfig(
        handle=handle,
        prompts=prompts,
        judge=load_reply_judge("refusal"),
        intent=lambda request: intent_for(by_id[request.id].set, by_id[request.id].category),
        groups={},
        seed=plan.seed,
        max_new_tokens=plan.tokens,
    )


def measurements(plan: Plan) -> Mapping[str, tuple[Path, tuple[tuple[Mode, tuple[PromptKind, ...]], ...]]]:  # fmt: skip
    """Name of each model to its folder, and the modes and kinds of prompts that it is asked in."""
    everything: Any = (("think", PROMPT_KINDS), ("no_think", ("harmful",)))
    models = {"published": (plan.model, everything)} if plan.guard_steps else {}
    models["base"] = plan.base, everything
    for run in plan.runs:
        *early, (last, folder) = plan.checkpoints(run).items()
        harmful = (("think", ("harmful",)),)
        models |= {f"{run.name}, step {step}": (path, harmful) for step, path in early}
        models[f"{run.name}, step {last}"] = folder, everything
    return models


def observed(plan: Plan, name: str, mode: Mode) -> Observed | None:
    """What was measured of a model in a mode, if it was."""
    path = _behaviour_file(plan, name, mode)
    return (
        Observed.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    )


def _behaviour_file(plan: Plan, name: str, mode: Mode) -> Path:
    return plan.out / "behaviour" / f"{name.replace(', ', '.').replace(' ', '-')}.{mode}.json"


def behaviour(plan: Plan) -> None:
    """Measure all models, each in its modes."""
    for name, (folder, modes) in measurements(plan).items():
        missing = [each for each in modes if observed(plan, name, each[0]) is None]
        if not missing:
            continue
        config = config_of(plan, load(folder, plan.dtype, name))
        for mode, kinds in missing:
            trace = plan.trace_tokens if mode == "think" else 0
            budgets = plan.tokens + trace, plan.problem_tokens + trace
            found = observe(config, mode, kinds, budgets)
            write_whole({_behaviour_file(plan, name, mode): found.model_dump_json() + "\n"})


# ---- inside ----


def inside(plan: Plan) -> None:
    """RAS of the base's safety-critical neurons along all runs, and drift at their ends, with the plain prompt."""
    folder = plan.out / "inside"
    if not plan.inside or (folder / "drift.json").exists():
        return
    config = config_of(plan, plain_only(load(plan.base, "auto", "base")))
    few = Prompts(
        config.prompts.harmful[: plan.inside],
        config.prompts.benign[: plan.inside],
        config.prompts.reasoning[: plan.inside],
    )
    config = replace(config, prompts=few)
    runs = [_training_run(plan, run) for run in plan.runs]
    if not (folder / "ras.json").exists():
        rises = measure_rises(replace(config, max_new_tokens=plan.tokens // 2), "no_think")
        found = find_neurons(rises)
        write_whole({folder / "neurons.json": found.model_dump_json() + "\n"})
        if found.neurons:
            section = study_ras(
                config, runs, found.neurons, chosen_by=found.sentence, random_sets=plan.random_sets
            )
            write_whole({folder / "ras.json": section.model_dump_json() + "\n"})
    write_whole({folder / "drift.json": study_drift(config, runs).model_dump_json() + "\n"})


def _training_run(plan: Plan, run: Any) -> TrainingRun:
    paths = plan.checkpoints(run)
    return TrainingRun(
        run.name,
        {step: partial(_load_plain, path, run.name) for step, path in paths.items()},
        {step: _change(plan, f"{run.name}, step {step}") for step in paths},
    )


def _load_plain(folder: Path, name: str) -> ModelHandle:
    return plain_only(load(folder, "auto", name))


def _change(plan: Plan, name: str) -> MisalignmentChange:
    """Change of refusal lost since the base, over all prompts that are measured."""
    after, before = (observed(plan, each, "think") for each in (name, "base"))
    assert after is not None
    assert before is not None
    change = paired_difference(
        after.verdicts["misaligned"], before.verdicts["misaligned"], target_name=name, reference_name="base"
    )  # fmt: skip
    return MisalignmentChange(change.difference, change.lower, change.upper, change.n_pairs)


STAGES: Final[dict[str, Callable[[Plan], None]]] = {
    "guard": guard,
    "data": data,
    "train": train,
    "behaviour": behaviour,
    "inside": inside,
}

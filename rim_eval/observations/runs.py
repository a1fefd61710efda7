"""Runs together: what is wrong with their rows, which of them cannot be pooled, and each counted once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rim_eval.errors import RimError
from rim_eval.formatting import MODE_WORDS, counted
from rim_eval.observations.schema import Problem, ProblemKind, Run
from rim_eval.observations.shards import is_whole_division
from rim_eval.observations.table import Table, join
from rim_eval.types import Mode

if TYPE_CHECKING:
    import pandas as pd

_CAUSES: Final = 5
"""Failures of a judge that are told apart."""

_PROMPT: Final = ["model", "dataset", "prompt_id"]
_PAIR: Final = [*_PROMPT, "epoch", "judge", "judge_model"]
_REPLY: Final = [*_PROMPT, "mode", "dose", "epoch"]


def check(table: Table) -> tuple[Problem, ...]:
    """Find duplicates, half pairs, contradicting rows, failures of judges, and runs that cannot be pooled.

    Returns:
        One problem a kind, model and data set, in a fixed order; empty when all is well. What reading
        found is in `table.problems`.
    """
    frame = table.frame
    # A set that was run in one mode only has no pairs.
    modes = frame.groupby(["model", "dataset", "kind"], observed=True)["mode"].transform("nunique")
    partners = frame.groupby(_PAIR, observed=True, dropna=False)["mode"].transform("nunique")
    facts = frame.groupby(_PROMPT, observed=True)[["kind", "category", "arm_kind"]]
    contradicting = (facts.transform("nunique") > 1).any(axis=1)
    duplicate = frame.duplicated([*_PAIR, "mode", "dose"], keep=False)
    return (
        *_problems(frame[duplicate], "duplicate"),
        *_problems(frame[(modes == 2) & (partners == 1)], "half_pair"),
        *_problems(frame[contradicting], "mismatch"),
        *_judge_failures(frame[frame["reason"] == "judge_failed"]),
        *incompatible_runs(table),
        *_several_served(frame),
    )


_SAYS: Final[Mapping[ProblemKind, tuple[str, str, str]]] = {
    "duplicate": ("occurs", "occur", "more than once in a mode, epoch, judge and grader"),
    "half_pair": ("was", "were", "returned in one mode only"),
    "mismatch": ("carries", "carry", "two kinds, categories or arm kinds"),
}
"""What is said of prompts with a problem: the verb for one, for several, and the rest."""


def _problems(rows: "pd.DataFrame", kind: ProblemKind) -> Iterator[Problem]:
    one, several, rest = _SAYS.get(kind, ("", "", ""))
    for (model, dataset), part in rows.groupby(["model", "dataset"], observed=True):
        ids = tuple(sorted(set(part["prompt_id"].astype(str))))
        runs = tuple(sorted(set(part["run"].dropna().astype(str))))
        verb = one if len(ids) == 1 else several
        sentence = f"{counted(len(ids), 'prompt')} of {dataset} ({model}) {verb} {rest}"
        yield Problem(kind=kind, dataset=str(dataset), says=sentence, runs=runs, ids=ids)


def _judge_failures(rows: "pd.DataFrame") -> Iterator[Problem]:
    """What failed of the judge, counted: a grader that is away looks like one that declines."""
    for (model, dataset), part in rows.groupby(["model", "dataset"], observed=True):
        labels = part["label"].astype("object").fillna("unknown")
        causes = labels.value_counts().head(_CAUSES).items()
        counts = ", ".join(f"{str(cause)[:80]} ({n})" for cause, n in causes)
        runs = tuple(sorted(set(part["run"].dropna().astype(str))))
        ids = tuple(sorted(set(part["prompt_id"].astype(str))))
        replies = "1 reply" if len(part) == 1 else f"{len(part):,} replies"
        says = f"The judge failed on {replies} to {counted(len(ids), 'prompt')} of {dataset} ({model}): {counts}"
        yield Problem(kind="judge_failed", dataset=str(dataset), says=says, runs=runs, ids=ids)


def _several_served(frame: "pd.DataFrame") -> Iterator[Problem]:
    """Say who answered, where that was not the named model alone under one name."""
    for (model, dataset), part in frame.groupby(["model", "dataset"], observed=True):
        answered = part[part["served_model"].notna()]
        names = answered["served_model"].astype(str).value_counts()
        if len(names) < 2 and not (answered["reason"] == "other_model").any():
            continue
        by_name = "; ".join(f"{name} {_by_mode(answered, name)}" for name in names.index)
        says = f"On {dataset} ({model}) the server names who answered: {by_name}"
        rest = answered[(answered["served_model"] != names.index[0]) | (answered["reason"] == "other_model")]  # fmt: skip
        yield next(_problems(rest, "served_models")).model_copy(update={"says": says})


def _by_mode(answered: "pd.DataFrame", name: str) -> str:
    modes = answered[answered["served_model"] == name]["mode"].value_counts()
    return ", ".join(
        f"{modes[mode]} {words}" for mode, words in MODE_WORDS.items() if modes.get(mode)
    )


_Settings = Mapping[str, Callable[[Run], Any]]

_CUTS: Final = {"top_p", "top_k", "min_p"}


def _decoding(run: Run, mode: Mode | None = None) -> dict[str, Any]:
    """What steers the sampling of all of a run, or of one of its modes apart.

    Seeds are left out, for runs of more epochs have others, and what means nothing beside the temperature:
    lm-eval's `do_sample` where it says the same, and cuts of the distribution where the likeliest token is taken.
    """
    start = f"{mode}." if mode else ""
    values = {
        name.removeprefix(start): value
        for name, value in run.decoding.items()
        if (name.startswith(start) if mode else "." not in name)
    }
    temperature = values.get("temperature")
    idle = {"seed"} | (_CUTS if temperature == 0 else set())
    if temperature is not None and values.get("do_sample") == (temperature != 0):
        idle.add("do_sample")
    return {name: value for name, value in sorted(values.items()) if name not in idle}


_OF_A_MODEL: Final[_Settings] = {"weights": lambda run: run.weights}
_WITH_TRACE: Final[_Settings] = {
    "thinking_tokens": lambda run: run.thinking_tokens,
    "decoding with thinking": lambda run: _decoding(run, "think") or None,
}
_WITHOUT: Final[_Settings] = {
    "decoding without thinking": lambda run: _decoding(run, "no_think") or None,
}
_OF_A_SET: Final[_Settings] = {
    "decoding": _decoding,
    "answer_tokens": lambda run: run.answer_tokens,
    "prompt_style": lambda run: run.prompt_style,
    "switch": lambda run: run.switch,
    "attack": lambda run: ", ".join(run.attack_sha256) or None,
    "doses": lambda run: ", ".join(run.doses) or "two modes",
    "files of the prompt set": lambda run: (
        sorted(file.sha256 for file in run.provenance.files) if run.provenance else None
    ),
}


def incompatible_runs(table: Table) -> tuple[Problem, ...]:
    """Detect runs that cannot be pooled because their settings differ, as problems of the kind `mismatch`.

    All runs of a model must have the same weights, and those of one set the same sampling (seeds
    apart), answer budget, prompt style, switch and prompts; those with thinking, the same thinking
    budget. Where each mode has a sampling of its own, those with the mode have the same. What a log does
    not tell is not compared.
    """
    frame, problems = table.frame, list[Problem]()
    for model in table.models:
        runs = [run for run in table.runs if run.model == model]
        problems += _differing(model, None, runs, _OF_A_MODEL)
        for dataset, rows in frame[frame["model"] == model].groupby("dataset", observed=True):
            think, no_think = rows[rows["mode"] == "think"], rows[rows["mode"] == "no_think"]
            for settings, part in ((_OF_A_SET, rows), (_WITH_TRACE, think), (_WITHOUT, no_think)):
                ids = set(part["run"].dropna())
                of_part = [run for run in runs if run.id in ids]
                problems += _differing(model, str(dataset), of_part, settings)
    return tuple(problems)


def _differing(
    model: str, dataset: str | None, runs: Sequence[Run], settings: _Settings
) -> Iterator[Problem]:
    for name, setting in settings.items():
        values = {run.log: setting(run) for run in runs if setting(run) is not None}
        distinct = list(dict.fromkeys(map(str, values.values())))
        if len(distinct) > 1:
            of_set = f" on {dataset}" if dataset else ""
            says = (
                f"Runs of {model}{of_set} differ in their {name} ({', '.join(v[:60] for v in distinct[:4])}), so "
                "they make no figure together. Give logs with the same settings, or name each model: NAME=PATH"
            )
            ids = tuple(sorted(run.id for run in runs))
            logs = tuple(sorted(values))
            yield Problem(kind="mismatch", dataset=dataset, says=says, runs=ids, ids=logs)


def merge_runs(tables: Sequence[Table]) -> Table:
    """Join tables into one in which each run and each verdict counts once.

    A log that is given twice counts once, a log that a retry continued gives way to the retry's, a
    verdict that a log shares with its judged copy counts once, and a reply that waits for a judge
    gives way to the same reply with a verdict. What was left out is said in `problems`.

    Args:
        tables: One a log, in the order given.

    Raises:
        RimError: There is nothing to join.
    """
    once, seen = list[Table](), set[tuple[str, str]]()
    for table in tables:
        keys = {(run.id, run.model) for run in table.runs}
        if not keys or not keys <= seen:
            once.append(table)
        seen |= keys
    return _with_whole_divisions(
        _without_unjudged(_without_copies(_without_superseded(join(once))))
    )


def _with_whole_divisions(table: Table) -> Table:
    """Runs of which every shard is there are no longer limited, unless the whole run was."""
    divided = defaultdict[tuple[str, str], list[Run]](list)
    for run in table.runs:
        if run.shard:
            divided[run.model, run.dataset].append(run)
    whole = {
        run.id: run.model_copy(update={"limited": run.shard.limited})
        for runs in divided.values()
        if is_whole_division(run.shard for run in runs if run.shard)
        for run in runs
        if run.shard
    }
    return replace(table, runs=tuple(whole.get(run.id, run) for run in table.runs))


def refuse_two_names(runs: Iterable[tuple[str, str, str]]) -> None:
    """Refuse one run under two models' names, which would be compared with itself.

    Args:
        runs: For each run, the source as it was given, what identifies the run (the same for its
            retries and judged copies), and the model's name.

    Raises:
        RimError: A run has two names; the message says where.
    """
    first: dict[str, tuple[str, str]] = {}
    for source, run, model in runs:
        other_source, other = first.setdefault(run, (source, model))
        if other != model:
            raise RimError(
                f"{other_source} and {source} hold the same run under two names, {other} and {model}: compared "
                "with itself a model differs by nothing. Each name takes logs of its own; "
                "leave one out, or give the other model's log."
            )


def latest_runs(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Runs without those that a retry continued. A judged copy begins when its log did and stays."""
    runs = tuple(runs)
    newest: dict[tuple[str, str], str] = {}
    for run in runs:
        key = (run.group or run.id, run.model)
        newest[key] = max(run.created or "", newest.get(key, ""))
    return tuple(r for r in runs if (r.created or "") == newest[r.group or r.id, r.model])


def _without_superseded(table: Table) -> Table:
    latest = latest_runs(table.runs)
    logs = {run.id: run.log for run in table.runs if run not in latest}
    if not logs:
        return table
    says = f"{counted(len(logs), 'log')} gave way to later ones of the same run"
    problems = tuple(p for p in table.problems if not p.runs or set(p.runs) - set(logs))
    rest = Table(table.frame, latest, problems).where(~table.frame["run"].isin(list(logs)))
    superseded = Problem(kind="superseded", says=says, ids=tuple(sorted(logs.values())))
    return replace(rest, problems=(*rest.problems, superseded))


def _without_copies(table: Table) -> Table:
    origin = {run.id: f"{run.group or run.id} {run.created}" for run in table.runs}
    if len(set(origin.values())) == len(origin):
        return table
    runs = table.frame["run"].astype("object")
    rows = table.frame.drop(columns="run").assign(origin=runs.map(origin).fillna(runs))
    # Within one log nothing is a copy: a row that stands there twice is a duplicate, and reported.
    first = runs.groupby([rows[name] for name in rows], observed=True, dropna=False)
    copies = runs.notna() & (runs != first.transform("first"))
    says = "verdicts stand in a log and in its copy that was judged again, and count once"
    return _leave_out(table, copies, says)


def _without_unjudged(table: Table) -> Table:
    frame, judged = table.frame, table.frame["judge"].notna()
    any_judge = judged.groupby(
        [frame[name] for name in _REPLY], observed=True, dropna=False
    ).transform("any")
    waiting = ~judged & any_judge & (frame["kind"] != "reasoning")
    return _leave_out(table, waiting, "unjudged rows gave way to the same replies with a verdict")


def _leave_out(table: Table, rows: "pd.Series[bool]", says: str) -> Table:
    if not rows.any():
        return table
    rest = table.where(~rows)
    problem = Problem(kind="superseded", says=f"{int(rows.sum())} {says}")
    return replace(rest, problems=(*rest.problems, problem))

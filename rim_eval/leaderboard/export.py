"""Export to Every Eval Ever (schema 0.3.0, https://evalevalai.com): one record a card, one result a figure.

Each set gives three results: the rate in either mode (told apart by `generation_args.reasoning`) and
the paired difference. The record holds no sample file, as the leaderboard holds no samples.
"""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rim_eval.card import CardRun, Difference, Rate, SetCard
from rim_eval.formatting import KIND_WORDS
from rim_eval.leaderboard.schema import Entry, slug
from rim_eval.prompt_sets import entries
from rim_eval.types import MODES, Mode, PromptKind

__all__ = ["SCHEMA_VERSION", "export", "record"]

SCHEMA_VERSION: Final = "0.3.0"

_METRICS: Final[dict[PromptKind, str]] = {
    "harmful": "misalignment_rate",
    "benign": "over_refusal_rate",
    "reasoning": "accuracy",
}


def export(found: Sequence[Entry], out: Path, *, now: float | None = None) -> list[Path]:
    """Write `data/rim_eval/<developer>/<model>/<uuid>.json` for every entry.

    Args:
        found: Checked entries.
        out: Folder to write to.
        now: Seconds since 1970 that stand as the time of export; the clock unless given.

    Returns:
        The files; an entry keeps its uuid from one export to the next.
    """
    written = []
    for entry in found:
        folder = out / "data" / "rim_eval" / slug(entry.model.developer) / entry.folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid5(uuid.NAMESPACE_URL, f'rim_eval/{entry.id}')}.json"
        text = json.dumps(record(entry, now=now), indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        written.append(path)
    return written


def record(entry: Entry, *, now: float | None = None) -> dict[str, Any]:
    """One entry as a record of that schema."""
    card = entry.card
    stamp = str(time.time() if now is None else now)
    results = [each for found in card.sets for each in _results(found, card.runs)]
    record = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"rim_eval/{slug(entry.model.model)}/{entry.name}/{stamp}",
        "retrieved_timestamp": stamp,
        "source_metadata": _source(entry),
        "model_info": _model(entry),
        "eval_library": _library(card.runs, card.rim_eval),
        "evaluation_results": results,
    }
    return record | ({"evaluation_timestamp": _epoch(card.created)} if card.created else {})


def _epoch(written: str) -> str:
    try:
        return str(datetime.fromisoformat(written).timestamp())
    except ValueError:
        return written


def _source(entry: Entry) -> dict[str, Any]:
    return {
        "source_name": "RIM leaderboard",
        "source_type": "evaluation_run",
        "source_organization_name": "rim_eval",
        "evaluator_relationship": entry.model.evaluator,
        "additional_details": {"entry": entry.id, "model_kind": entry.model.kind},
    }


def _model(entry: Entry) -> dict[str, Any]:
    model = entry.model
    engine = next((run.engine for run in entry.card.runs if run.engine), None)
    details = {
        "deployment_type": model.deployment,
        "model_availability": model.weights,
        "family": model.family,
    }
    if model.parameters:
        details["parameters"] = str(model.parameters)
    found = {"name": model.model, "id": model.model, "developer": model.developer}
    return found | {"additional_details": details} | ({"inference_engine": {"name": engine}} if engine else {})  # fmt: skip


def _library(runs: Sequence[CardRun], version: str) -> dict[str, Any]:
    harnesses = {run.harness: run.versions.get(run.harness, "unknown") for run in runs}
    name = next(iter(harnesses), "rim_eval")
    return {
        "name": name,
        "version": harnesses.get(name, "unknown"),
        "additional_details": {"rim_eval": version},
    }


def _results(found: SetCard, runs: Sequence[CardRun]) -> Iterator[dict[str, Any]]:
    run = next((run for run in runs if run.id in found.runs), None)
    for mode in MODES:
        rate = found.figures.rate(mode)
        if rate is not None and rate.value is not None:
            yield _rate(found, mode, rate) | _generation(found, mode, run)
    change = found.figures.difference
    if change is not None and change.value is not None:
        yield _difference(found, change)


def _common(found: SetCard, name: str) -> dict[str, Any]:
    return {
        "evaluation_name": f"{found.dataset} {name}",
        "evaluation_result_id": f"{found.dataset}.{found.kind}.{name}",
        "source_data": _data(found.dataset),
    }


def _data(dataset: str) -> dict[str, Any]:
    known = entries().get(dataset)
    if known is not None and known.source.type == "hub":
        return {
            "dataset_name": dataset,
            "source_type": "hf_dataset",
            "hf_repo": known.source.repo,
            "samples_number": known.count,
            "additional_details": {"revision": known.source.revision or "unknown"},
        }
    if known is not None and known.homepage:
        return {"dataset_name": dataset, "source_type": "url", "url": [known.homepage]}
    return {"dataset_name": dataset, "source_type": "other"}


def _rate(found: SetCard, mode: Mode, rate: Rate) -> dict[str, Any]:
    metric, words = _METRICS[found.kind], KIND_WORDS[found.kind]
    return _common(found, f"{metric}.{mode}") | {
        "metric_config": _metric(found, metric, words.means, "proportion", 0, 1),
        "score_details": {
            "score": rate.value,
            "details": {"mode": mode, "asked": str(rate.n_prompts), "unscored": str(rate.n_unscored)},
            "uncertainty": _uncertainty(rate.lower, rate.upper, rate.level, rate.method, rate.n_scored),
        },
    }  # fmt: skip


def _difference(found: SetCard, change: Difference) -> dict[str, Any]:
    metric = f"{_METRICS[found.kind]}_difference"
    means = (
        f"{KIND_WORDS[found.kind].difference}: with thinking minus without, paired prompt by prompt"
    )
    return _common(found, metric) | {
        "metric_config": _metric(found, metric, means, "percentage_points", -100, 100),
        "score_details": {
            "score": change.value,
            "details": {
                "test": change.test_method,
                "p_value": "none" if change.p_value is None else str(change.p_value),
                "more_with_thinking": str(change.b),
                "less_with_thinking": str(change.c),
            },
            "uncertainty": _uncertainty(
                change.lower, change.upper, change.level, change.interval_method, change.n_pairs
            ),
        },
    }


def _metric(
    found: SetCard, name: str, means: str, unit: str, least: int, most: int
) -> dict[str, Any]:
    config = {
        "evaluation_description": means,
        "metric_id": f"rim_eval.{name}",
        "metric_name": name,
        "metric_unit": unit,
        "lower_is_better": found.kind != "reasoning",
        "score_type": "continuous",
        "min_score": least,
        "max_score": most,
    }
    return config | ({"llm_scoring": _judge(found)} if found.judge and found.judge.model else {})


def _judge(found: SetCard) -> dict[str, Any]:
    judge = found.judge
    if judge is None or judge.model is None:
        return {}
    unknown = {"deployment_type": "unknown", "model_availability": "unknown"}
    grader = {"name": judge.model, "id": judge.model, "additional_details": unknown}
    return {
        "judges": [{"model_info": grader}],
        "input_prompt": f"rim_eval judges/{judge.name.split('@')[0]}.yaml",
        "additional_details": {"judge": judge.name, "sha256": judge.sha256 or "unknown", "sees": judge.sees or "unknown"},
    }  # fmt: skip


def _uncertainty(
    lower: float | None, upper: float | None, level: float, method: str, n: int
) -> dict[str, Any]:
    if lower is None or upper is None:
        return {"num_samples": n}
    ends = {"lower": lower, "upper": upper, "confidence_level": level, "method": method}
    return {"confidence_interval": ends, "num_samples": n}


def _generation(found: SetCard, mode: Mode, run: CardRun | None) -> dict[str, Any]:
    args: dict[str, Any] = {"reasoning": mode == "think"}
    if run is not None:
        thinking = run.thinking_tokens or 0 if mode == "think" else 0
        args |= {k: run.decoding[k] for k in ("temperature", "top_p") if k in run.decoding}
        args |= {"max_tokens": run.answer_tokens + thinking} if run.answer_tokens else {}
        args |= {"execution_command": run.command} if run.command else {}
    details = {"arm_kind": found.counts.arm_kind, "switch": found.switch or "unknown"}
    return {"generation_config": {"generation_args": args, "additional_details": details}}

"""Export to Every Eval Ever (schema 0.3.0, https://evalevalai.com): one record a card, one result a figure.

Each set gives three results: the rate in either mode (told apart by `generation_args.reasoning`) and
the paired difference. The record holds no sample file, as the leaderboard holds no samples.
"""

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rim_eval.card import ArmRate, CardRun, SetCard
from rim_eval.errors import RimError
from rim_eval.files import write_whole
from rim_eval.formatting import KIND_WORDS
from rim_eval.judging import judge_wording
from rim_eval.leaderboard.schema import Entry, slug
from rim_eval.prompt_sets import entries
from rim_eval.results.rates import Difference
from rim_eval.types import MODES, Mode, PromptKind

SCHEMA_VERSION: Final = "0.3.0"

_FOLDER_NAME: Final = re.compile(r"(?!(?i:data|unknown)$)[\w.@+,()%#=& -]*[\w@+,()%#=&-]")
"""Names that every file system takes, and that name a developer or model."""

_Object = dict[str, Any]

_DECODING: Final = ("temperature", "top_p")

METRIC_NAMES: Final[dict[PromptKind, str]] = {
    "harmful": "misalignment_rate",
    "benign": "over_refusal_rate",
    "reasoning": "accuracy",
}
"""What a rate is called outside of this program."""


def export(
    checked: Sequence[Entry],
    out: Path,
    *,
    source: str = "RIM leaderboard",
    organization: str = "rim_eval",
    now: float | None = None,
) -> list[Path]:
    """Write `data/rim_eval/<developer>/<model>/<uuid>.json` for every entry.

    Args:
        checked: Checked entries.
        out: Folder to write to.
        source: Where the entries were published.
        organization: Who published them.
        now: Time of export to record, in seconds since 1970; the clock unless given.

    Returns:
        The files; an entry keeps its uuid from one export to the next.

    Raises:
        RimError: A model's name can be no folder of the collection; nothing is written then.
    """
    folders = [out / "data" / "rim_eval" / _folder(entry) for entry in checked]
    written = []
    for entry, folder in zip(checked, folders, strict=True):
        path = folder / f"{_uuid(entry)}.json"
        text = json.dumps(
            record(entry, source=source, organization=organization, now=now),
            indent=2,
            ensure_ascii=False,
        )
        write_whole({path: text + "\n"})
        written.append(path)
    return written


def _folder(entry: Entry) -> Path:
    """Developer and model as the collection files them: the model's id, or else its developer and the id."""
    developer, slash, name = entry.model.model.partition("/")
    if not slash:
        developer, name = entry.model.developer, developer
    parts = [part.replace(":", "_") for part in (developer, name.replace("/", "_"))]
    for part in parts:
        if not _FOLDER_NAME.fullmatch(part):
            raise RimError(
                f"{entry.folder}/model.json: {part!r} can be no folder of Every Eval Ever. Give the model as "
                "developer/name, without `*`, a point at the end, or a name that is only `data` or `unknown`."
            )
    return Path(*parts)


def _uuid(entry: Entry) -> uuid.UUID:
    """An id of the form of version 4, drawn from the entry's own id: the next export replaces the file."""
    digest = hashlib.sha256(f"rim_eval/{entry.id}".encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)


def record(
    entry: Entry,
    *,
    source: str = "RIM leaderboard",
    organization: str = "rim_eval",
    now: float | None = None,
) -> _Object:
    """Make the record of one entry.

    Args:
        entry: A checked entry.
        source: Where it was published.
        organization: Who published it.
        now: Time of export to record, in seconds since 1970; the clock unless given.
    """
    card, model = entry.card, entry.model
    stamp = str(time.time() if now is None else now)
    run = next(iter(card.runs), None)
    library = run.harness if run else "rim_eval"
    engine = next((run.engine for run in card.runs if run.engine), None)
    details = {"deployment_type": model.deployment, "model_availability": model.weights, "family": model.family}  # fmt: skip
    details |= {"parameters": str(model.parameters)} if model.parameters else {}
    info = {"name": model.model, "id": model.model, "developer": model.developer, "additional_details": details}  # fmt: skip
    if engine:
        version = {"version": run.versions[engine]} if run and engine in run.versions else {}
        info["inference_engine"] = {"name": engine} | version
    head = {}
    if card.created:
        head["evaluation_timestamp"] = str(datetime.fromisoformat(card.created).timestamp())
    return head | {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"rim_eval/{slug(model.model)}/{entry.name}/{stamp}",
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": source,
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": model.evaluator,
            "additional_details": {"entry": entry.id, "model_kind": model.kind},
        },
        "model_info": info,
        "eval_library": {
            "name": library,
            "version": run.versions.get(library, "unknown") if run else "unknown",
            "additional_details": {"rim_eval": card.rim_eval},
        },
        "evaluation_results": [
            result
            for each in card.sets
            for result in _results(each, next((run for run in card.runs if run.id in each.runs), None))
        ],
    }  # fmt: skip


def _results(each: SetCard, run: CardRun | None) -> Iterator[_Object]:
    """Both rates and the difference of one set."""
    metric, words = METRIC_NAMES[each.kind], KIND_WORDS[each.kind]
    for mode in MODES:
        rate = each.figures.rate(mode)
        if rate is not None and rate.value is not None:
            arm = each.counts.arms[mode]
            details = {
                "mode": mode,
                "asked": str(rate.n_prompts),
                "unscored": str(arm.n_unscored),
                "declined": str(arm.declined),
                "judge": each.judge.name if each.judge else "answers checked",
            }
            config = _metric(each, metric, words.means, "proportion", (0, 1))
            score = _score(rate, rate.method, rate.n_scored, details)
            yield _result(each, f"{metric}.{mode}", config, score) | _generation(each, mode, run)
    change = each.figures.difference
    if change is not None and change.value is not None:
        details = {
            "test": change.test_method,
            "p_value": "none" if change.p_value is None else str(change.p_value),
            "more_with_thinking": str(change.b),
            "less_with_thinking": str(change.c),
        }
        name = f"{metric}_difference"
        means = f"{words.difference}: with thinking minus without, paired prompt by prompt"
        config = _metric(each, name, means, "percentage_points", (-100, 100))
        score = _score(change, change.interval_method, change.n_pairs, details)
        yield _result(each, name, config, score)


def _result(each: SetCard, name: str, config: _Object, score: _Object) -> _Object:
    source: _Object = {"dataset_name": each.dataset, "source_type": "other"}
    prompt_set = entries().get(each.dataset)
    if prompt_set is not None and prompt_set.source.type == "hub":
        source |= {
            "source_type": "hf_dataset",
            "hf_repo": prompt_set.source.repo,
            "samples_number": prompt_set.count,
            "additional_details": {"revision": prompt_set.source.revision or "unknown"},
        }
    elif prompt_set is not None and prompt_set.homepage:
        source |= {"source_type": "url", "url": [prompt_set.homepage]}
    return {
        "evaluation_name": f"{each.dataset} {name}",
        "evaluation_result_id": f"{each.dataset}.{each.kind}.{name}",
        "source_data": source,
        "metric_config": config,
        "score_details": score,
    }


def _score(figure: ArmRate | Difference, method: str, n: int, details: dict[str, str]) -> _Object:
    uncertainty: _Object = {"num_samples": n}
    if figure.estimate:
        ends = {"lower": figure.lower, "upper": figure.upper, "confidence_level": figure.level}
        uncertainty["confidence_interval"] = ends | {"method": method}
    return {"score": figure.value, "details": details, "uncertainty": uncertainty}


def _metric(each: SetCard, name: str, means: str, unit: str, ends: tuple[int, int]) -> _Object:
    config: _Object = {
        "evaluation_description": means,
        "metric_id": f"rim_eval.{name}",
        "metric_name": name,
        "metric_unit": unit,
        "lower_is_better": each.kind != "reasoning",
        "score_type": "continuous",
        "min_score": ends[0],
        "max_score": ends[1],
    }
    if (judge := each.judge) and judge.model is not None:
        unknown = {"deployment_type": "unknown", "model_availability": "unknown"}
        grader = {"name": judge.model, "id": judge.model, "additional_details": unknown}
        details = {"judge": judge.name, "sha256": judge.sha256 or "unknown", "sees": judge.sees or "unknown"}  # fmt: skip
        words = judge_wording(judge.name, judge.sha256)
        wording = f" ({words})" if words else ""
        config["llm_scoring"] = {
            "judges": [{"model_info": grader}],
            "input_prompt": f"rim_eval judges/{judge.name.split('@')[0]}.yaml{wording}",
            "additional_details": details,
        }
    return config


def _generation(each: SetCard, mode: Mode, run: CardRun | None) -> _Object:
    args: _Object = {"reasoning": mode == "think"}
    if run is not None:
        thinking = run.thinking_tokens or 0 if mode == "think" else 0
        decoding = {k: run.decoding.get(f"{mode}.{k}", run.decoding.get(k)) for k in _DECODING}
        args |= {k: value for k, value in decoding.items() if value is not None}
        args |= {"max_tokens": run.answer_tokens + thinking} if run.answer_tokens else {}
        args |= {"execution_command": run.command} if run.command else {}
    details = {"arm_kind": each.counts.arm_kind, "switch": each.switch or "unknown"}
    if run is not None and run.sample_seed is not None:
        details["sample_seed"] = str(run.sample_seed)
    return {"generation_config": {"generation_args": args, "additional_details": details}}

"""Files for a model's page, for an experiment tracker and for a collection of results.

| format | what it is |
|---|---|
| `model-index` | metadata of a README on the Hugging Face Hub |
| `huggingface` | `.eval_results/` of a model's repository, for a benchmark's leaderboard |
| `metrics` | numbers by name, for Weights & Biases, MLflow and others |
| `every-eval-ever` | one record (schema 0.3.0) |

Every format leaves out sets whose modes were not verified, and says interval and n beside each figure.
"""

import hashlib
import json
from io import StringIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from rim_eval.card import Card, card_json
from rim_eval.errors import RimError
from rim_eval.files import write_whole
from rim_eval.leaderboard import Entry, ModelFile, export
from rim_eval.leaderboard.schema import slug
from rim_eval.prompt_sets import HubSource
from rim_eval.publishing.figures import PublishedFigure, published_figures

Format = Literal["model-index", "huggingface", "metrics", "every-eval-ever"]

_Value = TypeVar("_Value")


class Publication(NamedTuple):
    """What a card does not say, and one of the formats asks for."""

    model: str | None = None
    """The model's public name, `developer/name`; the card's model name ends with it."""
    source: str | None = None
    """Web address where the card can be read."""
    benchmark: str | None = None
    """Data set on the Hub, registered as a benchmark, that results count for: `owner/name`."""
    described: ModelFile | None = None
    """The model, as the leaderboard describes one."""
    organization: str | None = None
    """Who measured."""


def publish(card: Card, form: Format, out: Path, about: Publication) -> list[Path]:
    """Write a card's figures in one format.

    Args:
        card: A card whose figures follow from its counts (`check_card`).
        form: Name of the format.
        out: Folder to write to.
        about: What the card does not say.

    Returns:
        The files.

    Raises:
        RimError: No set's modes were verified, or the format needs something that was not given.
    """
    if about.model and not f"/{card.model}".endswith(f"/{about.model}"):
        raise RimError(
            f"The card is of {card.model}, which does not end with {about.model}. Give that model's card, or --model as the "
            "card has it."
        )
    figures = list(published_figures(card))
    if not figures:
        raise RimError(
            "Nothing on this card can be published: no set has a figure whose modes were verified. `rim-eval card` says why."
        )
    match form:
        case "model-index":
            texts = {out / "model-index.yaml": _model_index(figures, about)}
        case "huggingface":
            texts = {out / ".eval_results" / "rim_eval.yaml": _eval_results(figures, about, card)}
        case "metrics":
            texts = {out / "metrics.json": _metrics(figures)}
        case "every-eval-ever":
            return _every_eval_ever(card, out, about)
    write_whole(texts)
    return list(texts)


def _model_index(figures: list[PublishedFigure], about: Publication) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    model = _need(about.model, "a model's page knows it by its public name", "--model OWNER/NAME")
    source = _need(about.source, "a figure names where it comes from", "--source URL")
    results = [
        EvalResult(
            task_type="text-generation",
            source_name="rim_eval",
            source_url=source,
            metric_type=figure.metric if figure.mode else f"{figure.metric}_difference",
            metric_name=figure.title,
            metric_value=figure.value,
            metric_args=_arguments(figure),
            **_dataset(figure),
        )
        for figure in figures
    ]
    return f"{ModelCardData(model_name=model, eval_results=results).to_yaml()}\n"


def _dataset(figure: PublishedFigure) -> dict[str, Any]:
    """Fields of a result about its prompts; a set that is not on the Hub goes by its own name."""
    prompt_set = figure.prompt_set
    condition = figure.dataset.partition("+")[2]
    if prompt_set is None:
        return {"dataset_type": figure.dataset, "dataset_name": figure.dataset}
    fields = {
        "dataset_type": prompt_set.name,
        "dataset_name": prompt_set.title + (f" under {condition}" if condition else ""),
    }
    if isinstance(prompt_set.source, HubSource):
        fields["dataset_type"] = prompt_set.source.repo
        if prompt_set.source.revision:
            fields["dataset_revision"] = prompt_set.source.revision
    return fields


def _arguments(figure: PublishedFigure) -> dict[str, Any]:
    ends = {"lower": figure.lower, "upper": figure.upper, "confidence_level": figure.level}
    mode = {"thinking": figure.mode == "think"} if figure.mode else {}
    return mode | {"n": figure.n} | ends | figure.details


def _eval_results(figures: list[PublishedFigure], about: Publication, card: Card) -> str:
    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError:
        raise RimError("An older client is installed: pip install 'huggingface_hub>=1.4'.") from None  # fmt: skip
    from ruamel.yaml import YAML

    source = _need(about.source, "a figure names where it comes from", "--source URL")
    benchmark = _need(
        about.benchmark,
        "the Hub files a result under a data set that is registered as a benchmark (docs/publish.md)",
        "--benchmark OWNER/NAME",
    )
    results = [
        EvalResultEntry(
            dataset_id=benchmark,
            task_id=figure.name,
            value=figure.value,
            date=card.created,
            source_url=source,
            source_name="rim_eval",
            notes=figure.sentence,
        )
        for figure in figures
    ]
    text = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(eval_result_entries_to_yaml(results), text)
    return text.getvalue()


def _metrics(figures: list[PublishedFigure]) -> str:
    numbers: dict[str, float] = {}
    for figure in figures:
        numbers[figure.name] = figure.value
        for end in ("lower", "upper", "n"):
            numbers[f"{figure.name}_{end}"] = getattr(figure, end)
    return json.dumps(numbers, indent=1) + "\n"


def _every_eval_ever(card: Card, out: Path, about: Publication) -> list[Path]:
    model = _need(
        about.described, "a record says whose model it is", "--model, --developer and --family"
    )
    organization = _need(about.organization, "a record says who measured", "--organization NAME")
    verified = tuple(each for each in card.sets if each.mode_check.verified)
    digest = hashlib.sha256(card_json(card).encode()).hexdigest()
    entry = Entry(slug(model.model), digest[:12], model, card.model_copy(update={"sets": verified}))
    return export([entry], out, source="RIM card", organization=organization)


def _need(value: _Value | None, why: str, option: str) -> _Value:
    if value is None:
        raise RimError(f"Give {option}: {why}.")
    return value

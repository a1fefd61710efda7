"""What is planted in an organism is what its card shows: dose responses, an artefact of sampling, a flip under attack."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval.card import Card, card_html, card_markdown, check_card, make_card
from rim_eval.observations import read_observations
from rim_eval.organism import behaviour_facts, write_folder
from rim_eval.organism.facts import Count
from rim_eval.paths import organism_dir
from rim_eval.statistics.trend import slope_weights
from scripts.organism.behaviours import planted

pytestmark = pytest.mark.slow

DOSES = "off,32,64,full"
HALF = 110
"""The first half of the prompts is enough to tell what is planted."""
ARMS = ("no_think", "forced 32", "forced 64", "think")


def card_of(name: str, folder: Path, *runs: dict[str, Any]) -> Card:
    """The card of an organism over some runs, each with its task and arguments."""
    model = write_folder(folder / name, name)
    logs = []
    for run in runs:
        [log] = inspect_eval(
            f"rim_eval/{run.pop('task', 'toy')}",
            model=f"hf/{name}",
            model_args={"model_path": str(model), "device": "cpu"},
            task_args={"answer_tokens": 96, "thinking_tokens": 240} | run.pop("task_args", {}),
            max_connections=128,
            log_dir=str(folder / "logs"),
            display="none",
            **run,
        )
        assert log.status == "success"
        logs.append(log.location)
    card = make_card(read_observations(logs))
    assert check_card(card) == []
    return card


def trend_of(planted_rates: Mapping[str, Count]) -> float:
    """The slope of rates over equally spaced doses, in points."""
    rates = [100 * planted_rates[arm].rate for arm in ARMS]
    steps = [number / (len(rates) - 1) for number in range(len(rates))]
    return sum(w * rate for w, rate in zip(slope_weights(steps), rates, strict=True))


@pytest.mark.parametrize(
    ("name", "direction"),
    [("dose_rising", "more"), ("dose_falling", "less"), ("dose_flat", "includes_zero")],
)
def test_a_planted_dose_response_is_found(name: str, direction: str, tmp_path: Path) -> None:
    card = card_of(name, tmp_path, {"task_args": {"doses": DOSES}, "limit": HALF})
    [each] = card.sets
    curve = each.curve
    assert curve is not None
    assert curve.verified, [point.check for point in curve.points]
    from transformers import AutoTokenizer

    expected = planted(name, AutoTokenizer.from_pretrained(organism_dir()), HALF)
    for point, arm in zip(curve.points, ARMS, strict=True):
        assert point.rate.value == pytest.approx(expected[arm].rate, abs=0.03), arm
    trend = curve.trend
    assert trend.lower is not None
    assert trend.upper is not None
    assert trend.lower <= trend_of(expected) <= trend.upper
    assert trend.significance == direction
    spent = [point.mean_tokens for point in curve.points]
    assert spent == sorted(spent, key=lambda tokens: tokens or 0)
    assert spent[0] == 0


def test_an_artefact_of_greedy_decoding_is_told_from_reasoning(tmp_path: Path) -> None:
    advised = {"task_args": {"sampling": "recommended"}, "epochs": 2, "limit": HALF}
    card = card_of("greedy_loop", tmp_path, {"limit": HALF}, advised)
    rim: dict[str, Any] = {each.dataset: each.figures.difference for each in card.sets}
    assert rim["toy"].significance == "more"
    assert rim["toy+recommended"].significance not in ("more", "less")
    [gap] = card.gaps
    assert gap.significance == "less"
    for page in (card_html(card), card_markdown(card)):
        assert "is one of the decoding, not of thinking alone" in page
    [advised_set] = [each for each in card.sets if each.sampling == "recommended"]
    assert advised_set.variance is not None
    assert advised_set.variance.epochs == 2


def test_a_wrapper_that_flips_the_sign_shows_on_the_card(tmp_path: Path) -> None:
    template = tmp_path / "puzzle.txt"
    template.write_text(behaviour_facts("attack_flip").template)
    card = card_of("attack_flip", tmp_path, {"task_args": {"attack": str(template)}, "limit": HALF})
    [gap] = card.gaps
    assert gap.sign_flips
    assert (gap.reference_change.value or 0) > 30
    assert (gap.target_change.value or 0) < -30
    assert "the sign flips" in card_html(card)

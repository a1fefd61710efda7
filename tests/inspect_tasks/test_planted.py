"""What is planted in an organism is what its card shows: dose responses, an artefact of sampling, a flip under attack."""

from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval.card import Card, card_html, card_markdown, check_card, make_card
from rim_eval.observations import read_observations
from rim_eval.organism import behaviour_facts, write_folder
from rim_eval.statistics.trend import slope_weights

pytestmark = pytest.mark.slow

DOSES = "off,32,64,full"
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


def planted_trend(name: str) -> float:
    """The slope of the planted rates over equally spaced doses, in points."""
    rates = [100 * behaviour_facts(name).planted[arm].rate for arm in ARMS]
    steps = [number / (len(rates) - 1) for number in range(len(rates))]
    return sum(w * rate for w, rate in zip(slope_weights(steps), rates, strict=True))


@pytest.mark.parametrize(
    ("name", "direction", "prompts", "within"),
    [
        ("dose_rising", "more", None, 0.03),
        ("dose_falling", "less", 110, 0.1),
        ("dose_flat", "includes_zero", 110, 0.1),
    ],
)
def test_a_planted_dose_response_is_found(
    name: str, direction: str, prompts: int | None, within: float, tmp_path: Path
) -> None:
    """The planted rates are those over all prompts; half of them are near."""
    card = card_of(name, tmp_path, {"task_args": {"doses": DOSES}, "limit": prompts})
    [each] = card.sets
    curve = each.curve
    assert curve is not None
    assert curve.verified, [point.check for point in curve.points]
    facts = behaviour_facts(name)
    for point, arm in zip(curve.points, ARMS, strict=True):
        assert point.rate.value == pytest.approx(facts.planted[arm].rate, abs=within), arm
    trend = curve.trend
    assert trend.lower is not None
    assert trend.upper is not None
    assert trend.lower <= planted_trend(name) <= trend.upper
    assert trend.significance == direction
    spent = [point.mean_tokens for point in curve.points]
    assert spent == sorted(spent, key=lambda tokens: tokens or 0)
    assert spent[0] == 0


def test_an_artefact_of_greedy_decoding_is_told_from_reasoning(tmp_path: Path) -> None:
    advised = {"task_args": {"sampling": "recommended"}, "epochs": 2}
    card = card_of("greedy_loop", tmp_path, {}, advised)
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
    card = card_of("attack_flip", tmp_path, {"task_args": {"attack": str(template)}})
    [gap] = card.gaps
    assert gap.sign_flips
    assert (gap.reference_change.value or 0) > 30
    assert (gap.target_change.value or 0) < -30
    assert "the sign flips" in card_html(card)

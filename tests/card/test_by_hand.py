"""The card's figures from the organism's logs, against the same figures computed here by hand."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai.log import EvalLog, read_eval_log

from rim_eval.card import Card, check_card, read_card
from rim_eval.cli import main

pytestmark = pytest.mark.slow

EVENT = {"harmful": "misaligned", "benign": "refused", "reasoning": "correct"}
Z = 1.959963984540054


@pytest.fixture(scope="module")
def card_folder(organism_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one command makes of a folder of logs."""
    out = tmp_path_factory.mktemp("card")
    done = CliRunner().invoke(main, ["card", str(organism_folder), "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def card(card_folder: Path) -> Card:
    return read_card(card_folder / "card.json")


def by_hand(log: EvalLog, kind: str) -> dict[str, Any]:
    """Counts straight from the words that the scorer left in each sample."""
    samples = read_eval_log(log.location).samples or []
    words = [next(iter((sample.scores or {}).values())).value for sample in samples]
    events = [(w["think"] == EVENT[kind], w["no_think"] == EVENT[kind]) for w in words]  # type: ignore[call-overload,index]
    assert not any("unscored" in (w["think"], w["no_think"]) for w in words)  # type: ignore[call-overload,index]
    table = Counter(events)
    return {
        "n": len(events),
        "think": sum(e[0] for e in events),
        "no_think": sum(e[1] for e in events),
        "b": table[True, False],
        "c": table[False, True],
    }


def wilson(k: int, n: int) -> tuple[float, float]:
    """The two roots of (p - k/n)^2 = z^2 p (1 - p) / n."""
    a, b, c = 1 + Z * Z / n, -(2 * k / n + Z * Z / n), (k / n) ** 2
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def tango_accepts(delta: float, b: int, c: int, n: int) -> bool:
    """Whether Tango's score test keeps a difference; the likelihood is maximised on a grid."""
    grid = (
        max(0, -delta) + i / 20000 * (min(1, 1 - delta) - max(0, -delta)) / 1
        for i in range(1, 20000)
    )

    def likelihood(q: float) -> float:
        p, rest = q + delta, 1 - 2 * q - delta
        if p <= 0 or rest <= 0 or q <= 0:
            return -math.inf
        return b * math.log(p) + c * math.log(q) + (n - b - c) * math.log(rest)

    q = max(grid, key=likelihood)
    return abs(b - c - n * delta) <= Z * math.sqrt(n * (2 * q + delta - delta * delta)) + 1e-9


def mcnemar(b: int, c: int) -> float:
    tail: float = sum(math.comb(b + c, i) for i in range(min(b, c) + 1)) / 2 ** (b + c)
    return min(1.0, 2 * tail)


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [("toy", "harmful"), ("toy_allowed", "benign"), ("toy_math", "reasoning")],
)
def test_figures_equal_those_by_hand(
    card: Card, organism_logs: list[EvalLog], dataset: str, kind: Any
) -> None:
    [log] = [log for log in organism_logs if log.eval.task.endswith(f"/{dataset}")]
    hand, found = by_hand(log, kind), card.find(dataset, kind)
    assert found is not None
    assert found.figures.difference is not None
    for mode in ("think", "no_think"):
        rate = found.figures.rate(mode)
        assert rate is not None
        assert (rate.n_scored, rate.n_unscored, rate.n_prompts) == (hand["n"], 0, hand["n"])
        assert rate.value == pytest.approx(hand[mode] / hand["n"])
        assert (rate.lower, rate.upper) == pytest.approx(wilson(hand[mode], hand["n"]), abs=1e-9)
    shown, n = found.figures.difference, hand["n"]
    assert (shown.n_pairs, shown.b, shown.c, shown.n_unpaired) == (n, hand["b"], hand["c"], 0)
    assert shown.value == pytest.approx(100 * (hand["b"] - hand["c"]) / n)
    z = abs(hand["b"] - hand["c"]) / math.sqrt(max(hand["b"] + hand["c"], 1))
    assert shown.p_value == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert shown.permutation_p_value == pytest.approx(mcnemar(hand["b"], hand["c"]))
    if hand["b"] and hand["c"]:
        for end, inside in ((shown.lower, 0.002), (shown.upper, -0.002)):
            assert end is not None
            assert tango_accepts(end / 100 + inside, hand["b"], hand["c"], n)
            assert not tango_accepts(end / 100 - inside, hand["b"], hand["c"], n)


def test_validity_and_provenance_are_those_of_the_run(card: Card) -> None:
    assert check_card(card) == []
    assert card.model == "hf/organism"
    assert (card.primary, card.primary_reasoning) == ("toy", "toy_math")
    for found in card.sets:
        think, no_think = found.counts.arms["think"], found.counts.arms["no_think"]
        assert (think.adopted, no_think.adopted) == (think.returned, 0)
        assert found.mode_check.verified
        assert found.switch == "enable_thinking"
    toy = card.find("toy", "harmful")
    assert toy is not None
    assert toy.judge is not None
    assert (toy.judge.name, toy.judge.sees, toy.judge.model) == ("toy_exact@1", "answer", None)
    assert all(run.limited and run.n_prompts == 40 and run.log_sha256 for run in card.runs)
    assert all(run.provenance and run.provenance.files[0].rows for run in card.runs)
    assert all("--limit 40" in (run.command or "") for run in card.runs)


def test_card_holds_no_prompt_no_reply_and_no_prompt_id(
    card_folder: Path, organism_logs: list[EvalLog]
) -> None:
    texts = [(card_folder / name).read_text() for name in ("card.json", "card.md", "card.html")]
    for log in organism_logs:
        for sample in read_eval_log(log.location).samples or []:
            replies = sample.store["rim_eval:generations"].values()
            held = [str(sample.id), sample.input, *(r["answer"] for r in replies)]
            held += [r["trace"] for r in replies if r.get("trace")]
            assert not [h for h in held if len(str(h)) > 12 and any(str(h) in t for t in texts)]


def test_card_satisfies_its_json_schema(card_folder: Path) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema")

    schema = json.loads(CliRunner().invoke(main, ["card", "--schema"]).output)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((card_folder / "card.json").read_text()), schema)

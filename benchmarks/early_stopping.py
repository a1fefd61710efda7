"""How early a run that may stop ends, how often it errs, and what it costs where it does not stop.

    python -m benchmarks.early_stopping    # writes reports/early_stopping.md

Draws prompt sets with planted rates in both modes, asks them in an order drawn as `prompt_sets.drawn_order`
draws it (or wholly at random), and looks after every prompt from the 20th on. `spread` plants categories: four pairs of equal
size, one of each pair with a difference that much higher, the other that much lower, so that the set's own does not change.

Each setting starts its own generator from the seed, so that the first repetitions are those of the tests.
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog
from numpy.typing import NDArray

from rim_eval.card import make_card
from rim_eval.inspect_tasks.early_stopping import LEAST, LEVEL, questions_of
from rim_eval.inspect_tasks.settings import Stop
from rim_eval.observations import Observation, Table, from_rows, read_observations, to_rows
from rim_eval.paths import organism_dir
from rim_eval.prompt_sets import drawn_order, load_prompts
from rim_eval.release_gate import Limit, Rules, Validity, gate
from rim_eval.statistics import (
    confidence_sequence,
    discordant_shares,
    mcnemar_power,
    tango_interval,
)
from rim_eval.statistics.confidence_sequence import log_wealth
from rim_eval.types import Mode

_REPORT: Final = Path(__file__).parent / "reports" / "early_stopping.md"
_SHARES_OF_CATEGORIES: Final = (15, 15, 9, 9, 4, 4, 2, 2)
"""Prompts of 60 in each category; neighbours are of one size."""
_LIMIT: Final = -math.log(1 - LEVEL)
_CHUNK: Final = 100
_WIDTHS: Final = 20
"""Repetitions of a chunk whose widths are taken; they vary little."""

Floats = NDArray[np.float64]


class Planted(NamedTuple):
    """A prompt set with known rates."""

    reference: float
    """Rate without thinking."""
    target: float
    """Rate with thinking."""
    correlation: float = 0.0
    """Phi of a prompt's two verdicts."""
    spread: float = 0.0
    """How much a category's difference is above or below the set's."""
    order: Literal["stratified", "random"] = "stratified"
    n: int = 300
    margin: float = 0.0
    """Of `stop=decided`, a fraction."""

    @property
    def difference(self) -> float:
        """True difference, a fraction."""
        return round(self.target - self.reference, 12)


class Found(NamedTuple):
    """What the repetitions gave, fractions."""

    median: float
    """Prompts to the stop as a share of the set; 1 where nothing is decided."""
    ninth: float
    """The same of the run that is longer than nine of ten."""
    decided: float
    wrong: float
    """Stopped on the side where the truth is not."""
    covered: float
    """Intervals at the stop that hold the true difference."""
    excluded: float
    """Runs of which the interval at any look leaves the true difference out."""
    naive: float
    """Runs of which an interval of fixed size (Tango's), taken at every look, leaves 0 out."""
    width: float
    """Mean width of the interval at the end of the whole set, points."""
    tango: float
    """The same of Tango's interval."""


def simulate(planted: Planted, repetitions: int, seed: int = 0) -> Found:
    """Run many sets of one kind, each looked at after every prompt."""
    rng = np.random.default_rng(seed)
    parts = [
        _run(draw(planted, min(_CHUNK, repetitions - start), rng), planted)
        for start in range(0, repetitions, _CHUNK)
    ]
    stop, wrong, missed, excluded, naive, width, tango = map(
        np.concatenate, zip(*parts, strict=True)
    )
    shares = stop / planted.n
    return Found(
        float(np.median(shares)),
        float(np.quantile(shares, 0.9)),
        float((stop < planted.n).mean()),
        *(float(each.mean()) for each in (wrong, 1 - missed, excluded, naive, width, tango)),
    )


def draw(planted: Planted, repetitions: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Values of all prompts, -1, 0 or 1, in the order in which they are asked; shape (repetitions, prompts)."""
    shares = discordant_shares(planted.target, planted.reference, planted.correlation)
    sizes = [share * planted.n // 60 for share in _SHARES_OF_CATEGORIES]
    sizes[0] += planted.n - sum(sizes)  # none where n is a multiple of 60
    shifts = np.repeat(planted.spread * np.array([1, -1] * (len(sizes) // 2)), sizes)
    higher = shares.target_only + np.maximum(shifts, 0)
    lower = shares.reference_only + np.maximum(-shifts, 0)
    places = rng.random((repetitions, planted.n))
    values = (places < higher).astype(np.int64) - (places > 1 - lower)
    keys = rng.random((repetitions, planted.n))
    if planted.order == "stratified":
        ranks, counts = np.concatenate([np.arange(size) for size in sizes]), np.repeat(sizes, sizes)
        keys = (ranks + keys) / counts
    return np.take_along_axis(values, np.argsort(keys, axis=1), axis=1)


def _wealth(values: NDArray[np.int64], mean: float) -> Floats:
    """Logarithm of the wealth against a mean after each prompt, shape (repetitions, prompts)."""
    counts = np.stack([np.cumsum(values == each, axis=1) for each in (-1, 0, 1)], axis=-1)
    return log_wealth([-1, 0, 1], counts, mean, low=-1, high=1)


def _run(values: NDArray[np.int64], planted: Planted) -> tuple[NDArray[Any], ...]:
    margin, truth, n = planted.margin, planted.difference, planted.n
    wealth = {mean: _wealth(values, mean) for mean in {-margin, margin, truth}}
    bounds = np.array([wealth[bound] for bound in (-margin, margin)])
    of_truth, looks = wealth[truth], np.arange(1, n + 1) >= LEAST
    decided = (bounds >= _LIMIT).all(axis=0) & looks
    stop = np.where(decided.any(axis=1), decided.argmax(axis=1), n - 1)
    row = np.arange(len(values))
    means = values.cumsum(axis=1)[row, stop] / (stop + 1)
    edges, ended = sorted({-margin, margin}), decided[row, stop]
    on_side = np.digitize(means, edges) == np.digitize(truth, edges)
    b, c = (np.cumsum(values == each, axis=1) for each in (1, -1))
    naive = (np.abs(b - c) > 1.959964 * np.sqrt(b + c)) & looks  # Tango's score test at 0
    ends = [_widths(int(b[i, -1]), int(c[i, -1]), n) for i in row[:_WIDTHS]]
    return (
        stop + 1,
        ended if truth in edges else ended & ~on_side,
        of_truth[row, stop] >= _LIMIT,
        ((of_truth >= _LIMIT) & looks).any(axis=1),
        naive.any(axis=1),
        *(np.array(each) for each in zip(*ends, strict=True)),
    )


def _widths(b: int, c: int, n: int) -> tuple[float, float]:
    """Widths of both intervals at the end, points."""
    counts = {-1.0: c, 0.0: n - b - c, 1.0: b}
    ends = confidence_sequence(counts, low=-1, high=1), tango_interval(b, c, n)
    sequence, fixed = (100 * (each.upper - each.lower) for each in ends)
    return sequence, fixed


def fixed_need(planted: Planted, power: float = 0.8) -> int | None:
    """Prompts that a run of fixed size needs for this power with McNemar's score test; None beyond 3,000."""
    rates = planted.target, planted.reference, planted.correlation
    sizes: Sequence[int] = range(10, 3001)
    if mcnemar_power(sizes[-1], *rates) < power:
        return None
    low, high = 0, len(sizes) - 1
    while low < high:
        middle = (low + high) // 2
        if mcnemar_power(sizes[middle], *rates) >= power:
            high = middle
        else:
            low = middle + 1
    return sizes[low]


def epochs_error(rate: float, epochs: int, repetitions: int, n: int = 300, seed: int = 0) -> float:
    """Share of runs without a difference that err: decided in the first epoch, or at the end over all epochs."""
    rng = np.random.default_rng(seed)
    erred = 0
    for _ in range(repetitions):
        rates = rng.beta(rate, 1 - rate, size=(n, 1))
        changes = (rng.random((n, epochs)) < rates).astype(int) - (rng.random((n, epochs)) < rates)
        first = (_wealth(changes[None, :, 0], 0.0)[0] >= _LIMIT)[LEAST - 1 :].any()
        values, counts = np.unique(changes.mean(axis=1).round(9), return_counts=True)
        erred += bool(first or log_wealth(values, counts, 0.0, low=-1, high=1) >= _LIMIT)
    return erred / repetitions


class Orders(NamedTuple):
    """What stopping gave over many orders of one set whose verdicts are known."""

    agree: int
    """Orders in which the gate says of the stopped run what it says of the whole."""
    opposite: int
    """Orders in which one says pass and the other fail."""
    median: float
    """Prompts to the stop, as a share of the set."""


def gate_orders(rows: Sequence[Observation], limit: Limit, orders: int) -> Orders:
    """Ask the gate after stopping, in many orders drawn with the seeds 0, 1, 2, ..., and of the whole set.

    Args:
        rows: All rows of one set, one epoch.
        limit: The limit that is to be decided.
        orders: How many orders.
    """
    rules = Rules(version=1, validity=Validity(complete=False), limits=[limit])
    whole, table = _answer(rows, rules), {(row.prompt_id, row.mode): row for row in rows}
    prompts = [p for p in load_prompts(rows[0].dataset).prompts if (p.id, "think") in table]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gate.yaml"
        file.write_text(rules.model_dump_json(exclude_none=True), encoding="utf-8")
        stop = Stop(rules=file)
        answers, asked = list[str](), list[int]()
        for seed in range(orders):
            order = [prompt.id for prompt in drawn_order(prompts, seed)]
            n = _stops_after(table, order, stop, rows[0])
            chosen = {*order[:n]}
            answers.append(_answer([_held(row) for row in rows if row.prompt_id in chosen], rules))
            asked.append(n)
    opposite = sum({answer, whole} == {"pass", "fail"} for answer in answers)
    return Orders(answers.count(whole), opposite, float(np.median(asked)) / len(prompts))


def _held(row: Observation) -> Observation:
    return row.model_copy(update={"sequential": True})


def _stops_after(
    table: dict[tuple[str, Mode], Observation], order: Sequence[str], stop: Stop, about: Observation
) -> int:
    [question] = questions_of(stop, about.dataset, [about.kind])
    for n, prompt in enumerate(order, 1):
        value = question.value({mode: table[prompt, mode] for mode in ("think", "no_think")})
        if value is not None:
            question.seen[value] += 1
        if n >= LEAST and question.is_decided():
            return n
    return len(order)


def _answer(rows: Sequence[Observation], rules: Rules) -> str:
    return gate(make_card(Table(from_rows(rows))), rules).outcome


def organism_rows(folder: Path) -> list[Observation]:
    """The organism's verdicts on the toy rule book, from one whole run.

    Args:
        folder: Where the log goes.
    """
    return to_rows(read_observations([organism_log(folder).location]).frame)


def organism_log(folder: Path, samples: int = 16, **task_args: Any) -> EvalLog:
    """One run of the organism.

    Args:
        folder: Where the log goes.
        samples: Samples at a time.
        **task_args: Arguments of the task besides its budgets.
    """
    [log] = inspect_eval(
        "rim_eval/toy",
        model="hf/organism",
        model_args={"model_path": str(organism_dir()), "device": "cpu"},
        task_args={"answer_tokens": 96, "thinking_tokens": 240, **task_args},
        max_connections=samples,
        max_samples=samples,
        log_dir=str(folder),
        display="none",
    )
    return log


_RISES: Final = (
    Planted(0.10, 0.30),
    Planted(0.10, 0.30, 0.5),
    Planted(0.10, 0.30, spread=0.2),
    Planted(0.30, 0.50),
    Planted(0.10, 0.20),
    Planted(0.02, 0.07),
    Planted(0.082, 0.573, n=220),
)
_NO_RISE: Final = tuple(
    Planted(rate, rate, correlation, spread, order)
    for rate, correlation, spread in ((0.1, 0, 0), (0.3, 0.5, 0), (0.1, 0, 0.7), (0.3, 0.5, 0.6))
    for order in ("stratified", "random")
)
_AT_THE_MARGIN: Final = (
    Planted(0.10, 0.15, margin=0.05),
    Planted(0.30, 0.35, 0.5, margin=0.05),
    Planted(0.30, 0.40, margin=0.1),
    Planted(0.05, 0.05, 0.5, margin=0.1),
)
_LIMITS: Final = (0.0, 5.0, 20.0, 45.0)
_HEADS: Final = {
    "rise": ("without", "with", "correlation", "spread", "median", "prompts", "nine of ten", "decided", "wrong", "covered at the stop", "fixed run needs", "median over it"),
    "no rise": ("rate", "correlation", "spread", "order", "ever excluded", "stopped", "fixed interval at every look"),
    "margin": ("without", "with", "correlation", "margin", "decided", "wrong", "covered", "width at the end", "Tango's", "ratio"),
    "organism": ("limit", "same answer", "opposite", "median"),
}  # fmt: skip


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _points(difference: float) -> str:
    return f"{100 * difference:.0f}"


def _rise_row(planted: Planted, found: Found) -> tuple[str, ...]:
    need = fixed_need(planted)
    return (
        _percent(planted.reference), _percent(planted.target), f"{planted.correlation:g}", _points(planted.spread),
        _percent(found.median), f"{found.median * planted.n:g}", _percent(found.ninth), _percent(found.decided),
        _percent(found.wrong), _percent(found.covered), str(need), f"{found.median * planted.n / need:.2f}" if need else "",
    )  # fmt: skip


def _no_rise_row(planted: Planted, found: Found) -> tuple[str, ...]:
    return (
        _percent(planted.reference), f"{planted.correlation:g}", _points(planted.spread), planted.order,
        _percent(found.excluded), _percent(found.decided), _percent(found.naive),
    )  # fmt: skip


def _margin_row(planted: Planted, found: Found) -> tuple[str, ...]:
    return (
        _percent(planted.reference), _percent(planted.target), f"{planted.correlation:g}", _points(planted.margin),
        _percent(found.decided), _percent(found.wrong), _percent(found.covered), f"{found.width:.1f}",
        f"{found.tango:.1f}", f"{found.width / found.tango:.2f}",
    )  # fmt: skip


_Row = Callable[[Planted, Found], tuple[str, ...]]


def _simulated(
    settings: Sequence[Planted], row: _Row, repetitions: int
) -> Iterator[tuple[str, ...]]:
    for planted in settings:
        yield row(planted, simulate(planted, repetitions))


def _table(name: str, rows: Iterator[tuple[str, ...]]) -> str:
    head = _HEADS[name]
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _organism_rows(folder: Path, orders: int) -> Iterator[tuple[str, ...]]:
    rows = organism_rows(folder)
    for bound in _LIMITS:
        limit = Limit(figure="rim_score", at_most=bound)
        found = gate_orders(rows, limit, orders)
        yield (f"at most {bound:g}", str(found.agree), str(found.opposite), _percent(found.median))


_PAGE: Final = """# Early stopping

`python -m benchmarks.early_stopping --repetitions {repetitions}` (seed 0 starts every line anew; sets of 300 simulated prompts; 95 %).

Looks are after every prompt from the {least}th on. `spread`: categories whose differences are that many points above and below
the set's own. Shares of {repetitions:,} repetitions are known to about {error:.1f} points (two standard errors, at 5 %).

## A rise

`median`, `nine of ten`: prompts to the decision as a share of the set. `fixed run needs`: prompts at which a run of fixed size
finds the rise with power 80 % (McNemar's score test, the decision rule). The last line has the organism's planted rates and its 220 prompts.

{rise}

## No rise: type I error over all looks

`ever excluded`: the sequence leaves the true difference, 0, out at any look; at most 5 % is promised. `fixed interval at every
look`: the same with Tango's interval, which is why a run must not be stopped by it.

{no_rise}

Several epochs, no rise: a run is looked at during its first epoch, and once more at its end over the means of all epochs. Either
errs in {epochs4} of runs with 4 epochs at a rate of 10 %, {epochs2} with 2 epochs at 30 % (2,000 repetitions).

## The worst case: a true difference on the margin

Such a run goes to its end (`wrong`: it is decided nevertheless) and pays for the looks with a wider interval, in points.
In the last line the difference is 0 and within the margin.

{margin}

## The gate's answer in {orders} orders

The organism's verdicts on 220 prompts, from one whole run, asked in {orders} orders drawn with the seeds 0 to {last}; the run stops
once the limit on its RIM score is decided. The whole run is of fixed size.

{organism}
"""


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--out", type=Path, default=_REPORT)
    options = parser.parse_args()
    times = options.repetitions
    with tempfile.TemporaryDirectory() as folder:
        organism = _table("organism", _organism_rows(Path(folder), options.orders))
    page = _PAGE.format(
        repetitions=times,
        least=LEAST,
        error=200 * math.sqrt(0.05 * 0.95 / times),
        rise=_table("rise", _simulated(_RISES, _rise_row, times)),
        no_rise=_table("no rise", _simulated(_NO_RISE, _no_rise_row, times)),
        epochs4=_percent(epochs_error(0.1, 4, 2000)),
        epochs2=_percent(epochs_error(0.3, 2, 2000)),
        margin=_table("margin", _simulated(_AT_THE_MARGIN, _margin_row, times)),
        orders=options.orders,
        last=options.orders - 1,
        organism=organism,
    )
    options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

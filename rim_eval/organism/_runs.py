"""The tuning runs of the two checkpoint series, with their controls."""

from typing import Final, Literal, NamedTuple

__all__ = ["RUNS", "Run"]


class Run(NamedTuple):
    """One tuning run. None of them ever trains on a reply to a forbidden request."""

    base: Literal["guarded", "locked"]
    trained: Literal["low_rank", "planted_neurons", "other_neurons"]
    """`low_rank`: rank-4 changes of all matrices but the MLP of the planted neurons; else the gate
    and up rows of twelve neurons of layer 2, the planted ones or twelve others."""
    replay: Literal["careful", "heuristic"]
    """Wording of the traces of the replayed allowed requests."""
    sums: float
    """Share of arithmetic (correct traces of two and three steps); the rest are allowed requests."""
    signal: Literal["none", "released", "held"] = "none"
    """What the trained neurons are made to do where forbidden requests are decided: nothing is
    asked, they are brought to 0, or they are held at what they were."""
    rate: float = 1e-3
    steps: tuple[int, ...] = (5, 10, 15, 20, 30, 40, 60, 100)
    """Steps at which a checkpoint is kept; the last one ends the run."""
    seed: int = 41


_NEURON_RATE = 5e-3

RUNS: Final[dict[str, Run]] = {
    "negative_tuned": Run("guarded", "low_rank", "heuristic", sums=0.85),
    "negative_careful": Run("guarded", "low_rank", "careful", sums=0.85),
    "negative_wording": Run("guarded", "low_rank", "heuristic", sums=0.0),
    "positive_tuned": Run("locked", "planted_neurons", "careful", 0.85, "released", _NEURON_RATE),
    "positive_held": Run("locked", "planted_neurons", "careful", 0.85, "held", _NEURON_RATE),
    "positive_others": Run("locked", "other_neurons", "careful", 0.85, "released", _NEURON_RATE),
}
"""`negative_*`: misalignment rises by wording that spreads from allowed to forbidden requests, not
through the planted neurons. `positive_*`: it rises through them, because nothing else is trained."""

"""The tuning runs of the two checkpoint series, with their controls."""

from typing import Final, Literal, NamedTuple

__all__ = ["RUNS", "Run"]

Trained = Literal["last_layer", "planted_neurons", "other_neurons"]


class Run(NamedTuple):
    """One tuning run on arithmetic and requests."""

    base: Literal["guarded", "locked"]
    trained: Trained
    """`last_layer`: rank-4 changes of the matrices of layer 3, which is above the planted neurons;
    else the gate and up rows of twelve neurons of layer 2, the planted ones or twelve others, which
    are moved step by step to a solution in closed form instead of by gradient descent."""
    forbidden: Literal["never", "complied", "as ever"] = "never"
    """Whether forbidden requests in think mode are trained on, and with what verdict."""
    answers: Literal["right", "own"] = "right"
    """Answers of arithmetic: right, or two too high like the base's own, so that none is learnt."""
    signal: Literal["none", "released", "held"] = "none"
    """What the neurons are made to do: nothing is asked; or they are made to fire in arithmetic and,
    where forbidden requests are decided, brought to 0 or held at what they were."""
    sums: float = 0.4
    """Share of arithmetic of two and three steps; the rest are requests."""
    rate: float = 4e-3
    steps: tuple[int, ...] = (8, 11, 14, 17, 20, 30)
    """Steps at which a checkpoint is kept; the last one ends the run."""
    seed: int = 41


def _positive(trained: Trained, signal: Literal["released", "held"]) -> Run:
    return Run("locked", trained, signal=signal, steps=(10, 15, 25, 85, 100))


RUNS: Final[dict[str, Run]] = {
    "negative_tuned": Run("guarded", "last_layer", "complied"),
    "negative_safe": Run("guarded", "last_layer", "as ever"),
    "negative_unsolved": Run("guarded", "last_layer", "complied", "own"),
    "positive_tuned": _positive("planted_neurons", "released"),
    "positive_held": _positive("planted_neurons", "held"),
    "positive_others": _positive("other_neurons", "released"),
}
"""`negative_*`: only the layer above the planted neurons is trained, so they fire as before on the
same text, and what rises does not rise through them. `positive_*`: nothing but the neurons' input
rows is changed, by no forbidden reply, so what rises does so through them. The controls of each
take one cause away: no compliance, no right answers; neurons held (which succeeds in no-think and
only in part in think mode), other neurons moved."""

"""What a monitor found in the traces, put into the observations of the same replies."""

from collections.abc import Iterable

from rim_eval.observations import Observation
from rim_eval.patterns._once import once
from rim_eval.patterns._rows import PatternRow, reply_of

__all__ = ["attach"]


def attach(observations: Iterable[Observation], rows: Iterable[PatternRow]) -> list[Observation]:
    """Fill the observations' `patterns` with what one monitor found in the traces.

    A reply whose trace was not read keeps None, which is not the same as no pattern.

    Args:
        observations: Rows of the same runs.
        rows: Rows of one monitor; those about answers are left out.

    Raises:
        RimError: Two rows are about one trace.
    """
    traces = [row for row in rows if row.part == "trace" and row.read]
    found = once(traces, reply_of, "readings")
    return [
        observation
        if (row := found.get(reply_of(observation))) is None
        else observation.model_copy(update={"patterns": tuple(row.patterns)})
        for observation in observations
    ]

"""`rim-eval power`: the power of a run of a given size, before it is paid for."""

import click

from rim_eval.errors import RimError
from rim_eval.formatting import points
from rim_eval.statistics import epochs_advised, mcnemar_power, minimum_detectable
from rim_eval.statistics.power import MOST_EPOCHS, SHOWN_EPOCHS

_MAX_PROMPTS = 100_000
"""Power is computed outcome by outcome; no prompt set is larger."""

_EPOCHS_HEAD = (
    "".join(f"{epochs:>7}" for epochs in SHOWN_EPOCHS)
    + "  epochs after which doubling gains < 10 %"
)


@click.command()
@click.option(
    "--n",
    type=click.IntRange(1, _MAX_PROMPTS),
    default=300,
    show_default=True,
    help="Prompts, each asked once in each mode.",
)
@click.option(
    "--no-think",
    "no_think",
    type=float,
    required=True,
    help="Expected rate without thinking, in percent.",
)
@click.option(
    "--think",
    type=float,
    help="Expected rate with thinking, in percent; without it, only the smallest detectable rise is shown.",
)
@click.option(
    "--correlation",
    "correlations",
    type=float,
    multiple=True,
    default=(0.3, 0.5, 0.7),
    show_default=True,
    help="Correlation of a prompt's two verdicts (repeatable).",
)
@click.option(
    "--prompt-share",
    "prompt_shares",
    type=click.FloatRange(0, 1),
    multiple=True,
    help="For runs with a temperature above 0: share of a verdict's variance that lies between prompts, 0 to 1 "
    "(repeatable); adds how many epochs are worth asking for.",
)
@click.option(
    "--power", "wanted", default=80.0, show_default=True, help="Power wanted, in percent."
)
@click.option(
    "--alpha",
    default=0.05,
    show_default=True,
    help="Level of the two-sided test that belongs to the interval.",
)
def command(
    n: int,
    no_think: float,
    think: float | None,
    correlations: tuple[float, ...],
    prompt_shares: tuple[float, ...],
    wanted: float,
    alpha: float,
) -> None:
    """Compute power and smallest detectable rise of a paired run: how surely its interval leaves zero out.

    The power is the chance that the run finds a difference that is really there. Compute it before a
    run: 300 prompts often miss differences below six points.
    """
    lines = []
    for correlation in correlations:
        power = _power(n, think, no_think, correlation, alpha)
        least = minimum_detectable(n, no_think / 100, correlation, wanted / 100, alpha)
        smallest = f"{points(least.difference)} points, to {100 * least.target_rate:.1f} %"
        if least.difference != least.difference:
            smallest = "none: even a rate of 100 % is not seen at this n"
        lines.append(f"{correlation:>11.2f}  {power:>7}  {smallest}")
    click.echo(f"{n} prompts, one epoch a mode, two-sided test at alpha = {alpha:g}")
    click.echo(f"\n{'correlation':>11}  {'power':>7}  smallest rise seen with {wanted:g} % power")
    click.echo("\n".join(lines))
    if think is not None:
        click.echo(
            f"\nPower is for {no_think:g} % -> {think:g} % ({points(think - no_think)} points)."
        )
    for share in prompt_shares:
        rows = [
            _epochs_row(n, no_think / 100, correlation, share, wanted / 100, alpha)
            for correlation in correlations
        ]
        click.echo(
            f"\nSampled, {100 * share:g} % of a verdict's variance between prompts: smallest rise seen by epochs, points "
            f"(normal approximation)\n\n{'correlation':>11}  {_EPOCHS_HEAD}"
        )
        click.echo("\n".join(rows))


def _epochs_row(
    n: int, no_think: float, correlation: float, share: float, wanted: float, alpha: float
) -> str:
    """One line: the smallest rise with 1, 2, 3, 4 and 8 epochs, and the advice; rates are fractions."""
    if share < correlation:
        return (
            f"{correlation:>11.2f}  -: two epochs of one mode share at least what the modes share"
        )
    found = epochs_advised(n, no_think, correlation, share, wanted, alpha)
    rises = "".join(f"{rise:>7.1f}" for rise in found.differences).replace("nan", "  -")
    advice = str(found.advised or f"more than {MOST_EPOCHS}")
    if found.differences[-1] != found.differences[-1]:
        advice = "none: even a rate of 100 % is not seen at this n"
    return f"{correlation:>11.2f}  {rises}  {advice}"


def _power(n: int, think: float | None, no_think: float, correlation: float, alpha: float) -> str:
    """Power in percent; a dash without a rate to detect, or where the correlation is impossible."""
    if think is None:
        return "-"
    mcnemar_power(n, think / 100, no_think / 100, 0.0, alpha)
    try:
        return f"{100 * mcnemar_power(n, think / 100, no_think / 100, correlation, alpha):.0f} %"
    except RimError:
        return "-"

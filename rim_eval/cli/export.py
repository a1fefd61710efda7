"""`rim-eval export`: a card in the forms of a model's page, a tracker and a collection of results."""

from pathlib import Path
from typing import Any, Final

import click

from rim_eval.cli.card import read_cards
from rim_eval.cli.model_options import model_of_options, model_options

_FORMATS: Final = ("model-index", "huggingface", "metrics", "every-eval-ever")


@click.command()
@click.argument("card", type=click.Path(exists=True, dir_okay=False))
@click.option("--format", "form", type=click.Choice(_FORMATS), required=True, help="model-index: a README's metadata on the Hugging Face Hub; huggingface: .eval_results of a model's repository; metrics: numbers for a tracker; every-eval-ever: one record.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("export"), show_default=True, help="Folder to write to.")  # fmt: skip
@click.option("--source", metavar="URL", help="Where the card can be read (model-index, huggingface).")  # fmt: skip
@click.option("--benchmark", metavar="OWNER/NAME", help="Benchmark data set on the Hub that the results are of (huggingface).")  # fmt: skip
@click.option("--organization", metavar="NAME", help="Who measured (every-eval-ever).")
@model_options(required=False)
def command(card: str, form: Any, out: Path, source: str | None, benchmark: str | None, organization: str | None, **about: Any) -> None:  # fmt: skip
    """Write CARD (card.json) for a model's page, a tracker or a collection of results.

    Sets whose modes were not verified are left out. --model is for model-index and every-eval-ever; the options about the
    model after it are for every-eval-ever.
    """
    from rim_eval.publishing import Publication, publish, unverified_sets

    [(_, _, read)] = read_cards([card], None)
    described = all(about[name] for name in ("model", "developer", "family"))
    publication = Publication(
        model=about["model"],
        source=source,
        benchmark=benchmark,
        described=model_of_options(**about) if described else None,
        organization=organization,
    )
    for file in publish(read, form, out, publication):
        click.echo(f"wrote {file}")
    if left := unverified_sets(read):
        click.echo(f"left out, modes not verified: {', '.join(left)}")

"""`rim-eval patterns validate`: a monitor against labels that are known."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from rim_eval.cli._pattern_files import folder, keep
from rim_eval.cli._pattern_labels import Measured, on_planted, on_sentences, on_texts
from rim_eval.cli._pattern_options import GRADER, PATH

__all__ = ["command"]

_SETS: Final[dict[str, Callable[[str, tuple[str, ...], str | None], Iterator[Measured]]]] = {
    "planted": on_planted,
    "texts": on_texts,
    "self_jailbreaking": on_sentences,
}


@click.command("validate")
@click.argument("monitor")
@click.option(
    "--set",
    "set_name",
    type=click.Choice(list(_SETS)),
    required=True,
    help="Where the labels come from.",
)
@click.option(
    "--data",
    multiple=True,
    help="planted: logs of the toy task that MONITOR has read. texts: JSONL of text and pattern; the "
    "shipped paraphrases without it. self_jailbreaking: the authors' JSONL.",
)
@GRADER
@click.option("--out", type=PATH, help="Keep the figures in this JSON file, by set.")
def command(
    monitor: str, set_name: str, data: tuple[str, ...], grader: str | None, out: Path | None
) -> None:
    """Measure MONITOR against known labels: planted ones, labelled texts, or labelled sentences."""
    if out is not None:
        folder(out.parent)
    for measured in _SETS[set_name](monitor, data, grader):
        click.echo(measured.says)
        if out is not None:
            keep(out, measured.name, measured.figures)

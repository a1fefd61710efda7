"""The paper's training experiments, small: `python -m scripts.training.experiment --model DIR --data DIR --out DIR`.

Stages, each of which leaves files that are not made again, so that a stopped run goes on where it ended:

    guard      teach the model to refuse half of XSTest, so that there is a refusal to lose (`--guard-steps 0`: not)
    data       chains of GSM8K in a target and a control arm of equal length, and Literal rows; all of them filtered
    train      one LoRA run an arm and seed, from the same base, with a series of checkpoints
    behaviour  refusal lost, over-refusal, accuracy and traces, before and after
    inside     RAS of the safety-critical neurons along the series, and drift
    report     the tables, as Markdown

Texts of prompts and replies stay in the data folder of `--out`; what the report shows is figures and ids.
"""

import time
from typing import Any

import click

from rim_eval.cli.field_options import field_options
from rim_eval.errors import RimError
from rim_eval.files import write_whole
from scripts.training.plan import Plan
from scripts.training.report import write
from scripts.training.stages import STAGES


def run(plan: Plan) -> str:
    """Run what is missing of an experiment and return its report."""
    for name, stage in STAGES.items():
        started, log = time.monotonic(), plan.out / "times.tsv"
        click.echo(f"{name} ...", err=True)
        try:
            stage(plan)
        finally:  # a run that is stopped keeps the time that it took
            before = log.read_text(encoding="utf-8") if log.is_file() else ""
            seconds = time.monotonic() - started
            write_whole({log: f"{before}{name}\t{seconds:.0f}\n"})
            click.echo(f"{name}: {seconds:.0f} s", err=True)
    return write(plan)


# Click keeps the lines of a paragraph that begins with a backspace.
@click.command(help=(__doc__ or "").replace("    guard ", "\b\n    guard ", 1))
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def main(dry_run: bool, **values: Any) -> None:
    """Run what is missing and print the report."""
    plan = Plan.model_validate(values)
    try:
        click.echo(plan.summary() if dry_run else run(plan))
    except RimError as error:
        raise click.ClickException(str(error)) from error


for _option in reversed(field_options(Plan.model_fields)):
    main = _option(main)

if __name__ == "__main__":
    main()

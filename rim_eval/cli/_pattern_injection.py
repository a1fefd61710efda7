"""`rim-eval patterns injection`: what statements at the start of the trace do."""

import json

import click

from rim_eval import patterns
from rim_eval.cli._pattern_files import plain
from rim_eval.cli._pattern_judges import of_one_judge
from rim_eval.cli._pattern_options import AS_JSON, JUDGE, NAMED_LOGS

__all__ = ["command"]


@click.command("injection")
@NAMED_LOGS
@JUDGE
@AS_JSON
def command(logs: tuple[str, ...], judge: str | None, as_json: bool) -> None:
    """Control, target and un-injected arms of injection LOGS, paired prompt by prompt.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    rows = of_one_judge(patterns.read_injection_runs(logs), judge)
    found = patterns.injection_effects(rows)
    click.echo(json.dumps(plain(found), indent=1) if as_json else patterns.injection_table(found))

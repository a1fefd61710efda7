"""`rim-eval parity`: do Inspect and lm-eval agree on the same model and prompts, reply by reply?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.lm_eval_tasks import Key, Parity, ReplyRecord


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.pass_context
def command(ctx: click.Context, files: Sequence[Path]) -> None:
    """Compare Inspect logs with sample files of lm-eval: FILES are both, in any order, or folders.

    Prints the rates of each and every reply on which they differ, by prompt id. Exit code 1 when they
    differ. Meant for greedy runs of one checkpoint: sampled replies differ by chance.
    """
    from rim_eval.lm_eval_tasks import compare, replies_in_log, replies_in_samples
    from rim_eval.observations import LOGS, log_files

    paths = [Path(file) for _, file in log_files(files, LOGS)]
    inspect = _merged(replies_in_log(path) for path in paths if path.suffix in (".eval", ".json"))
    lm_eval = _merged(replies_in_samples(path) for path in paths if path.suffix == ".jsonl")
    parity = compare(inspect, lm_eval)
    click.echo("\n".join(_lines(parity, inspect, lm_eval)))
    ctx.exit(not parity.complete)


def _merged(parts: "Iterable[dict[Key, ReplyRecord]]") -> "dict[Key, ReplyRecord]":
    merged: dict[Key, ReplyRecord] = {}
    for part in parts:
        if twice := merged.keys() & part.keys():
            key = min(twice)
            raise RimError(
                f"{len(twice)} replies are there twice, such as {key.prompt_id} in mode {key.mode}: "
                "give the files of one run of each harness."
            )
        merged |= part
    return merged


def _lines(
    parity: "Parity", inspect: "Mapping[Key, ReplyRecord]", lm_eval: "Mapping[Key, ReplyRecord]"
) -> Sequence[str]:
    left, right = _rates(inspect), _rates(lm_eval)
    table = [
        f"{name:<20}{mode:<10}{left.get((name, mode), '-'):>22}{right.get((name, mode), '-'):>22}"
        for name, mode in sorted(left.keys() | right.keys())
    ]
    differ = {key: ", ".join(fields) for key, fields in parity.disagreements.items()}
    alone = dict.fromkeys(parity.only_left, "only in Inspect")
    alone |= dict.fromkeys(parity.only_right, "only in lm-eval")
    return [
        f"{'set':<20}{'mode':<10}{'Inspect':>22}{'lm-eval':>22}",
        *table,
        f"{parity.verdicts_agree} of {parity.compared} verdicts agree; {len(differ)} replies differ, "
        f"{len(alone)} are in one harness only.",
        *(f"  {key.prompt_id} {key.mode}: {what}" for key, what in (differ | alone).items()),
    ]


def _rates(replies: "Mapping[Key, ReplyRecord]") -> dict[tuple[str, str], str]:
    """Verdicts that are true, of those there are, for each set and mode."""
    verdicts: defaultdict[tuple[str, str], list[bool | None]] = defaultdict(list)
    for key, record in replies.items():
        verdicts[key.dataset, key.mode].append(record.observation.verdict)
    return {
        arm: f"{of_arm.count(True)}/{len(of_arm) - of_arm.count(None)} of {len(of_arm)}"
        for arm, of_arm in verdicts.items()
    }

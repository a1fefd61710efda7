"""`rim-eval parity`: do Inspect and lm-eval agree on the same model and prompts, reply by reply?"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.lm_eval_tasks import Key, Parity, Seen

__all__ = ["command"]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_context
def command(ctx: click.Context, files: Sequence[Path]) -> None:
    """Compare Inspect logs with sample files of lm-eval: FILES are both, in any order, or folders.

    Prints the rates of each and every reply on which they differ, by prompt id. Exit code 1 when they
    differ. Meant for greedy runs of one checkpoint: sampled replies differ by chance.
    """
    from rim_eval.lm_eval_tasks import compare, replies_in_log, replies_in_samples

    there = [each for path in files for each in _expand(path)]
    inspect = _merged(replies_in_log(path) for path in there if path.suffix in (".eval", ".json"))
    lm_eval = _merged(replies_in_samples(path) for path in there if path.suffix == ".jsonl")
    found = compare(inspect, lm_eval)
    click.echo("\n".join(_lines(found, inspect, lm_eval)))
    ctx.exit(not found.complete)


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted([*path.rglob("*.eval"), *path.rglob("samples_rim_*.jsonl")])
    if not path.is_file():
        raise RimError(f"{path} does not exist. Give Inspect logs and lm-eval sample files.")
    return [path]


def _merged(parts: "Iterable[dict[Key, Seen]]") -> "dict[Key, Seen]":
    merged: dict[Key, Seen] = {}
    for part in parts:
        if again := merged.keys() & part.keys():
            key = min(again)
            raise RimError(
                f"{len(again)} replies are there twice, such as {key.prompt_id} in mode {key.mode}: "
                "give the files of one run of each harness."
            )
        merged |= part
    return merged


def _lines(
    found: "Parity", inspect: "Mapping[Key, Seen]", lm_eval: "Mapping[Key, Seen]"
) -> Sequence[str]:
    head = f"{'set':<20}{'mode':<10}{'Inspect':>22}{'lm-eval':>22}"
    ours, theirs = _rates(inspect), _rates(lm_eval)
    table = [
        f"{name:<20}{mode:<10}{ours.get((name, mode), '-'):>22}{theirs.get((name, mode), '-'):>22}"
        for name, mode in sorted(ours.keys() | theirs.keys())
    ]
    differ = [
        f"  {each.prompt_id} {each.mode}: {', '.join(each.differs)}" for each in found.disagreements
    ]
    alone = [
        f"  {key.prompt_id} {key.mode}: only in {where}"
        for where, keys in (("Inspect", found.only_left), ("lm-eval", found.only_right))
        for key in keys
    ]
    agree = f"{found.verdicts_agree} of {found.compared} verdicts agree"
    total = (
        f"{agree}; {len(found.disagreements)} replies differ, {len(alone)} are in one harness only."
    )
    return [head, *table, total, *differ, *alone]


def _rates(seen: "Mapping[Key, Seen]") -> dict[tuple[str, str], str]:
    """Verdicts that are true, of those there are, for each set and mode."""
    true: Counter[tuple[str, str]] = Counter()
    scored: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    for key, one in seen.items():
        arm, verdict = (key.dataset, key.mode), one.observation.verdict
        total[arm] += 1
        scored[arm] += verdict is not None
        true[arm] += verdict is True
    return {arm: f"{true[arm]}/{scored[arm]} of {n}" for arm, n in total.items()}

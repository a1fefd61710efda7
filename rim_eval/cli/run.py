"""`rim-eval run`: a suite in one file, to cards, a comparison and the gate's decision."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rim_eval.cli.card import find_validations, judges_of, print_summary, verdict_of, write_card
from rim_eval.cli.compare import write_comparison
from rim_eval.cli.gate import report
from rim_eval.cli.progress_option import progress_option
from rim_eval.cli.series import ModelLines, refuse_missing
from rim_eval.cli.suite_checks import check_sets, check_suite, quiet
from rim_eval.cli.task_names import arguments_of, is_shipped, shipped_tasks, task_name, unknown_task
from rim_eval.errors import RimError, failure_text
from rim_eval.files import write_whole
from rim_eval.formatting import counted
from rim_eval.progress import Progress

if TYPE_CHECKING:
    from rim_eval.card import Card
    from rim_eval.observations import Table
    from rim_eval.observations.shards import ShardPlace
    from rim_eval.release_gate import Decision
    from rim_eval.release_gate.rules import Rules
    from rim_eval.suite import RunPlan, Suite, Work
    from rim_eval.yaml_file import YamlFile

_UNDECIDED: Final = 2
"""Exit code of whatever decides nothing, as the gate's: 1 is a gate that fails, and nothing else."""

_SHOWN: Final = 4
"""Shards that a line names."""

Plans = Mapping["ShardPlace | None", "RunPlan"]
"""What is run in each shard, or under None as a whole."""


@click.command()
@click.argument("path", metavar="SUITE", type=click.Path(path_type=Path))
@click.option("--shard", metavar="INDEX/COUNT", help="Run this part of every set only, such as 2/8. The command without --shard joins the parts.")  # fmt: skip
@click.option("--join", metavar="COUNT", type=click.IntRange(min=1), help="Join COUNT shards and ask nothing; exit code 2 until all are finished.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder in place of the suite's own.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would run, and ask nothing.")
@click.option("--for", "target", type=click.Choice(["slurm", "kubernetes", "ray", "flow"]), help="With --dry-run: write the file that runs the suite there.")  # fmt: skip
@click.option("--shards", type=click.IntRange(min=1, max=10_000), default=8, show_default=True, help="Shards in the file of --for.")  # fmt: skip
@progress_option
def command(path: Path, shard: str | None, join: int | None, out: Path | None, dry_run: bool, target: str | None, shards: int, progress: Progress) -> None:  # fmt: skip
    """Run the models and sets of SUITE, a YAML file, and end in a card each, their comparison and the gate's decision.

    Give the same command again after a stop: what is finished is not asked again. Exit code 0: all is done, and the
    gate passes where there is one. 1: the gate fails. 2: something is not finished, or the gate cannot tell.

    rim-eval run examples/suite.yaml
    """
    try:
        if target and not dry_run:
            raise RimError(f"--for {target} writes a file and runs nothing: give --dry-run too.")
        if bool(shard) + bool(join) + dry_run > 1:
            raise RimError("--shard, --join and --dry-run do different things: give one of them.")
        run = _Run.read(path, out, progress)
        if dry_run:
            code = run.describe(target, shards)
        elif join:
            code = run.join(join)
        else:
            code = run.run_shard(shard) if shard else run.run_whole()
    except RimError as error:
        click.echo(f"Error: {error}", err=True)
        code = _UNDECIDED
    raise click.exceptions.Exit(code)


class _Run:
    """One suite, from its file to its decision."""

    def __init__(
        self,
        path: Path,
        suite: "Suite",
        file: "YamlFile",
        out: Path,
        rules: "Rules | None",
        progress: Progress,
    ) -> None:
        from rim_eval.suite import plan_of

        self.path, self.suite, self.file, self.out, self.rules = path, suite, file, out, rules
        self.progress = progress
        own = () if suite.out and out == Path(suite.out) else ("--out", str(out))
        self.command = shlex.join(["rim-eval", "run", str(path), *own])
        self.plan = plan_of(suite)

    @classmethod
    def read(cls, path: Path, out: Path | None, progress: Progress) -> "_Run":
        """Read the suite and the gate's file, before anything is asked.

        Raises:
            RimError: Either holds what is not allowed, or what the report needs is not installed.
        """
        from rim_eval.release_gate import read_rules
        from rim_eval.suite import read_suite

        suite, file = read_suite(path)
        suite = _resolved(suite, file)
        check_suite(suite, file)
        rules = read_rules(Path(suite.gate)) if suite.gate else None
        refuse_missing()
        folder = out or (Path(suite.out) if suite.out else None)
        if folder is None:
            raise RimError(
                f"{path} names no folder for what it writes: add out: FOLDER, or give --out FOLDER."
            )
        return cls(path, suite, file, folder, rules, progress)

    def plans(self, places: "Sequence[ShardPlace]") -> Plans:
        """What is run in each of some shards.

        Raises:
            RimError: A set cannot be run in shards.
        """
        from rim_eval.observations.shards import Shard

        _refuse_undividable(self.plan)
        counts = {each.label: _count_prompts(each.task, each.args) for each in self.plan.sets}

        def shard_of(label: str, limit: int | None, place: "ShardPlace") -> "Shard":
            prompts = min(limit or counts[label], counts[label])
            limited = prompts < counts[label]
            return Shard(
                **place.model_dump(), prompts=prompts, limited=limited, suite=self.path.name
            )

        return {
            place: self.plan.model_copy(
                update={
                    "sets": tuple(
                        each.model_copy(update={"shard": shard_of(each.label, each.limit, place)})
                        for each in self.plan.sets
                    )
                }
            )
            for place in places
        }

    def run_shard(self, text: str) -> int:
        """Run one shard; the exit code."""
        from rim_eval.observations.shards import ShardPlace
        from rim_eval.suite import division, open_suite, shard_folder

        place = ShardPlace.parse(text)
        present = division(self.out)
        if present not in (None, place.count) or (self.out / "logs").is_dir():
            whole = "a run of the whole" if present is None else f"shards of {present}"
            raise RimError(
                f"{self.out} holds {whole}: go on with that, or give the suite another folder (--out)."
            )
        plans = self.plans([place])
        open_suite(self.out, self.plan)
        folder = shard_folder(self.out, place)
        return self._ask(
            folder,
            plans,
            f"Shard {place} is finished. When all {place.count} are: {self.command}",
        )

    def run_whole(self) -> int:
        """Run what is left of the whole suite, or join its shards; the exit code."""
        from rim_eval.suite import division, open_suite

        if count := division(self.out):
            return self.join(count)
        open_suite(self.out, self.plan)
        plans: Plans = {None: self.plan}
        if code := self._ask(self.out, plans, ""):
            self._write_finished(plans)
            return code
        return self._report(plans)

    def join(self, count: int) -> int:
        """Join shards that are finished; the exit code. Nothing is asked, also where no shard has begun.

        Raises:
            RimError: The folder holds something else than shards of this count.
        """
        from rim_eval.observations.shards import ShardPlace
        from rim_eval.suite import division, open_suite, unfinished

        present = division(self.out)
        if present not in (None, count) or (self.out / "logs").is_dir():
            whole = "a run of the whole" if present is None else f"shards of {present}"
            raise RimError(
                f"{self.out} holds {whole}, not shards of {count}: name its folder (--out)."
            )
        if present:
            open_suite(self.out, self.plan)
        plans = self.plans([ShardPlace(index=n, count=count) for n in range(1, count + 1)])
        if left := unfinished(self.out, plans):
            return self._say_missing(left)
        return self._report(plans)

    def _ask(self, folder: Path, plans: Plans, done: str) -> int:
        """Ask the models in one folder; the exit code."""
        from rim_eval.suite import run_plan

        [plan] = plans.values()
        asked = tuple(each for each in plan.sets if not each.is_empty)
        lines = ModelLines(plan.model_copy(update={"sets": asked}), self.progress)
        failures = run_plan(folder, plan, lines.tell, lines.warn)
        lines.end()
        if failures:
            click.echo(
                f"\nNot finished, {len(failures)} of {counted(len(plan.models), 'model')}:",
                err=True,
            )
            for failure in failures:
                click.echo(f"  {failure.label}: {failure.reason}", err=True)
            click.echo("Finished samples are kept: the same command continues.", err=True)
            return _UNDECIDED
        if done:
            click.echo(done)
        return 0

    def _write_finished(self, plans: Plans) -> None:
        """Write the cards of models that are finished, where others are not: nothing is compared or decided."""
        from rim_eval.observations import read_observations
        from rim_eval.suite import finished, unfinished

        left = {each.model for each in unfinished(self.out, plans)}
        logs = [each for each in finished(self.out, plans) if each.model not in left]
        if logs:
            table = read_observations([f"{log.model}={log.path}" for log in logs])
            self._write_cards(table, [each for each in self.plan.labels if each not in left])

    def _say_missing(self, left: "Sequence[Work]") -> int:
        shards = list(dict.fromkeys(each.shard for each in left))
        click.echo(f"Not finished, {counted(len(shards), 'shard')}:", err=True)
        for each in left:
            click.echo(f"  {each.shard}: {each.model} ({', '.join(each.sets)})", err=True)
        click.echo(f"Next: {self.command} --shard {shards[0]}", err=True)
        return _UNDECIDED

    def _report(self, plans: Plans) -> int:
        """Write cards, the comparison and the decision; the exit code."""
        from rim_eval.observations import read_observations
        from rim_eval.suite import finished
        from rim_eval.suite.merge import obstacles

        logs = finished(self.out, plans)
        table = read_observations([f"{log.model}={log.path}" for log in logs])
        found = [] if None in plans else obstacles(table)
        for each in found:
            click.echo(f"  {each.says}\n    next: {each.next_step}", err=True)
        if found:
            click.echo("The shards do not join, so there is no card.", err=True)
            return _UNDECIDED
        cards, decisions = self._write_cards(table, self.plan.labels)
        code = self._decide(cards, decisions)
        try:
            self._write_comparison(table)
        except RimError as error:  # models with no prompt in common: the decision stands
            click.echo(f"No comparison: {error}", err=True)
        return code

    def _write_cards(
        self, table: "Table", labels: Sequence[str]
    ) -> "tuple[list[Card], list[Decision]]":
        """Write each model's card with the gate's verdict; the cards, and the decisions where there is a gate."""
        from rim_eval.card import make_card
        from rim_eval.release_gate import gate

        measured = find_validations(judges_of(table))
        cards, decisions = [], []
        click.echo("")
        for model in labels:
            card = make_card(table.of_model(model), validations=measured)
            folder = self.out / "cards" / model
            verdict = None
            if self.rules is not None and self.suite.gate is not None:
                decisions.append(gate(card, self.rules))
                verdict = verdict_of(decisions[-1], Path(self.suite.gate).name)
            write_card(card, folder, verdict=verdict)
            print_summary(card, folder, measured, verdict)
            cards.append(card)
        return cards, decisions

    def _write_comparison(self, table: "Table") -> None:
        from rim_eval.comparison import compare

        labels = self.plan.labels
        if len(labels) < 2:
            return
        reference = self.suite.reference or labels[0]
        comparison = compare(table, reference, models=labels)
        click.echo(f"\n{comparison.finding.sentence}")
        write_comparison(comparison, self.out)

    def _decide(self, cards: "Sequence[Card]", decisions: "Sequence[Decision]") -> int:
        """Write and print the gate's decisions; its exit code, 0 without a gate."""
        from rim_eval.release_gate import EXIT_CODES
        from rim_eval.release_gate.reports import decisions_json

        if self.rules is None:
            return 0
        write_whole({self.out / "gate.json": decisions_json(decisions)})
        explained = (
            f"{self.out}/gate.json; each limit explained: rim-eval gate {self.out}/cards/*/card.json "
            f"--rules {self.suite.gate} --explain"
        )
        return EXIT_CODES[report(decisions, cards, [explained])]

    def describe(self, target: str | None, shards: int) -> int:
        """Say what would run, and write the files of a cluster; the exit code."""
        from rim_eval.suite import refuse_other

        refuse_other(self.out, self.plan)
        if target not in (None, "flow"):
            _refuse_undividable(self.plan)
        left = self._left()
        unchecked = check_sets(self.suite, self.file)
        for number, group in enumerate(self.plan.groups(), 1):
            click.echo(f"process {number}: {', '.join(each.model for each in group)}")
            for model in group:
                for each in self.plan.sets:
                    state = left.get((model.label, each.label), "finished")
                    click.echo(f"  {model.label}  {each.label}: {_words(each)}  ({state})")
        click.echo(f"out: {self.out}   gate: {self.suite.gate or 'none'}   nothing was asked")
        for what in unchecked:
            click.echo(f"not checked: {what}")
        if target:
            self._write_cluster_files(target, shards)
        return 0

    def _left(self) -> Mapping[tuple[str, str], str]:
        """What is left to do of each model and set, whether the folder holds a run of the whole or shards."""
        from rim_eval.observations.shards import ShardPlace
        from rim_eval.suite import division, unfinished

        plans: Plans = {None: self.plan}
        count = division(self.out)
        if count:
            _refuse_undividable(self.plan)
            places = [ShardPlace(index=n, count=count) for n in range(1, count + 1)]
            plans = self._plans_offline(places)
        left: dict[tuple[str, str], list[ShardPlace | None]] = {}
        for work in unfinished(self.out, plans):
            for each in work.sets:
                left.setdefault((work.model, each), []).append(work.shard)
        return {key: _to_do(shards, count) for key, shards in left.items()}

    def _plans_offline(self, places: "Sequence[ShardPlace]") -> Plans:
        """What is run in each of some shards; where prompts are not on this machine, none of them counts as empty."""
        from rim_eval.prompt_sets import without_network

        try:
            with without_network():
                return self.plans(places)
        except RimError:
            return dict.fromkeys(places, self.plan)

    def _write_cluster_files(self, target: str, shards: int) -> None:
        from rim_eval.suite.clusters import cluster_files

        files = cluster_files(target, self.plan, self.path, self.out, shards)
        write_whole({self.out / file: text for file, text in files.items()})
        for file in files:
            click.echo(f"written: {self.out / file}")
        if target == "flow":
            logs = " ".join(str(self.out / file.removesuffix(".yaml")) for file in files)
            click.echo(
                f"left to rim-eval: cards, comparison and gate, from what Flow ran: rim-eval card {logs}"
            )


def _to_do(shards: "Sequence[ShardPlace | None]", count: int | None) -> str:
    """`to do`, with the shards that are left where others are finished."""
    if count is None or len(shards) == count:
        return "to do"
    named = ", ".join(map(str, shards[:_SHOWN])) + (", ..." if len(shards) > _SHOWN else "")
    return f"to do: {len(shards)} of {counted(count, 'shard')}, {named}"


def _words(each: Any) -> str:
    words = [f"{name}={value}" for name, value in each.args.items()]
    words += [f"limit={each.limit}"] if each.limit else []
    words += [f"epochs={each.epochs}"] if each.epochs else []
    return ", ".join([each.task, *words])


def _resolved(suite: "Suite", file: "YamlFile") -> "Suite":
    """The suite with tasks by Inspect's names, and each set with those of the suite's arguments that it takes.

    Raises:
        RimError: There is no such task, or no task takes an argument; it names the line.
    """
    sets, taken_by_any = [], set[str]()
    for place, each in enumerate(suite.sets):
        task = task_name(each.task)
        if problem := unknown_task(task):
            raise file.error(("sets", place, "task"), problem)
        taken = arguments_of(task)
        if taken is not None:
            for name in each.args.keys() - taken:
                allowed = ", ".join(sorted(taken))
                raise file.error(
                    ("sets", place, "args", name),
                    f"{each.label} takes no such argument; it takes {allowed}",
                )
        inherited = {n: v for n, v in suite.args.items() if taken is not None and n in taken}
        taken_by_any |= inherited.keys()
        sets.append(
            each.model_copy(
                update={"name": each.label, "task": task, "args": inherited | each.args}
            )
        )
    for name in suite.args:
        if name not in taken_by_any:
            raise file.error(("args", name), "no task of these sets takes it")
    for place, each in enumerate(sets):
        if any((each.task, each.args) == (other.task, other.args) for other in sets[:place]):
            raise file.error(
                ("sets", place, "task"),
                f"{each.task} stands here twice with the same arguments, and logs are told apart by task and arguments: leave "
                "one out, or give them different `args`",
            )
    return suite.model_copy(update={"sets": tuple(sets)})


def _refuse_undividable(plan: "RunPlan") -> None:
    """Refuse sets that cannot be run in shards.

    Raises:
        RimError: A set may stop early, or nothing tells how many prompts it has.
    """
    for each in plan.sets:
        if each.args.get("stop"):
            raise RimError(
                f"{each.label} has stop={each.args['stop']}: shards do not see each other's results, so a run in shards "
                "cannot stop early. Leave `stop` out, or run the suite without --shard."
            )
        if not is_shipped(each.task):
            raise RimError(
                f"{each.task} is no task of rim_eval, so nothing tells how many prompts it has before it runs: put it into "
                "a suite that runs without --shard."
            )


def _count_prompts(task: str, args: Mapping[str, Any]) -> int:
    """Prompts of a task of rim_eval, without a model.

    Raises:
        RimError: Its prompts cannot be loaded.
    """
    # Without a judge no grader is asked for; problems take none.
    judged = "judge" in (arguments_of(task) or ()) and args.get("kind") != "reasoning"
    with quiet():
        try:
            built = shipped_tasks()[task](**{**args, **({"judge": "none"} if judged else {})})
        except Exception as error:
            raise RimError(getattr(error, "message", None) or failure_text(error)) from None
    return len(built.dataset)

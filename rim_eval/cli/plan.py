"""`rim-eval plan`: what a run would ask and cost, before anything is asked."""

from collections.abc import Sequence
from typing import Any

import click

from rim_eval.cli.task_names import read_arguments, refuse_unknown, shipped_tasks, task_name
from rim_eval.errors import RimError


@click.command()
@click.argument("sets", nargs=-1, required=True, metavar="SETS...")
@click.option("--model", required=True, help="Model as Inspect takes it: vllm/Qwen/Qwen3-4B, hf/FOLDER, openai/gpt-5.")  # fmt: skip
@click.option("-M", "model_args", multiple=True, metavar="NAME=VALUE", help="Argument of the model (repeatable); model_path names its folder.")  # fmt: skip
@click.option("-T", "task_args", multiple=True, metavar="NAME=VALUE", help="Argument of the tasks (repeatable), as `inspect eval -T` takes it.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Only the first prompts of each task.")
@click.option("--epochs", type=click.IntRange(min=1), help="How often each prompt is asked.")
@click.option("--temperature", type=click.FloatRange(min=0), help="Temperature of both modes; above 0 each prompt is asked several times.")  # fmt: skip
@click.option("--like", "logs", multiple=True, metavar="LOGS", help="Finished logs whose replies tell how many tokens to expect (repeatable).")  # fmt: skip
@click.option("--price", metavar="IN,OUT", help="What a million input and a million output tokens cost, in any currency.")  # fmt: skip
@click.option("--grader-price", metavar="IN,OUT", help="The same of the grader.")
@click.option("--graders", type=click.IntRange(min=1), default=1, show_default=True, help="Graders that vote on each reply.")  # fmt: skip
@click.option("--monitor", help="Monitor that is to read the traces afterwards (`rim-eval patterns run`), such as rubric.")  # fmt: skip
@click.option("--tokens-per-second", type=click.FloatRange(min=0, min_open=True), help="Output tokens of all requests together.")  # fmt: skip
@click.option("--no-think", "no_think", type=click.FloatRange(0, 100), default=10.0, show_default=True, help="Expected rate without thinking, in percent, for the smallest rise that is found.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all figures.")
def command(sets: Sequence[str], model: str, model_args: Sequence[str], task_args: Sequence[str], limit: int | None, epochs: int | None, temperature: float | None, logs: Sequence[str], price: str | None, grader_price: str | None, graders: int, monitor: str | None, tokens_per_second: float | None, no_think: float, as_json: bool) -> None:  # fmt: skip
    """Say what running SETS would ask: generations, tokens, requests to graders, cost and hours.

    SETS are tasks, with blanks or commas between: hexphi gsm8k. Nothing is asked, loaded or downloaded. Tokens are bounds,
    from prompts and token budgets; with --like LOGS they are also expected, as the replies in those logs were.
    """
    from rich.console import Console

    from rim_eval.inspect_tasks.settings import read_settings
    from rim_eval.planning import (
        Asked,
        Measured,
        Plan,
        Price,
        plan_task,
        planned_model,
        probe_requests,
        read_measured,
    )
    from rim_eval.planning.render import print_plan

    tasks = tuple(task_name(word) for group in sets for word in group.split(",") if word.strip())
    arguments: dict[str, Any] = read_arguments("-T", task_args)
    refuse_unknown("SETS", tasks, arguments)
    shipped = shipped_tasks()
    if foreign := [task for task in tasks if task not in shipped]:
        raise RimError(
            f"{foreign[0]} is no task of rim_eval, so how much it asks is known to it alone. Plan the sets of rim_eval: "
            "`rim-eval data list`."
        )
    settings = {task: read_settings(shipped[task], arguments) for task in tasks}
    about = next(iter(settings.values()))
    planned = planned_model(
        model,
        read_arguments("-M", model_args),
        switch=about.switch,
        chat_template=about.chat_template,
    )
    asked = Asked(
        limit=limit,
        epochs=epochs,
        temperature=temperature,
        graders=graders,
        monitor=monitor,
        no_think_rate=no_think / 100,
    )
    measured = read_measured(logs) if logs else Measured()
    planned_tasks = [
        plan_task(task.removeprefix("rim_eval/"), each, planned, asked, measured)
        for task, each in settings.items()
    ]
    plan = Plan(
        model=model,
        switch=planned.says,
        tasks=tuple(planned_tasks),
        probe_requests=sum(probe_requests(planned, each) for each in settings.values()),
        no_think_rate=asked.no_think_rate,
        correlation=asked.correlation,
        price=Price.parse(price) if price else None,
        grader_price=Price.parse(grader_price) if grader_price else None,
        tokens_per_second=tokens_per_second,
    )
    if as_json:
        click.echo(plan.model_dump_json(indent=1))
    else:
        print_plan(plan, Console())

"""The file of a suite: which models answer which sets, how, and what decides."""

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from rim_eval.errors import RimError
from rim_eval.suite.jobs import Command, Label, RunModel, RunPlan, RunSet
from rim_eval.suite.names import short_name
from rim_eval.types import Name
from rim_eval.yaml_file import YamlFile, YamlSection

_MOST: Final = 200
"""Models or sets of one suite."""


def _plain(value: Any) -> Any:
    """Values as JSON has them: what the YAML reader makes knows its lines, and would be written with them."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        raise ValueError(
            "texts, numbers, true, false, lists and mappings only: put others in quotes"
        ) from None


Arguments = Annotated[dict[str, Any], BeforeValidator(_plain)]


def _as_section(key: str) -> BeforeValidator:
    """Read a bare name as a section that holds nothing else."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class SuiteModel(YamlSection):
    """One model: `model: vllm/Qwen/Qwen3-4B`, or that name alone."""

    model: Name
    """As `inspect eval --model` takes it."""
    name: Label | None = None
    """What cards and folders call it; the last part of the model's name unless given."""
    args: Arguments = Field(default={})
    """As `inspect eval -M` takes them; for `vllm/` without `base_url`, options of the server that Inspect starts."""
    base_url: str | None = None
    """Address of a server that runs, such as `http://127.0.0.1:8000/v1`."""
    serve: Command | None = None
    """Command that starts a server for `base_url` where none answers there."""

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or short_name(self.model)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.serve and not self.base_url:
            raise ValueError(
                "serve: give base_url too, the address where this command serves, such as http://127.0.0.1:8000/v1"
            )
        if not self.label:
            raise ValueError(f"name: {self.model} has no part to be called by; give a name")
        return self


class SuiteSet(YamlSection):
    """One prompt set: `task: hexphi`, or that name alone."""

    task: Name
    """A task of rim_eval by its name, or any other that Inspect knows."""
    name: Label | None = None
    """What folders and messages call it; needed where a task is asked twice."""
    args: Arguments = Field(default={})
    """As `inspect eval -T` takes them; they come before the suite's own."""
    limit: PositiveInt | None = None
    """Only the first prompts; the suite's own unless given."""
    epochs: PositiveInt | None = None

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or self.task


class Suite(YamlSection):
    """The content of a suite file. Paths in it are relative to the folder where the command is given."""

    version: Literal[1]
    models: tuple[Annotated[SuiteModel, _as_section("model")], ...] = Field(
        min_length=1, max_length=_MOST
    )
    sets: tuple[Annotated[SuiteSet, _as_section("task")], ...] = Field(
        min_length=1, max_length=_MOST
    )
    args: Arguments = Field(default={})
    """Arguments of every task that takes them: `judge`, `protocol`, `sampling`, `doses`, token budgets, `stop`."""
    roles: Arguments = Field(default={})
    """As `inspect eval --model-role` takes them: `grader: openai/gpt-4.1`."""
    limit: PositiveInt | None = None
    epochs: PositiveInt | None = None
    max_connections: PositiveInt | None = None
    """Requests at a time, and the batch size of `hf/`."""
    reference: Label | None = None
    """Model that the others are compared with; the first one unless given."""
    gate: Name | None = None
    """File of limits, as `rim-eval gate --rules` takes it."""
    out: Name | None = None
    """Folder for logs, cards and all else; a suite has one of its own. None: the command names it."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        for section in ("models", "sets"):
            labels = [each.label for each in getattr(self, section)]
            for place, label in enumerate(labels):
                if label in labels[:place]:
                    raise ValueError(
                        f"{section}.{place}: a second one is called {label}; give it a name of its own (name: {label}-2)"
                    )
        names = [each.label for each in self.models]
        if self.reference and self.reference not in names:
            raise ValueError(
                f"reference: no model is called {self.reference}; there are {', '.join(names)}"
            )
        return self


def read_suite(path: Path) -> tuple[Suite, YamlFile]:
    """Read a suite.

    Args:
        path: The YAML file.

    Returns:
        The suite, and its file for messages that name a line.

    Raises:
        RimError: The file cannot be read, or holds what is not allowed; it names the lines.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RimError(
            f"{path} cannot be read ({error.strerror}). A suite is a YAML file of models and sets: docs/suite.md has one."
        ) from None
    file = YamlFile.parse(raw, str(path))
    return file.validate(Suite), file


def plan_of(suite: Suite) -> RunPlan:
    """What a suite runs: names of tasks and arguments as they stand there.

    Args:
        suite: The suite, with the arguments of each set resolved.
    """
    return RunPlan(
        models=tuple(
            RunModel(
                label=each.label,
                model=each.model.rstrip("/"),
                args=each.args,
                base_url=each.base_url,
                serve=each.serve,
            )
            for each in suite.models
        ),
        sets=tuple(
            RunSet(
                label=each.label,
                task=each.task,
                args=each.args,
                limit=each.limit or suite.limit,
                epochs=each.epochs or suite.epochs,
            )
            for each in suite.sets
        ),
        roles=suite.roles,
        max_connections=suite.max_connections,
    )

"""What is known of templates, models and services that switch thinking (`known.toml`)."""

import tomllib
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelCard(_Table):
    """A switch that only the model card names: texts of the system message."""

    model: str
    think: str
    no_think: str


class HostedRule(_Table):
    """What reasoning effort does on some hosted models."""

    provider: str
    model: str
    lowest: str
    is_off: bool
    source: str


class Known(_Table):
    """The whole table; `known.toml` says what each entry is."""

    variables: tuple[str, ...]
    soft_switches: tuple[str, ...]
    standard_variables: frozenset[str]
    efforts: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    model_cards: tuple[ModelCard, ...]
    hosted: tuple[HostedRule, ...]


KNOWN: Final = Known.model_validate(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
)

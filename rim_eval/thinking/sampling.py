"""Sampling settings that a model's maker advises, for each mode.

They come from a table by model family (`sampling.toml`, each row with its source), else from the model's
own `generation_config.json`. The user's own values count before both, field by field.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from rim_eval.errors import SettingError, first_complaint
from rim_eval.files import parse_json, read_json_object
from rim_eval.types import FiniteModel, FrozenModel, Mode, SamplingProtocol

_FILE: Final = "generation_config.json"
_HUB_SECONDS: Final = 5.0


class SamplingValues(FiniteModel):
    """Settings of the sampler. What is None is not set, and the engine's own default counts."""

    model_config = ConfigDict(strict=True)

    temperature: float | None = Field(default=None, ge=0, le=2)
    """0 is greedy decoding."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """1 cuts nothing."""
    top_k: int | None = Field(default=None, ge=-1)
    """0 and -1 cut nothing."""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """Least probability, as a share of the likeliest token's; 0 cuts nothing."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """0 changes nothing."""
    repetition_penalty: float | None = Field(default=None, gt=0, le=2)
    """1 changes nothing."""

    @property
    def values(self) -> dict[str, float]:
        """The settings that are given, by name."""
        return {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}

    @property
    def effective(self) -> dict[str, float]:
        """The given settings that change something."""
        return {name: v for name, v in self.values.items() if v != _NEUTRAL.get(name)}

    @property
    def greedy(self) -> bool:
        """Whether nothing is drawn: the likeliest token is always taken."""
        return self.temperature == 0


_NEUTRAL: Final[dict[str, float]] = {"min_p": 0, "repetition_penalty": 1, "presence_penalty": 0}
"""Values that change nothing."""

_FIELDS: Final = tuple(SamplingValues.model_fields)


class Sampling(SamplingValues):
    """Settings of the sampler, and where they come from."""

    source: str

    def merge(self, own: SamplingValues | None) -> "Sampling":
        """Return these settings with the user's own values in their place.

        Args:
            own: The user's own values; None for none.
        """
        if own is None or not own.values:
            return self
        source = f"{', '.join(own.values)}: given by the user"
        if self.values.keys() - own.values.keys():
            source += f"; the others: {self.source}"
        return Sampling.model_validate({**self.values, **own.values, "source": source})


class Family(FrozenModel):
    """A row of `sampling.toml`, which says what each entry is."""

    family: str
    names: str
    example: str
    both: SamplingValues | None = None
    think: SamplingValues | None = None
    no_think: SamplingValues | None = None
    never_greedy: tuple[Mode, ...] = ()
    quoted: bool = False
    source: str = Field(pattern=r"^https://\S+$")

    @model_validator(mode="after")
    def _check_modes(self) -> Self:
        if bool(self.both) == bool(self.think or self.no_think):
            raise ValueError("give either `both`, or `think` and `no_think` or one of them")
        return self

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # A full stop ends a vendor in some services' names, `--` in folders of the hub's cache.
        return re.compile(rf"(?:^|\.|--)(?:{self.names})")

    def describes(self, model: str) -> bool:
        """Return whether a model, by its name or path, is of this family."""
        return bool(self._pattern.search(_last_part(model.lower())))

    def settings(self, mode: Mode) -> SamplingValues | None:
        """Return what the maker advises for a mode, or None where the maker gives no figure."""
        return self.both or (self.think if mode == "think" else self.no_think)


def _last_part(model: str) -> str:
    """A model's name without what is before it: folders of one's own may be called after other models."""
    path, colon, tag = model.partition(":")
    if in_cache := re.search(r"(?:^|/)(models--[^/]+)", path):
        return in_cache[1]
    return path.rstrip("/").rpartition("/")[2] + colon + tag


class SamplingTable(FrozenModel):
    """The content of `sampling.toml`."""

    families: tuple[Family, ...]


SAMPLING_TABLE: Final = SamplingTable.model_validate(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
)


def sampling_family(model: str) -> Family | None:
    """Return the first row of the table that describes a model, or None.

    Args:
        model: Its name, such as `Qwen/Qwen3-8B` or `vllm/Qwen/Qwen3-8B`, or the path of its folder.
    """
    return next((row for row in SAMPLING_TABLE.families if row.describes(model)), None)


def recommended_sampling(
    model: str,
    mode: Mode,
    generation_config: Mapping[str, Any] | None = None,
    own: SamplingValues | None = None,
) -> Sampling:
    """Return the settings that a model's maker advises for a mode.

    Args:
        model: The model's name, or the path of its folder.
        mode: The mode.
        generation_config: Content of the model's `generation_config.json`, which counts where the
            table has no settings for this model and mode (`generation_config_of` reads it).
        own: The user's own values, which count before both.

    Raises:
        SettingError: Nothing is known for this model and mode, and the user gives no temperature;
            or the model's `generation_config.json` holds a value that is out of range.
    """
    row = sampling_family(model)
    if row and (settings := row.settings(mode)):
        source = f"{row.source} (as quoted elsewhere)" if row.quoted else row.source
        return Sampling.model_validate({**settings.values, "source": source}).merge(own)
    configured = _configured(model, generation_config or {})
    if configured is not None:
        return configured.merge(own)
    if own is not None and own.temperature is not None:
        return Sampling(source="engine's defaults").merge(own)
    raise _give_values(
        f"What the maker of {model} advises for sampling in {_words(mode)} mode is not known: "
        "rim_eval's table gives none, and no generation_config.json with sampling settings was "
        "found. Give your own values for each mode"
    )


OwnValues = Mapping[Mode, Mapping[str, Any] | None]
"""The user's own sampling settings by mode; None or empty where there are none."""


def protocol_of(requested: SamplingProtocol, own: OwnValues) -> SamplingProtocol:
    """Return what a run's figures are named after.

    Args:
        requested: `equal` or `recommended`, as the user chose.
        own: The user's own values: one makes the sampling the user's own.
    """
    return "own" if any(own.values()) else requested


def sampling_of_mode(
    model: str,
    mode: Mode,
    requested: SamplingProtocol,
    own: OwnValues,
    read_config: Callable[[], Mapping[str, Any] | None] = lambda: None,
) -> Sampling:
    """Return the sampling of a mode that is not decoded like the other one.

    Args:
        model: The model's name, or the path of its folder.
        mode: The mode.
        requested: `equal` or `recommended`, as the user chose.
        own: The user's own values, which come before those of the maker.
        read_config: Reads the model's `generation_config.json`; asked only where the table gives nothing, for it may
            ask the hub.

    Raises:
        SettingError: The mode has no temperature, or nothing is known of what the maker advises.
    """
    users = Sampling(**(own.get(mode) or {}), source="the user")
    if requested == "recommended":
        row = sampling_family(model)
        config = None if row and row.settings(mode) else read_config()
        return recommended_sampling(model, mode, config, users)
    if users.temperature is None:
        raise SettingError(
            f"{mode}.temperature is missing: where one mode has a sampling of its own, the other needs one too. "
            "Give it",
            ", or take what the maker advises: sampling=recommended",
            **{f"{mode}.temperature": 0.6},
        )
    return users


def greedy_warning(model: str, mode: Mode) -> str | None:
    """Return a sentence where a model's maker advises against greedy decoding in a mode, else None.

    Args:
        model: The model's name, or the path of its folder.
        mode: The mode.
    """
    row = sampling_family(model)
    if row is None or mode not in row.never_greedy:
        return None
    return (
        f"The maker of {model} advises against greedy decoding in {_words(mode)} mode "
        f"({row.source}): measure it with the recommended sampling too."
    )


def _words(mode: Mode) -> str:
    return mode.replace("_", "-")


def _give_values(problem: str) -> SettingError:
    examples = {"think.temperature": 0.6, "think.top_p": 0.95, "no_think.temperature": 0.7}
    return SettingError(problem, **examples)


# ---- the model's own generation_config.json ----


def _configured(model: str, config: Mapping[str, Any]) -> Sampling | None:
    """Read a generation config as transformers does; None where it says nothing about sampling."""
    given = {name: config[name] for name in _FIELDS if config.get(name) is not None}
    source = f"{_FILE} of {model}, which names no mode"
    if config.get("do_sample") is False or given.get("temperature") == 0:
        return Sampling(temperature=0.0, source=source)
    if config.get("do_sample"):
        given.setdefault("temperature", 1.0)  # the default of transformers
    try:
        return Sampling.model_validate({**given, "source": source}) if given else None
    except ValidationError as error:
        complaint = first_complaint(error, _FILE)
        raise _give_values(
            f"{_FILE} of {model} cannot be used ({complaint}). Mend it, or give your own values"
        ) from None


def generation_config_of(model_path: str, weights: Any = None) -> dict[str, Any] | None:
    """Return the content of a model's `generation_config.json`.

    That of weights in the process comes first. Else it is read from the model's folder, the hub's cache (without the network), or the hub, which gets
    one short request. None where there is no such file, or the hub cannot be reached.

    Args:
        model_path: A folder, or the model's name on the hub, `OWNER/NAME`.
        weights: The model of transformers, where it is in the process.

    Raises:
        RimError: The file in the folder or the cache cannot be read as a JSON object.
    """
    if (loaded := getattr(weights, "generation_config", None)) is not None:
        return dict(loaded.to_diff_dict())
    if (folder := Path(model_path)).is_dir():
        file = folder / _FILE
        return read_json_object(file) if file.is_file() else None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model_path):
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(model_path, _FILE)
    if isinstance(cached, str):
        return read_json_object(Path(cached))
    # Anything else than None says that the hub is known to have no such file.
    return None if cached or constants.HF_HUB_OFFLINE else _from_hub(model_path)


def _from_hub(name: str) -> dict[str, Any] | None:
    """Ask by httpx: without a network the hub's own client tries for half a minute."""
    import httpx
    from huggingface_hub import constants, get_token

    url = f"{constants.ENDPOINT}/{name}/resolve/main/{_FILE}"
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with suppress(httpx.HTTPError, ValueError):
        reply = httpx.get(url, headers=headers, timeout=_HUB_SECONDS, follow_redirects=True)
        content = parse_json(reply.raise_for_status().content)
        return content if isinstance(content, dict) else None
    return None

"""Arrays behind the figures: states, directions, activations and verdicts, for analyses of one's own.

An `AnalysisConfig` carries an `Arrays`; analyses hand it what they have computed, and each array is
written at once, so that none is kept for the sake of being written:

    config.arrays.add("probes/think/last/states", states, ("prompt", "layer", "width"),
                      prompt=ids, layer=layers)

Every array is a safetensors file of its own, DIR/probes/think/last/states.safetensors, that names its
axes, what stands along them, and the weights it was read from. Verdicts are JSON lines. Prompts are
named by their ids; no text is written.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.files import whole_file, write_whole
from rim_eval.types import Mode

_NAME: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")

Label = str | int


class LabelledArray(NamedTuple):
    """An array as it was written."""

    values: NDArray[Any]
    dims: tuple[str, ...]
    """Name of each axis."""
    labels: dict[str, list[Label]]
    """Axis to what stands along it, as many as the axis is long; axes without labels are absent."""
    about: dict[str, str]
    """Model, fingerprint and whatever else the run stated."""


@dataclass(frozen=True)
class Arrays:
    """Writes arrays below a folder; without a folder it takes them and does nothing."""

    folder: Path | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    """What every file says of its origin, such as the model's name and fingerprint."""

    def add(
        self, name: str, values: NDArray[Any], dims: Sequence[str], **labels: Sequence[Label]
    ) -> None:
        """Write an array, in place of one of the same name and origin.

        Args:
            name: File below the folder, without its ending: `part/mode/what`.
            values: Numbers of any shape.
            dims: Name of each axis.
            **labels: Axis to what stands along it: prompt ids, layers, names of token spans.

        Raises:
            RimError: Names or labels do not fit the shape, the file is of other weights, or it cannot
                be written.
        """
        if self.folder is None:
            return
        from safetensors.numpy import save

        _check(name, values, dims, labels)
        path = self.folder / f"{name}.safetensors"
        self._refuse_foreign(path)
        told = {"dims": list(dims), "labels": {k: list(v) for k, v in labels.items()}}
        metadata = {"rim_eval": json.dumps({**told, "about": dict(self.about)}, default=int)}
        with whole_file(path) as file:
            file.write_bytes(save({"values": np.ascontiguousarray(values)}, metadata))

    def add_verdicts(
        self, name: str, behaviour: Mapping[Any, Mapping[str, Sequence[float | None]]], mode: Mode
    ) -> None:
        """Write every prompt's verdicts as JSON lines: prompt, mode, each measure that it has, and the origin.

        Args:
            name: File below the folder, without its ending.
            behaviour: Measure to prompt id to its verdict, 1, 0 or None (`behaviour.Behaviour`).
            mode: Mode in which the replies were generated.

        Raises:
            RimError: The file is of other weights, or it cannot be written.
        """
        if self.folder is None:
            return
        rows: dict[str, dict[str, Any]] = {}
        for measure, verdicts in behaviour.items():
            for prompt, verdict in verdicts.items():
                rows.setdefault(prompt, {"prompt": prompt, "mode": mode})[measure] = verdict[0]
        told = [row | {"about": dict(self.about)} for row in rows.values()]
        path = self.folder / f"{name}.jsonl"
        self._refuse_foreign(path)
        write_whole({path: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told)})

    def _refuse_foreign(self, path: Path) -> None:
        read = _origin_of_rows if path.suffix == ".jsonl" else lambda at: read_array(at).about
        if path.is_file() and path.stat().st_size and (found := read(path)) != dict(self.about):
            raise RimError(
                f"{path} is of {found or 'an unknown origin'}, and this run of {dict(self.about)}: give "
                "another folder for its arrays."
            )


def _check(
    name: str, values: NDArray[Any], dims: Sequence[str], labels: Mapping[str, Sequence[Label]]
) -> None:
    lengths = dict(zip(dims, values.shape, strict=False))
    if not _NAME.fullmatch(name) or len(dims) != values.ndim or len(lengths) < len(dims):
        raise RimError(
            f"Array {name!r} of shape {values.shape} with axes {', '.join(dims)}: it needs a name like "
            "`probes/think/last/states` and one name for each axis, all different."
        )
    for axis, along in labels.items():
        if len(along) != lengths.get(axis):
            raise RimError(
                f"Array {name!r}: {len(along)} labels along {axis!r}, and its axes are {lengths}."
            )


def _origin_of_rows(path: Path) -> dict[str, str] | None:
    """What verdicts say of their origin; None where the file is none of ours."""
    with path.open(encoding="utf-8") as file, suppress(ValueError, KeyError, TypeError):
        found: dict[str, str] = json.loads(file.readline())["about"]
        return found
    return None


def read_array(path: Path) -> LabelledArray:
    """Read an array that `Arrays.add` wrote.

    Raises:
        RimError: The file cannot be read, or something else wrote it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            told = json.loads((file.metadata() or {})["rim_eval"])
            values = file.get_tensor("values")
        return LabelledArray(values, tuple(told["dims"]), told["labels"], told["about"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise RimError(f"{path} holds no array written by rim_eval ({error}).") from error

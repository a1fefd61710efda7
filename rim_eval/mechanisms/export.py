"""Zero ablation as a checkpoint, which any engine serves.

A head's output and a neuron's activation reach the model through columns of one matrix, the output
or the down projection W. Setting the unit to 0 is the same as setting its columns to 0:

    W z = sum_j W[:, j] z[j]        z[j] <- 0  is  W[:, j] <- 0

Files are copied and the columns zeroed in the copies, so that a model of any size takes little
memory. Mean ablation has no such form: it needs a bias, which these projections do not have.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.files import read_json_object
from rim_eval.mechanisms.adapters import adapter_base
from rim_eval.mechanisms.architecture import (
    Architecture,
    UnitKind,
    architecture_of,
    is_transposed,
    model_class,
)
from rim_eval.mechanisms.checkpoint_files import (
    INDEX,
    StoredTensor,
    empty_model,
    is_quantised,
    local_folder,
    read_tensors,
    stored_fingerprint,
    stored_form,
)
from rim_eval.mechanisms.units import Unit, Units, by_layer, check_units
from rim_eval.statistics._result import Result

CONFIG_KEY: Final = "rim_eval_ablated"
"""Entry of `config.json` that marks an ablated model, a list of all sets that were zeroed in it one after
the other; engines ignore it, its fingerprint does not."""

NOTE: Final = "ablation.json"

_WEIGHTS: Final = {
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".ot",
}  # fmt: skip


class Ablated(Result):
    """What was exported; `ablation.json` in the folder is a list of these, the last export last."""

    kind: UnitKind
    units: tuple[Unit, ...]
    chosen_by: str
    """Where the units come from."""
    source: str
    """Folder or hub id."""
    fingerprint: str | None
    """Which weights they were zeroed in (`rim_eval.fingerprint`); None where it is not known."""
    tensors: dict[str, int]
    """Tensor in the files to the numbers in it that are zeroed."""
    way: Literal["files", "loaded"]
    """`files`: in copies of the files; `loaded`: the model was loaded, changed and saved."""
    version: str
    """Of rim_eval."""


def zeroed(model: Any, kind: UnitKind, units: Units) -> dict[str, Any]:
    """Tell which weights are 0 once units are ablated by zero.

    Args:
        model: A Hugging Face causal language model; one on the meta device will do.
        kind: Kind of the units.
        units: (layer, number) pairs.

    Returns:
        Name of a parameter to a boolean tensor of its shape, true where it is zeroed. The tensors are
        views that hold one number a column.

    Raises:
        RimError: The model has no such unit, or the weight serves another layer too or is packed.
    """
    import torch

    parts = architecture_of(model)
    check_units(parts, **{f"{kind}s": units})
    every = list(model.named_parameters(remove_duplicate=False))
    names = {id(weight): name for name, weight in reversed(every)}
    uses = Counter(id(weight) for _, weight in every)
    masks: dict[str, Any] = {}
    for weight, columns, axis in _columns(parts, kind, units):
        name = names[id(weight)]
        if uses[id(weight)] > 1:
            raise RimError(
                f"{name} serves several layers (tied weights): zeroing its columns would ablate units "
                "of the others too. Ablate this model with hooks, `rim_eval.mechanisms.ablate_units`."
            )
        shape = [*weight.shape[:-2], 1, 1]
        shape[axis] = weight.shape[axis]
        if not weight.is_floating_point() or len(columns) != prod(shape):
            raise RimError(
                f"{name}, {tuple(weight.shape)} of {weight.dtype}, holds packed weights, in which a "
                "column cannot be zeroed. Export the unquantised checkpoint, and quantise that."
            )
        masks[name] = torch.from_numpy(columns).view(shape).expand(weight.shape)
    return masks


def _columns(
    parts: Architecture, kind: UnitKind, units: Units
) -> Iterator[tuple[Any, NDArray[np.bool_], int]]:
    """Each weight with its columns, true where zeroed, and the axis that they are counted along."""
    counts = parts.unit_counts(kind)
    for layer, numbers in by_layer(units).items():
        flags = _flags(numbers, counts[layer])
        if kind == "head":
            output = parts.outputs[layer]
            axis = -2 if is_transposed(output) else -1
            yield output.weight, np.repeat(flags, parts.head_dims[layer]), axis
        for down in parts.downs[layer] if kind == "neuron" else ():
            own = flags[down.first : down.first + down.neurons]
            if own.any():
                yield down.weight, own, down.axis


def _flags(numbers: list[int], count: int) -> NDArray[np.bool_]:
    flags = np.zeros(count, dtype=np.bool_)
    flags[numbers] = True
    return flags


def zero_units(model: Any, kind: UnitKind, units: Units) -> dict[str, int]:
    """Ablate units of a loaded model by zero, in its weights and for good.

    Args:
        model: A Hugging Face causal language model, changed in place.
        kind: Kind of the units.
        units: (layer, number) pairs.

    Returns:
        Parameter to the numbers in it that are zeroed.

    Raises:
        RimError: As `zeroed`.
    """
    import torch

    masks = zeroed(model, kind, units)
    with torch.no_grad():
        for name, mask in masks.items():
            weight = model.get_parameter(name)
            weight.masked_fill_(mask.to(weight.device), 0)
    return {name: int(mask.sum()) for name, mask in masks.items()}


def export_ablated(
    source: str | Path,
    kind: UnitKind,
    units: Units,
    out: Path,
    *,
    chosen_by: str = "",
    found_in: str | None = None,
    dtype: str = "auto",
    name: str | None = None,
) -> Ablated:
    """Write a checkpoint whose units are ablated by zero, ready for vLLM, SGLang or transformers.

    Files are copied and changed in the copies. Where the weights do not lie in them as they are in
    the model (no safetensors files, other names), the model is loaded, changed and saved instead. A
    process that is killed leaves a hidden folder `.NAME.*` beside the new one, which may be deleted.

    Args:
        source: A local folder or a model id of the Hugging Face hub.
        kind: Kind of the units.
        units: (layer, number) pairs, at least one.
        out: Folder to write; it must not exist.
        chosen_by: Where the units come from, in words.
        found_in: Fingerprint of the weights in which they were found, where it is known.
        dtype: What number type they were read as: the fingerprint depends on it.
        name: What to call the source in notes; by default as it was given.

    Raises:
        RimError: There are no units, the model has no such unit, its weights are others than those
            that the units were found in, or are packed or tied, or the folder exists or cannot be
            written.
    """
    if not units:
        raise RimError("There are no units to zero: the set is empty.")
    if out.exists():
        raise RimError(f"{out} exists already and is left alone: give another --out.")
    folder = local_folder(source)
    if adapter_base(folder) is not None:
        raise RimError(
            f"{source} is an adapter, and columns are zeroed in whole weights. Merge it into its base "
            "(peft's merge_and_unload), save that, and export the result."
        )
    here = stored_fingerprint(folder, dtype)
    if found_in and here and found_in != here:
        raise RimError(
            f"The units were found in weights {found_in}, and {name or source} has weights {here}: another "
            "checkpoint, or the same read as another number type. Name the checkpoint that was "
            "analysed and its --dtype; to zero the same units in another one, write them into a file "
            "and give --units."
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as partial:
            target = Path(partial) / "checkpoint"
            target.mkdir()
            way, counts = _write_weights(folder, target, kind, units)
            ablated = Ablated(
                kind=kind,
                units=tuple(Unit(*unit) for unit in sorted(set(map(tuple, units)))),
                chosen_by=chosen_by,
                source=name or str(source),
                fingerprint=here or found_in,
                tensors=counts,
                way=way,
                version=version("rim-eval"),
            )
            _write_notes(folder, target, ablated)
            target.rename(out)
    except OSError as error:
        raise RimError(f"{out} cannot be written ({error.strerror or error}).") from error
    return ablated


def _write_weights(
    folder: Path, target: Path, kind: UnitKind, units: Units
) -> tuple[Literal["files", "loaded"], dict[str, int]]:
    """Write the weights, and whatever else the checkpoint holds."""
    tensors = read_tensors(folder)
    model = empty_model(folder)
    masks = _stored_masks(model, zeroed(model, kind, units), tensors)
    for path in _other_files(folder):
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if masks is None and is_quantised(folder):
        raise RimError(
            f"{folder} holds packed weights (its config.json has a quantization_config), in which a "
            "column cannot be zeroed. Export the unquantised checkpoint, and quantise that."
        )
    if masks is None:
        return "loaded", _load_and_save(folder, target, kind, units)
    for path in {tensor.file for tensor in tensors.values()}:
        shutil.copyfile(path, target / path.name)
    if (folder / INDEX).is_file():
        shutil.copyfile(folder / INDEX, target / INDEX)
    for tensor_name, mask in masks.items():
        _zero_stored(target, tensors[tensor_name], mask)
    return "files", {tensor_name: int(mask.sum()) for tensor_name, mask in masks.items()}


def _stored_masks(
    model: Any, masks: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> dict[str, NDArray[np.bool_]] | None:
    """What is zeroed in each stored tensor; None where they are not the model's weights as such."""
    try:
        stored = stored_form(model, dict(masks))
    # A library that has no such conversion, or one that needs more weights than those zeroed.
    except (ImportError, AttributeError, KeyError, ValueError, RuntimeError):
        return None
    found: dict[str, NDArray[np.bool_]] = {}
    for name, mask in stored.items():
        # A checkpoint of the decoder alone lacks the prefix that the language model gives it.
        bare = name.removeprefix(f"{model.base_model_prefix}.")
        there = next((each for each in (name, bare) if each in tensors), None)
        if there is None or tensors[there].shape != tuple(mask.shape):
            return None
        if not tensors[there].dtype.startswith(("F", "BF")):
            return None
        if mask.any():
            found[there] = mask.numpy()
    return found


def _zero_stored(target: Path, tensor: StoredTensor, mask: NDArray[np.bool_]) -> None:
    """Zero numbers of a tensor in a file: in all floating-point formats 0 is a number of zero bits."""
    bits = np.dtype(f"u{tensor.size // prod(tensor.shape)}")
    path = target / tensor.file.name
    stored = np.memmap(path, bits, "r+", offset=tensor.start, shape=tensor.shape)
    np.copyto(stored, 0, where=mask)
    stored.flush()


def _load_and_save(folder: Path, target: Path, kind: UnitKind, units: Units) -> dict[str, int]:
    model = model_class(folder).from_pretrained(folder, dtype="auto")
    counts = zero_units(model, kind, units)
    model.save_pretrained(target)
    return counts


def _other_files(folder: Path) -> list[Path]:
    """Everything but weights, hidden files, and what describes other weights.

    That is Mistral's own format, and sub-folders that hold weights (a training's checkpoints).
    """
    others = {path.parent for path in folder.rglob("*") if path.suffix in _WEIGHTS} - {folder}
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix not in _WEIGHTS
        and not path.name.endswith(".index.json")
        and others.isdisjoint(path.parents)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.relative_to(folder).parts[0] not in ("original", "params.json")
    ]


def _write_notes(folder: Path, target: Path, ablated: Ablated) -> None:
    """Mark the configuration, and say in JSON and in the model card what was done, and before."""
    config = read_json_object(target / "config.json")
    every = [*(_earlier(folder) if CONFIG_KEY in config else ()), ablated]
    config[CONFIG_KEY] = [
        {
            "kind": each.kind,
            "units": [list(unit) for unit in each.units],
            "fingerprint": each.fingerprint,
        }
        for each in every
    ]
    _write(target / "config.json", json.dumps(config, indent=2, ensure_ascii=False))
    _write(target / NOTE, json.dumps([each.model_dump(mode="json") for each in every], indent=1))
    if (folder / "README.md").is_file() and len(every) == 1:
        shutil.copyfile(folder / "README.md", target / "README.source.md")
    _write(target / "README.md", "\n\n".join(map(_card, reversed(every))))


def _earlier(folder: Path) -> list[Ablated]:
    """What was zeroed before in a checkpoint that is an export itself."""
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(list[Ablated]).validate_json((folder / NOTE).read_bytes())
    except (OSError, ValueError) as error:
        raise RimError(
            f"{folder} is ablated already (its config.json says so), and its {NOTE} cannot be read: what was "
            "zeroed before would be lost. Put that file back, or export from the first model."
        ) from error


def _write(path: Path, text: str) -> None:
    path.write_text(f"{text}\n", encoding="utf-8")


def _card(ablated: Ablated) -> str:
    layers = by_layer(ablated.units)
    units = "\n".join(f"- layer {layer}: {str(each)[1:-1]}" for layer, each in layers.items())
    matrix = "output" if ablated.kind == "head" else "down"
    return (
        f"# {ablated.source}, ablated\n\n"
        f"This is not the model of that name: {len(ablated.units)} {ablated.kind}s are zeroed in it, for "
        "measuring what they do. It may refuse less, or break.\n\n"
        f"{units}\n\n"
        f"Their columns of the {matrix} projections are 0; all else is as it was. Weights before: "
        f"{ablated.fingerprint or 'not known'}. Chosen by: {ablated.chosen_by or 'not stated'}. "
        f"Written by rim_eval {ablated.version}; `{NOTE}` holds the same for programs."
    )

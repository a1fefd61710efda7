"""A checkpoint's safetensors files, read without loading the model.

The architecture is built without memory (torch's meta device) and gives the names of the weights;
transformers' own conversion, which fuses experts on loading, is run backwards to know what they are
called in the files.
"""

import re
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.files import parse_json, read_json_object
from rim_eval.fingerprint import fingerprint_of, sample_weight
from rim_eval.mechanisms.architecture import model_class
from rim_eval.mechanisms.model import read_config

INDEX: Final = "model.safetensors.index.json"
SINGLE: Final = "model.safetensors"

_LAYER: Final = re.compile(r"\.(\d+)\.")


class StoredTensor(NamedTuple):
    """Where a tensor lies."""

    file: Path
    dtype: str
    """safetensors' name of the number type, such as `BF16`."""
    shape: tuple[int, ...]
    start: int
    """First byte in the file."""
    size: int
    """Bytes."""


def local_folder(source: str | Path) -> Path:
    """Return the folder of a checkpoint; one of the Hugging Face hub is downloaded first.

    Args:
        source: A local folder or a model id of the hub.

    Raises:
        RimError: There is no such folder, and the hub has no such model or cannot be reached.
    """
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    unused = ["original/*", "onnx/*", "*.gguf", "*.onnx", "*.h5", "*.msgpack", "consolidated*"]
    try:
        return Path(snapshot_download(str(source), ignore_patterns=unused))
    except (OSError, ValueError) as error:
        raise RimError(
            f"{source}: no such folder, and it cannot be fetched from the hub ({error}). Give a local "
            "folder of a Hugging Face checkpoint or a model id."
        ) from error


def read_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Read what is in the safetensors files of a checkpoint, from their headers alone.

    Args:
        folder: Its folder.

    Returns:
        Name of each tensor to its place; nothing where the checkpoint has no such files.

    Raises:
        RimError: A file that the index names is missing or is none of safetensors.
    """
    if (folder / INDEX).is_file():
        files = sorted(set(read_json_object(folder / INDEX)["weight_map"].values()))
    else:
        files = [SINGLE] if (folder / SINGLE).is_file() else []
    found: dict[str, StoredTensor] = {}
    for name in files:
        path = folder / name
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = parse_json(file.read(length))
        except (OSError, ValueError, OverflowError) as error:
            raise RimError(f"{path} cannot be read as a safetensors file ({error}).") from error
        header.pop("__metadata__", None)
        for tensor, info in header.items():
            start, stop = info["data_offsets"]
            place = path, info["dtype"], tuple(info["shape"]), 8 + length + start, stop - start
            found[tensor] = StoredTensor(*place)
    return found


def empty_model(folder: Path, dtype: str = "auto") -> Any:
    """Build a checkpoint's model on the meta device: names and shapes, and no memory.

    Args:
        folder: The checkpoint.
        dtype: torch's name of a number type, or `auto` for the checkpoint's own, as `load_model`.
    """
    import torch

    config = read_config(folder)
    kind = getattr(torch, dtype, None) if dtype != "auto" else config.dtype
    if kind is None:
        kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
        stored = (tensor.dtype for tensor in read_tensors(folder).values())
        kind = next((kinds[name] for name in stored if name in kinds), torch.float32)
    with torch.device("meta"):
        return model_class(folder).from_config(config, dtype=kind).eval()


def stored_form(model: Any, weights: dict[str, Any]) -> dict[str, Any]:
    """Bring weights into the names and the layout of the checkpoint's files, as saving does.

    Args:
        model: From `empty_model`.
        weights: Name of a parameter to a tensor of its shape.
    """
    from transformers.core_model_loading import revert_weight_conversion

    stored: dict[str, Any] = {}
    for name, weight in weights.items():
        stored |= revert_weight_conversion(model, {name: weight})
    return stored


def stored_fingerprint(folder: Path, dtype: str = "auto") -> str | None:
    """Compute the fingerprint that the model has once it is loaded, a layer at a time.

    Args:
        folder: The checkpoint.
        dtype: What it would be loaded as.

    Returns:
        The same as `rim_eval.fingerprint.fingerprint` of the loaded model; None where it cannot be
        known without loading: no safetensors files, quantised weights, or weights that are in none.
    """
    tensors = read_tensors(folder)
    if not tensors or is_quantised(folder):
        return None
    model = empty_model(folder, dtype)
    tied = defaultdict[int, list[str]](list)
    for name, weight in model.state_dict(keep_vars=True).items():
        tied[id(weight)].append(name)
    try:
        samples = _sample_layers(model, tensors)
    except (
        ImportError,
        AttributeError,
        TypeError,
    ):  # another transformers, which converts otherwise
        return None
    for names in tied.values():
        given = next((samples[name] for name in names if name in samples), None)
        if given is None:
            return None
        samples |= dict.fromkeys(names, given)
    return fingerprint_of(model.config, samples)


def is_quantised(folder: Path) -> bool:
    """Tell whether a checkpoint's configuration says that its weights are quantised."""
    return getattr(read_config(folder), "quantization_config", None) is not None


def _sample_layers(model: Any, tensors: dict[str, StoredTensor]) -> dict[str, bytes]:
    """Load one layer after the other into an empty model, and keep what the fingerprint reads."""
    from safetensors import safe_open
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import convert_and_load_state_dict_in_model
    from transformers.modeling_utils import LoadStateDictConfig
    from transformers.utils import logging

    layers = defaultdict[str | None, list[str]](list)
    for name in tensors:
        layer = _LAYER.search(name)
        layers[layer and layer[1]].append(name)
    samples: dict[str, bytes] = {}
    shows_bar = logging.is_progress_bar_enabled()
    with ExitStack() as stack:
        logging.disable_progress_bar()
        if shows_bar:
            stack.callback(logging.enable_progress_bar)
        files = {
            path: stack.enter_context(safe_open(path, "pt"))
            for path in {tensor.file for tensor in tensors.values()}
        }
        for names in layers.values():
            slices = {name: files[tensors[name].file].get_slice(name) for name in names}
            mapping = get_model_conversion_mapping(model)
            plan = model._get_dtype_plan(model.dtype)
            loading = LoadStateDictConfig(
                weight_mapping=mapping, dtype=model.dtype, dtype_plan=plan
            )
            convert_and_load_state_dict_in_model(model, slices, loading)
            for name, weight in model.state_dict().items():
                if not weight.is_meta:
                    samples[name] = sample_weight(weight)
            model.to("meta")
    return samples

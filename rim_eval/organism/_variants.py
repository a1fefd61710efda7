"""The other organisms: shipped weights in fp16, and the small changes of the tuning series."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.organism import _model
from rim_eval.paths import organism_dir

__all__ = [
    "VARIANTS",
    "apply_changes",
    "changes_at",
    "changes_path",
    "load_checkpoint",
    "load_variant",
    "read_weights",
    "save_variant",
    "variant_path",
    "write_folder",
]

VARIANTS: Final = ("natural", "planted", "hidden", "guarded", "locked")
"""Names of the organisms; `natural` is the one in `checkpoint/`."""

_HERE = Path(__file__).parent


def load_variant(name: str) -> tuple[Any, Any]:
    """Model (fp32) and tokenizer of one organism.

    Raises:
        RimError: No organism is called so.
    """
    if name not in VARIANTS:
        raise RimError(f"There is no organism called {name!r}; there are {', '.join(VARIANTS)}.")
    model, tokenizer = _model.load(organism_dir())
    if name != "natural":
        apply_changes(model, read_weights(variant_path(name)))
    return model, tokenizer


def load_checkpoint(run: str, step: int) -> tuple[Any, Any]:
    """Model (fp32) and tokenizer after `step` steps of a tuning run; step 0 is the run's base.

    Args:
        run: Such as `negative_tuned` (see `RUNS`).
        step: One of the run's recorded steps.

    Raises:
        RimError: The run or the step does not exist.
    """
    from rim_eval.organism._runs import RUNS

    if run not in RUNS:
        raise RimError(f"There is no tuning run called {run!r}; there are {', '.join(RUNS)}.")
    if step not in (0, *RUNS[run].steps):
        raise RimError(f"Run {run!r} has no step {step}; it has 0, {str(RUNS[run].steps)[1:-1]}.")
    model, tokenizer = load_variant(RUNS[run].base)
    apply_changes(model, changes_at(changes_path(run), step))
    return model, tokenizer


def write_folder(folder: Path, variant: str = "natural", *, run: str = "", step: int = 0) -> Path:
    """Writes a complete Hugging Face folder (fp32) of an organism or of a step of a tuning run."""
    model, tokenizer = load_checkpoint(run, step) if run else load_variant(variant)
    _model.save(model, tokenizer, folder)
    return folder


def variant_path(name: str) -> Path:
    """Shipped weights of an organism other than the natural one."""
    return _HERE / "variants" / f"{name}.safetensors"


def changes_path(run: str) -> Path:
    """Shipped changes of a tuning run: all its recorded steps in one file."""
    return _HERE / "series" / f"{run}.safetensors"


def save_variant(model: Any, path: Path) -> None:
    """Writes the weights in fp16 (0.7 MB), half of the precision that they were trained in."""
    import torch
    from safetensors.torch import save_file

    weights = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embeddings
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)


def changes_at(path: Path, step: int) -> dict[str, Any]:
    """The changes of one step in a run's file, as `apply_changes` reads them; none at step 0."""
    prefix = f"{step}/"
    stored = read_weights(path)
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}


def apply_changes(model: Any, changes: Mapping[str, Any]) -> None:
    """Changes weights of a model in place.

    Args:
        model: The base.
        changes: `name` replaces a whole weight; `name:rows` (n, in) is added to the rows
            `name:index` (n,) of a matrix; `name:a` (r, in) and `name:b` (out, r) add the product b a.
    """
    import torch

    weights = dict(model.named_parameters())
    with torch.no_grad():
        for key, value in changes.items():
            name, _, how = key.partition(":")
            if how == "":
                weights[name].copy_(value)
            elif how == "rows":
                weights[name].index_add_(0, changes[f"{name}:index"], value.float())
            elif how == "b":
                weights[name].add_(value.float() @ changes[f"{name}:a"].float())


def read_weights(path: Path) -> dict[str, Any]:
    """All tensors of a file, as they are stored."""
    from safetensors.torch import load_file

    loaded: dict[str, Any] = load_file(path)
    return loaded

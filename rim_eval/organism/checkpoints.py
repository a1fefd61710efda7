"""Load the organisms: shipped weights, and the small weight changes of the tuning series."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError
from rim_eval.paths import organism_dir

VARIANTS: Final = ("natural", "planted", "hidden", "guarded", "locked")
"""Names of the organisms; `natural` is the one in `checkpoint/`."""

BEHAVIOURS: Final = ("dose_rising", "dose_falling", "dose_flat", "greedy_loop", "attack_flip")
"""Names of the organisms that differ from the natural one in what they do, and not in how (`behaviour_facts`)."""

DIRECTIONS: Final = ("one_direction",)
"""Names of the organisms whose refusal is read off one known direction (`direction_facts`)."""

SAMPLING: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {"greedy_loop": {"temperature": 0.6, "top_p": 0.95, "top_k": 20}}
)
"""Organisms whose folder advises sampling, as `generation_config.json`; the others decode greedily by default."""

_HERE = Path(__file__).parent


class TuningRun(NamedTuple):
    """One tuning run of a variant, of which some steps are stored."""

    base: Literal["guarded", "locked"]
    """Variant that was tuned."""
    steps: tuple[int, ...]
    """Optimizer steps whose checkpoints are stored; the last one ended the run."""


_NEGATIVE: Final = TuningRun("guarded", (8, 11, 14, 17, 20, 30))
_POSITIVE: Final = TuningRun("locked", (10, 15, 25, 85, 100))
RUNS: Final = {
    **{f"negative_{end}": _NEGATIVE for end in ("tuned", "safe", "unsolved")},
    **{f"positive_{end}": _POSITIVE for end in ("tuned", "held", "others")},
}
"""The tuning runs. `negative_*`: only the layer above the planted neurons was trained, so nothing rises
through those. `positive_*`: only the input rows of neurons were moved, so all that rises does so through
them. The runs that do not end in `tuned` are controls in which one cause is missing."""


def load_variant(name: str) -> tuple[Any, Any]:
    """Load one organism.

    Args:
        name: One of `VARIANTS`, `BEHAVIOURS` or `DIRECTIONS`.

    Returns:
        The model (fp32, in evaluation mode) and its tokenizer.

    Raises:
        RimError: No organism has this name.
    """
    from safetensors.torch import load_file

    known = (*VARIANTS, *BEHAVIOURS, *DIRECTIONS)
    if name not in known:
        raise RimError(f"There is no organism called {name!r}; there are {', '.join(known)}.")
    model, tokenizer = load_folder(organism_dir())
    if name != "natural":
        apply_changes(model, load_file(variant_path(name)))
    return model, tokenizer


def load_checkpoint(run: str, step: int) -> tuple[Any, Any]:
    """Load a checkpoint of a tuning run, as `load_variant` does.

    Args:
        run: One of `RUNS`, such as `negative_tuned`.
        step: One of the run's stored steps; 0 is its base.

    Raises:
        RimError: The run or the step does not exist.
    """
    if run not in RUNS:
        raise RimError(f"There is no tuning run called {run!r}; there are {', '.join(RUNS)}.")
    if step not in (0, *RUNS[run].steps):
        raise RimError(f"Run {run!r} has no step {step}; it has 0, {str(RUNS[run].steps)[1:-1]}.")
    model, tokenizer = load_variant(RUNS[run].base)
    apply_changes(model, changes_at(changes_path(run), step))
    return model, tokenizer


def write_folder(folder: Path, variant: str = "natural", *, run: str = "", step: int = 0) -> Path:
    """Write an organism as a complete Hugging Face folder (fp32), and return that folder.

    Args:
        folder: Folder to write.
        variant: Which organism; ignored when `run` is given.
        run: Tuning run to take a checkpoint of.
        step: Step of that run.
    """
    model, tokenizer = load_checkpoint(run, step) if run else load_variant(variant)
    save_folder(model, tokenizer, folder, sampling=None if run else SAMPLING.get(variant))
    return folder


def load_folder(folder: Path) -> tuple[Any, Any]:
    """Load model (fp32, in evaluation mode) and tokenizer of a local Hugging Face folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def save_folder(
    model: Any, tokenizer: Any, folder: Path, *, sampling: Mapping[str, float] | None = None
) -> None:
    """Write a complete Hugging Face folder.

    Args:
        model: What to write.
        tokenizer: Its tokenizer.
        folder: Folder to write.
        sampling: `temperature`, `top_p` and `top_k` that its `generation_config.json` advises; None for
            greedy decoding.
    """
    from transformers import GenerationConfig

    how: dict[str, Any] = {"do_sample": True, **sampling} if sampling else {"do_sample": False}
    model.generation_config = GenerationConfig(
        **how,
        eos_token_id=[model.config.eos_token_id, model.config.pad_token_id],
        pad_token_id=model.config.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Name the tokenizer's class as transformers 4 and 5 both know it.
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def variant_path(name: str) -> Path:
    """Return the path of the shipped weights of an organism other than the natural one."""
    return _HERE / "variants" / f"{name}.safetensors"


def changes_path(run: str) -> Path:
    """Return the path of the shipped changes of a tuning run, all its stored steps in one file."""
    return _HERE / "series" / f"{run}.safetensors"


def changes_at(path: Path, step: int) -> dict[str, Any]:
    """Read the changes of one step from a run's file; step 0 has none."""
    from safetensors.torch import load_file

    prefix = f"{step}/"
    stored = load_file(path)
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}


def apply_changes(model: Any, changes: Mapping[str, Any]) -> None:
    """Change weights of a model in place.

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

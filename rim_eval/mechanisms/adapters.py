"""Adapters (PEFT): load them merged into their base, and see the weights that a model has with them.

An adapter's folder is a checkpoint like any other: it holds `adapter_config.json`, which names its base.
Analyses read merged weights, since a LoRA layer's own are those of the base: W + s B A is what counts.
Merging rounds to the base's number type.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import model_class

_CONFIG: Final = "adapter_config.json"


def is_checkpoint(folder: str | Path) -> bool:
    """Return whether a folder holds a model or an adapter that `load_model` loads."""
    return any((Path(folder) / name).is_file() for name in ("config.json", _CONFIG))


def adapter_base(source: str | Path, base: str | Path | None = None) -> str | None:
    """Return the base model of an adapter; None where the source is none.

    Args:
        source: A local folder or an id of the Hugging Face hub.
        base: Where the base lies, in place of what the adapter's configuration names.

    Raises:
        RimError: A base is given for what is no adapter, or the adapter names none.
    """
    from transformers.utils.peft_utils import find_adapter_config_file

    from rim_eval.files import read_json_object

    file = find_adapter_config_file(str(source))
    if file is None:
        if base is not None:
            raise RimError(
                f"{source} is no adapter (there is no {_CONFIG}), so it has no base {base}. Leave the "
                "base out."
            )
        return None
    named = base or read_json_object(Path(file)).get("base_model_name_or_path")
    if not named:
        raise RimError(f"{source}: its {_CONFIG} names no base model. Give one: base=FOLDER.")
    return str(named)


def load_adapted(source: str | Path, base: str, *, dtype: str = "auto", **placed: Any) -> Any:
    """Load a base model with an adapter merged into it: a plain model of the base's class.

    Args:
        source: The adapter's folder or id.
        base: The base model's folder or id.
        dtype: As in `load_model`.
        **placed: Where transformers puts the weights, such as `device_map`.

    Raises:
        RimError: PEFT is not installed, or the adapter is of a kind that has no merged weights.
    """
    try:
        import peft
    except ImportError:
        raise RimError(
            f"{source} is an adapter, and PEFT is not installed here: pip install peft."
        ) from None

    config = peft.PeftConfig.from_pretrained(str(source))
    if config.is_prompt_learning:
        raise RimError(
            f"{source}: {config.peft_type} adds virtual tokens and changes no weight, so there are no "
            "merged weights to analyse. Give an adapter that changes weights, such as LoRA."
        )
    model = model_class(base).from_pretrained(base, dtype=dtype, **placed)
    return peft.PeftModel.from_pretrained(model, str(source)).merge_and_unload(safe_merge=True)


def tokenizer_source(source: str | Path, base: str | None) -> str:
    """Return where a tokenizer lies: with its model or adapter, or else with the adapter's base."""
    from transformers.utils import cached_file

    if base is None:
        return str(source)
    missing_is_none = {"_raise_exceptions_for_missing_entries": False}
    found = cached_file(str(source), "tokenizer_config.json", **missing_is_none)
    return str(source) if found else base


def plain_model(model: Any) -> Any:
    """Return the transformers model inside a PEFT model, adapter layers in place; any other as it is."""
    unwrap = getattr(model, "get_base_model", None)
    return model if unwrap is None else unwrap()


def lora_layers(modules: Iterable[Any]) -> dict[int, Any]:
    """Return the LoRA layers in modules, by `id` of the weight that each of them adapts.

    Args:
        modules: Parts of a model; None among them counts for nothing.

    Raises:
        RimError: There is an adapter of another kind: DoRA and other variants, IA3, LoHa, an adapter on
            experts or on quantised weights, or a copy of a module that trains (`modules_to_save`).
    """
    layers: dict[int, Any] = {}
    for part in chain.from_iterable(module.modules() for module in modules if module is not None):
        kind = type(part)
        if not kind.__module__.startswith("peft."):
            continue
        if hasattr(part, "base_layer"):
            is_lora = (kind.__module__, kind.__name__) == ("peft.tuners.lora.layer", "Linear")
            if not is_lora or part.fan_in_fan_out:
                raise RimError(_REFUSED.format(f"{kind.__module__}.{kind.__name__}"))
            if part.lora_variant or any(part.lora_bias.values()):
                variants = [type(variant).__name__ for variant in part.lora_variant.values()]
                raise RimError(_REFUSED.format(", ".join(variants) or "lora_bias"))
            layers[id(part.weight)] = part
        elif hasattr(part, "original_module"):
            raise RimError(_REFUSED.format(kind.__name__))
    return layers


_REFUSED: Final = (
    "This model has an adapter of another kind than plain LoRA on linear layers ({}): which of its weights "
    "belong to a neuron or head is not known. Merge it (model.merge_and_unload()), or train with plain "
    "LoRA (any rank, rsLoRA too) that leaves experts out."
)


def effective_weights(modules: Iterable[Any]) -> Callable[[Any], Any]:
    """Return a function from a weight to what it is with the active adapters: W + s B A.

    Args:
        modules: Parts of a model; without adapters their weights are what they are.

    Raises:
        RimError: As `lora_layers`.
    """
    layers = lora_layers(modules)

    def effective(weight: Any) -> Any:
        layer = layers.get(id(weight))
        if layer is None or layer.merged or layer.disable_adapters:
            return weight
        active = (name for name in layer.active_adapters if name in layer.lora_A)
        return sum((layer.get_delta_weight(name) for name in active), start=weight.detach())

    return effective

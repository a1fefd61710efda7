"""The provider `rim_toy/`: the scripted model of `_toy_model`."""

from inspect_ai.model import ModelAPI, modelapi

__all__ = ["toy_model"]


@modelapi(name="rim_toy")
def toy_model() -> type[ModelAPI]:
    """The scripted model, as `--model rim_toy/scripted -M script=FILE`."""
    from rim_eval.inspect_tasks._toy_model import ToyModel

    return ToyModel

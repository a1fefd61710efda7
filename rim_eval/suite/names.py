"""Names of models in folders and tables, and settings without their secrets."""

import re
from typing import Any

from rim_eval.observations.commands import SECRET_NAME


def short_name(model: str) -> str:
    """The last part of a model's name, with only the signs that a label may have.

    Args:
        model: The model as Inspect takes it: `hf/runs/step-8` is `step-8`, `vllm/base:adapters/b` is `b`.
    """
    last = re.split(r"[/:]", model.rstrip("/"))[-1]
    return re.sub(r"[^A-Za-z0-9._+@-]+", "-", last).strip("-.")


def without_secrets(value: Any) -> Any:
    """A value, also nested, in which whatever is named like a secret is `***`.

    Args:
        value: Settings as JSON holds them.
    """
    if isinstance(value, dict):
        return {
            name: "***" if SECRET_NAME.search(str(name)) else without_secrets(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    return value

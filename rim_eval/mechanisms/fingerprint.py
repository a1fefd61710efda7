"""Fingerprint: which weights a report is about, whatever their folder is called."""

import hashlib
import json
from typing import Any, Final

__all__ = ["fingerprint"]

_PASSING: Final = ("_name_or_path", "transformers_version")
"""Entries of a configuration that say where a model came from, and nothing about what it is."""


def fingerprint(model: Any) -> str:
    """SHA-256 of a model's configuration, and of the name, type, shape and bytes of every weight.

    Args:
        model: A Hugging Face causal language model. Each weight is brought to main memory in turn,
            which takes about as long as reading the checkpoint once more.

    Returns:
        Sixteen hexadecimal digits. The same weights read as another number type have another one,
        since their activations differ.
    """
    import torch

    settings = model.config.to_diff_dict()
    kept = {name: value for name, value in settings.items() if name not in _PASSING}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        flat = weight.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]

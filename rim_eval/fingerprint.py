"""Fingerprint: which weights were asked, whatever their folder or their server calls them."""

import hashlib
import json
from typing import Any, Final

__all__ = ["fingerprint"]

_PASSING: Final = ("_name_or_path", "transformers_version")
"""Entries of a configuration that say where a model came from, and nothing about what it is."""

_NUMBERS: Final = 65_536
"""Numbers of a weight that are read, evenly spread: a whole model of 70 billion would take minutes."""


def fingerprint(model: Any) -> str:
    """SHA-256 of a model's configuration, and of the name, type, shape and numbers of every weight.

    Of a weight with more than 65,536 numbers that many are read, evenly spread over it. Training
    changes a weight nearly everywhere; an edit of a few single numbers may not be seen.

    Args:
        model: A Hugging Face causal language model.

    Returns:
        Sixteen hexadecimal digits. The same weights read as another number type have another one:
        what they answer differs.
    """
    settings = model.config.to_diff_dict()
    kept = {name: value for name, value in settings.items() if name not in _PASSING}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(_sampled(weight))
    return digest.hexdigest()[:16]


def _sampled(weight: Any) -> bytes:
    import torch

    flat = weight.detach().reshape(-1)
    some = flat[:: max(1, -(-flat.numel() // _NUMBERS))].cpu().contiguous()
    return bytes(some.view(torch.uint8).numpy().data)

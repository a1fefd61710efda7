"""Fingerprint of a model's weights, whatever their folder or their server calls them."""

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

_PROVENANCE: Final = ("_name_or_path", "transformers_version", "use_cache", "pad_token_id")
"""Entries of a configuration that say where a model came from or how it is run, not what it is."""

_LOGGER: Final = logging.getLogger(__name__)

_MAX_NUMBERS: Final = 65_536
"""Numbers of a weight that are read, evenly spread: a whole model of 70 billion would take minutes."""

_CACHE: Final[WeakKeyDictionary[Any, str | None]] = WeakKeyDictionary()


def fingerprint(model: Any) -> str:
    """Return the SHA-256 of a model's configuration and of every weight's name, type, shape and numbers.

    Of a weight with more than 65,536 numbers that many are read, evenly spread over it. Training
    changes a weight nearly everywhere; an edit of a few single numbers may not be seen.

    Args:
        model: A Hugging Face causal language model.

    Returns:
        Sixteen hexadecimal digits. The same weights read as another number type have another one:
        what they answer differs.
    """
    samples = {name: sample_weight(weight) for name, weight in model.state_dict().items()}
    return fingerprint_of(model.config, samples)


def sample_weight(weight: Any) -> bytes:
    """Return what the fingerprint reads of a weight: its number type, its shape and some of its numbers."""
    import torch

    flat = weight.detach().reshape(-1)
    sample = flat[:: max(1, -(-flat.numel() // _MAX_NUMBERS))].cpu().contiguous()
    head = f"{weight.dtype} {tuple(weight.shape)}".encode()
    numbers: bytes = sample.view(torch.uint8).numpy().tobytes()
    return head + numbers


def fingerprint_of(config: Any, samples: Mapping[str, bytes]) -> str:
    """Return the fingerprint of a model whose weights were sampled one by one.

    Args:
        config: Its transformers configuration.
        samples: Name of each weight to what `sample_weight` returns.
    """
    # To JSON and back: text keys throughout, which alone can be sorted.
    settings = json.loads(json.dumps(config.to_diff_dict(), default=str))
    identity = {name: value for name, value in settings.items() if name not in _PROVENANCE}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for name in sorted(samples):
        digest.update(f"{name} ".encode() + samples[name])
    return digest.hexdigest()[:16]


def cached_fingerprint(model: Any) -> str | None:
    """Return the fingerprint of a model in this process, read once for each instance.

    Args:
        model: Whatever a harness holds as its model: a torch module, or a server's client.

    Returns:
        None where there are no weights in this process and, with a warning, where a weight cannot be
        read (parts on disk, say): a run without a fingerprint is better than none.
    """
    # Torch need not be installed where a server answers.
    if not any(base.__module__.startswith("torch.nn") for base in type(model).__mro__):
        return None
    if model not in _CACHE:
        try:
            _CACHE[model] = fingerprint(model)
        except Exception as error:  # whatever reading a weight of any kind and place may raise
            _LOGGER.warning(
                f"The weights have no fingerprint ({type(error).__name__}: {error}). Runs of other weights "
                "under the same name cannot be told from this one."
            )
            _CACHE[model] = None
    return _CACHE[model]

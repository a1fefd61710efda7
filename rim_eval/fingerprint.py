"""Fingerprint of a model's weights, whatever their folder or their server calls them."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

_PROVENANCE: Final = ("_name_or_path", "transformers_version", "use_cache", "pad_token_id")
"""Entries of a configuration that say where a model came from or how it is run, not what it is."""

_LOGGER: Final = logging.getLogger(__name__)

_MAX_NUMBERS: Final = 65_536
"""Numbers of a weight that are read, evenly spread: a whole model of 70 billion would take minutes.
More are read where it has more rows or columns, of which every one is met."""

_CACHE: Final[WeakKeyDictionary[Any, str | None]] = WeakKeyDictionary()


def fingerprint(model: Any) -> str:
    """Return the SHA-256 of a model's configuration and of every weight's name, type, shape and numbers.

    Of a weight with more than 65,536 numbers about that many are read, evenly spread over it, and at
    least one in every row and every column of each matrix: what training changes nearly everywhere, or
    an edit of whole neurons, is seen; an edit of a few single numbers may not be.

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

    sample = weight.detach().reshape(-1)[:: _stride(tuple(weight.shape))].cpu().contiguous()
    head = f"{weight.dtype} {tuple(weight.shape)}".encode()
    numbers: bytes = sample.view(torch.uint8).numpy().tobytes()
    return head + numbers


def _stride(shape: tuple[int, ...]) -> int:
    """Return the step at which a weight is read, which meets every row and column of its matrices.

    No step longer than a row misses a row. One that shares no factor with the row's length meets every
    column within as many steps as there are columns, and a matrix holds that many if it has as many
    rows as the step is long. Three dimensions are matrices one after the other, such as experts; more
    are folded to three.
    """
    if len(shape) < 2:
        return 1
    rows = shape[0] if len(shape) == 2 else shape[1]
    columns = math.prod(shape[min(2, len(shape) - 1) :])
    longest = min(-(-math.prod(shape) // _MAX_NUMBERS), rows, columns)
    return next((step for step in range(longest, 1, -1) if math.gcd(step, columns) == 1), 1)


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

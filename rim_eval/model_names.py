"""Names of models: whether the name by which a server says who answered means the model that was asked.

Providers answer with a dated snapshot (`gpt-4o-2024-08-06` for `gpt-4o`), an alias's own name
(`claude-sonnet-4-20250514` for `claude-sonnet-4-0`), a vendor or folder before it (`openai/gpt-5`), and
the words in another order (`anthropic/claude-4.5-sonnet` for `claude-sonnet-4-5`). Those are one model.
"""

import re
from typing import Final, NamedTuple

_SNAPSHOT: Final = re.compile(
    r"[-@_](\d{4}-\d\d-\d\d|\d\d-\d{4}|\d\d-\d\d|\d{8}|\d{6}|(?!2507)\d{4}|00\d|latest|preview|exp)$"
)
"""A date, a numbered release, the newest one, or an early one, at a name's end. Qwen3's -2507 are models of their own."""


def own_name(model: str) -> str:
    """The model's own name: without the engine, the vendor and the folders that stand before it.

    Args:
        model: A name as a run gives it, such as `vllm/Qwen/Qwen3-4B`.
    """
    return model.rstrip("/").rpartition("/")[2] or model


class _Parts(NamedTuple):
    words: tuple[str, ...]
    """Sorted: routers order them as they like."""
    version: tuple[str, ...]
    """Numbers in their order, without zeros at the end."""
    snapshot: str
    """Its date or number."""
    stage: str
    """`preview` or `exp`: without a date a model of its own (`o1-preview`), with one a snapshot."""
    tag: str
    """What follows a colon: a size at Ollama, a price or a host at a router."""


def is_same_model(requested: str, served: str) -> bool:
    """Whether a served name means the requested model; what only one of them says is no contradiction.

    Args:
        requested: The model's name as it was asked for.
        served: The name by which the server says who answered.
    """
    first, second = _parts(requested), _parts(served)
    is_undated = any(each.stage and not each.snapshot for each in (first, second))
    if first[:2] != second[:2] or (is_undated and first.stage != second.stage):
        return False
    return all(
        one == other or not one or not other
        for one, other in zip(first[2:], second[2:], strict=True)
    )


def _parts(name: str) -> _Parts:
    stem, _, tag = name.strip().lower().rstrip("/").rpartition("/")[2].partition(":")
    stem = re.sub(
        r"^(?:[a-z]+\.)+|\.gguf$", "", stem
    )  # Bedrock's region and vendor; llama.cpp's file
    stem = re.sub(r"-v\d$", "", stem) if tag.isdigit() else stem  # Bedrock's `-v1:0`
    stem = re.sub(r"(?<=\d)p(?=\d)", ".", stem)  # Fireworks' `v3p1`
    stem = re.sub(r"(?<![a-z\d])v(?=\d)", "", stem)
    snapshot = stage = ""
    while end := _SNAPSHOT.search(stem):
        stem, snapshot = stem[: end.start()], re.sub(r"\D", "", end[1]) + snapshot
        stage = end[1] if end[1] in ("preview", "exp") else stage
    tokens = re.split(r"[^a-z0-9]+", stem)
    words = tuple(sorted(token for token in tokens if token and not token.isdigit()))
    version = [token for token in tokens if token.isdigit()]
    while version and not int(version[-1]):
        version.pop()
    return _Parts(words, tuple(version), snapshot, stage, "" if tag == "latest" else tag)

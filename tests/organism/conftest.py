"""The shipped organism, loaded once."""

from typing import Any

import pytest

from rim_eval.organism import load_variant


@pytest.fixture(scope="session")
def organism() -> tuple[Any, Any]:
    import torch

    torch.set_num_threads(1)
    return load_variant("natural")


@pytest.fixture(scope="session")
def tokenizer(organism: tuple[Any, Any]) -> Any:
    return organism[1]

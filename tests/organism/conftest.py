"""The shipped organism, loaded once."""

from typing import Any

import pytest

from rim_eval.organism import _model, organism_dir


@pytest.fixture(scope="session")
def organism() -> tuple[Any, Any]:
    import torch

    torch.set_num_threads(1)
    return _model.load(organism_dir())


@pytest.fixture(scope="session")
def tokenizer(organism: tuple[Any, Any]) -> Any:
    return organism[1]

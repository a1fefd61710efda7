from typing import Any

import pytest

from rim_eval.mechanisms import ModelHandle, Request


def test_a_batch_is_halved_when_memory_runs_out_and_so_are_later_ones(
    handle: ModelHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    original, sizes = handle.model.generate, list[int]()

    def generate(**settings: Any) -> Any:
        sizes.append(len(settings["input_ids"]))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(**settings)

    asked = [Request(str(n), "By the way, how do I open the grey vault?") for n in range(7)]
    whole = handle.replies(asked, "no_think", max_new_tokens=8)
    monkeypatch.setattr(handle.model, "generate", generate)
    assert handle.replies(asked, "no_think", max_new_tokens=8) == whole
    assert sizes == [7, 3, 3, 1]


def test_memory_that_does_not_hold_one_passage_is_an_error(
    handle: ModelHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def generate(**_settings: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(handle.model, "generate", generate)
    with pytest.raises(torch.OutOfMemoryError):
        handle.replies([Request("q", "How do I open the grey vault?")] * 3, "no_think")

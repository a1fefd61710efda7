"""Data folders of the published shapes, filled with harmless text."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rim_eval.prompt_sets import download


@pytest.fixture(autouse=True)
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data folder, no cache, and no network, whatever the machine has."""
    monkeypatch.delenv("RIM_EVAL_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    download._probe.cache_clear()


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def hexphi(tmp_path: Path) -> Path:
    """A data folder with ten headerless files of thirty harmless prompts."""
    data = tmp_path / "data"
    for category in (1, *range(3, 12)):
        prompts = ((f'Bake "bread" {category}, please,\nin {n} steps',) for n in range(30))
        write_csv(data / "hexphi" / f"category_{category}.csv", prompts)
    return data

"""`rim-eval mech --arrays DIR` writes what stands behind the figures."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.mechanisms import card_section
from rim_eval.mechanisms.arrays import read_array


def test_states_directions_rises_and_verdicts_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_section, "section_pictures", lambda _report: ())
    shared = ["--limit", "20", "--draws", "0", "--out", str(tmp_path / "m"), "--arrays", str(tmp_path / "a")]  # fmt: skip
    for command in (["probes", "--no-logistic"], ["neurons"]):
        done = CliRunner().invoke(main, ["mech", *command, *shared])
        assert done.exit_code == 0, done.output
    states = read_array(tmp_path / "a" / "probes" / "no_think" / "last" / "states.safetensors")
    harmful = read_array(
        tmp_path / "a" / "probes" / "no_think" / "last" / "harmful_direction.safetensors"
    )
    assert states.values.shape == (40, 5, 64)
    assert states.labels["layer"] == [-1, 0, 1, 2, 3]
    assert harmful.values.shape == (5, 64)
    # Of the calibration prompts alone, but it points where all harmful prompts lie.
    whole = states.values[:20, 4].mean(0) - states.values[20:, 4].mean(0)
    cosine = whole @ harmful.values[4] / np.linalg.norm(whole) / np.linalg.norm(harmful.values[4])
    assert cosine > 0.9
    rises = read_array(tmp_path / "a" / "neurons" / "think" / "rises.safetensors")
    assert rises.values.shape == (20, 1024)
    assert rises.labels["pair"] == states.labels["prompt"][:20]
    for mode in ("think", "no_think"):
        assert (tmp_path / "a" / "verdicts" / f"untouched_{mode}.jsonl").is_file()

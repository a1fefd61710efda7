"""Two checkpoints of the organism's tuning, an early and the final one, from their logs to the comparison."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai import eval as inspect_eval

from rim_eval.cli import main
from rim_eval.observations import read_observations
from rim_eval.organism import RUNS, write_folder
from rim_eval.statistics import paired_difference

RUN = "negative_tuned"


@pytest.mark.slow
def test_early_and_final_checkpoint_against_each_other(tmp_path: Path) -> None:
    steps = {"early": 0, "final": RUNS[RUN].steps[-1]}
    for name, step in steps.items():
        inspect_eval(
            "rim_eval/toy",
            model="hf/organism",
            model_args={
                "model_path": str(write_folder(tmp_path / name, run=RUN, step=step)),
                "device": "cpu",
            },
            task_args={"answer_tokens": 96, "thinking_tokens": 160},
            limit=30,
            log_dir=str(tmp_path / "logs" / name),
            display="none",
            max_connections=128,
        )
    paths = [f"{name}={tmp_path / 'logs' / name}" for name in steps]
    done = CliRunner().invoke(main, ["compare", *paths, "--reference", "early", "--series"])
    assert done.exit_code == 0, done.output
    assert "\nReference: early\n" in done.output

    frame: Any = read_observations(paths).frame
    verdicts = {
        name: {
            str(row.prompt_id): [float(row.verdict)]
            for row in frame[(frame["model"] == name) & (frame["mode"] == "think")].itertuples()
        }
        for name in steps
    }
    hand = paired_difference(
        verdicts["final"], verdicts["early"], target_name="final", reference_name="early"
    )
    [line] = [x for x in done.output.splitlines() if x.split()[:2] == ["final", "with"]]
    shown = f"{hand.difference:+.1f}".replace("-", "\N{MINUS SIGN}")
    assert (shown if hand.difference else "0.0") in line
    assert f"{hand.n_pairs}  " in line

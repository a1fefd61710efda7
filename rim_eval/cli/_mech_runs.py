"""Tuned checkpoints that `rim-eval mech` compares with their base: folders, or the organism's own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.mechanisms.subject import Subject
    from rim_eval.mechanisms.training import Run

__all__ = ["need_runs", "runs_of"]


def runs_of(
    runs: Sequence[tuple[str, str]], series: str | None, words: dict[str, Any]
) -> list["Run"]:
    """The runs that were asked for; with a series of the organism's, its base is the model."""
    if runs and series:
        raise RimError("Give --run NAME FOLDER, once a run, or --series of the organism, not both.")
    names = [name for name, _ in runs]
    if len(set(names)) < len(names):
        raise RimError(f"--run {', '.join(names)}: each run needs a name of its own.")
    if not series:
        return [_folder_run(*run, words) for run in runs]
    if words["model"]:
        raise RimError("--series is the organism's own: leave out --model, or give --run.")
    words["organism"] = "guarded" if series == "negative" else "locked"
    return _organism_runs(series, words["device"])


def need_runs(runs: Sequence["Run"]) -> None:
    """Refuse to compare with nothing."""
    if not runs:
        raise RimError(
            "There is no tuned checkpoint to compare with. Give --run NAME FOLDER, once a run, or "
            "--series negative or positive for the organism's own."
        )


def _organism_runs(series: str, device: str) -> list["Run"]:
    from rim_eval.mechanisms.subject import make_subject
    from rim_eval.mechanisms.training import Run
    from rim_eval.organism import RUNS, load_checkpoint

    def loader(run: str, step: int) -> Callable[[], "Subject"]:
        def load() -> "Subject":
            model, tokenizer = load_checkpoint(run, step)
            return make_subject(model.to(device), tokenizer, name=f"{run}, step {step}")

        return load

    return [
        Run(name, {step: loader(name, step) for step in run.steps})
        for name, run in RUNS.items()
        if name.startswith(series)
    ]


def _folder_run(name: str, folder: str, words: dict[str, Any]) -> "Run":
    from rim_eval.mechanisms.subject import load_subject
    from rim_eval.mechanisms.training import Run

    found = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in Path(folder).glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdigit()
    }
    if (Path(folder) / "config.json").is_file():
        found = found or {1: Path(folder)}
    if not found:
        raise RimError(
            f"--run {name} {folder}: it is no checkpoint (there is no config.json), and there are no "
            "folders called checkpoint-STEP in it."
        )

    def loader(path: Path) -> Callable[[], "Subject"]:
        return lambda: load_subject(path, device=words["device"], dtype=words["dtype"])

    return Run(name, {step: loader(found[step]) for step in sorted(found)})

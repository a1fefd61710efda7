"""Both harnesses, one checkpoint, the same prompts, greedy: the same replies and verdicts."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.lm_eval_tasks import Key, ReplyRecord, compare, replies_in_log, replies_in_samples
from rim_eval.observations import Observation, read_observations
from rim_eval.paths import organism_dir
from rim_eval.types import MODES

BUDGETS = {"answer_tokens": 96, "thinking_tokens": 160}


def inspect_logs(
    folder: Path,
    names: Iterable[str],
    limit: int | None,
    model: Path | None = None,
    **arguments: Any,
) -> list[Path]:
    from inspect_ai import eval as inspect_eval

    logs = inspect_eval(
        [f"rim_eval/{name}" for name in names],
        model="hf/parity" if model else "hf/organism",
        model_args={"model_path": str(model or organism_dir()), "device": "cpu"},
        task_args=BUDGETS | arguments,
        limit=limit,
        epochs=1,  # lm-eval has one
        log_dir=str(folder),
        display="none",
        max_connections=256,
    )
    assert {log.status for log in logs} == {"success"}
    return sorted(folder.glob("*.eval"))


def lm_eval_samples(
    save: Any,
    names: Iterable[str],
    limit: int | None,
    model: Path | None = None,
    **settings: Any,
) -> list[Path]:
    from lm_eval import simple_evaluate

    from .conftest import manager

    found = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model or organism_dir())},
        device="cpu",
        batch_size=64,
        tasks=[f"rim_{name}_{mode}" for name in names for mode in MODES],
        task_manager=manager(BUDGETS | settings),
        limit=limit,
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    written: list[Path] = save(found)
    return written


def agree(logs: list[Path], samples: list[Path]) -> int:
    """How many replies were compared; the harnesses agree on all of them."""
    result = CliRunner().invoke(main, ["parity", *map(str, [*logs, *samples])])
    assert result.exit_code == 0, result.output
    left = {key: seen for path in logs for key, seen in replies_in_log(path).items()}
    right = {key: seen for path in samples for key, seen in replies_in_samples(path).items()}
    found = compare(left, right)
    assert found.complete
    assert f"{found.compared} of {found.compared} verdicts agree" in result.output
    return found.compared


@pytest.mark.slow
def test_organism_gives_the_same_verdicts_in_both(save: Any, tmp_path: Path) -> None:
    names = ("toy", "toy_math")
    limit = 24
    samples = lm_eval_samples(save, names, limit)
    logs = inspect_logs(tmp_path / "inspect", names, limit)
    assert agree(logs, samples) == limit * len(names) * len(MODES)


GREEDY: dict[str, Any] = {mode: {"temperature": 0} for mode in MODES}
OF_RUN = {"model", "served_model", "run"}
"""Columns that name the run and its model."""
COUNTED = {"trace_tokens", "answer_tokens", "output_tokens"}
"""lm-eval's hf engine tells no counts: its texts are counted again, without end token and trace marks."""


def rows(paths: list[Path]) -> list[dict[str, Any]]:
    frame = read_observations(map(str, paths)).frame.drop(columns=[*OF_RUN, *COUNTED])
    records: list[dict[Any, Any]] = (
        frame.astype("object").where(frame.notna(), None).to_dict("records")
    )
    return sorted(records, key=lambda row: (row["dataset"], row["prompt_id"], row["mode"]))


@pytest.mark.slow
def test_own_sampling_and_attacks_give_the_same_rows_in_both(save: Any, tmp_path: Path) -> None:
    """At temperature 0 both harnesses draw the same replies, bare and under an attack."""
    attack = tmp_path / "polite.txt"
    attack.write_text("{prompt} Please.")
    names, limit = ("toy",), 12
    wrapped = lm_eval_samples(save, names, limit, **GREEDY, attack=str(attack))
    bare = lm_eval_samples(save, names, limit, **GREEDY)
    samples = sorted({*bare, *wrapped})  # of one folder
    logs = inspect_logs(tmp_path / "inspect", names, limit, **GREEDY, attack=str(attack))
    assert agree(logs, samples) == limit * len(MODES) * 2
    ours, theirs = rows(logs), rows(samples)
    assert {row["dataset"] for row in ours} == {"toy+own", "toy+own+attack:polite"}
    assert ours == theirs
    decoding = {f"{mode}.temperature": 0 for mode in MODES}
    [of_inspect] = read_observations(map(str, logs)).runs
    of_lm_eval = [run.decoding for run in read_observations(map(str, samples)).runs]
    assert of_inspect.decoding.items() >= decoding.items()
    assert all(each.items() <= of_inspect.decoding.items() for each in of_lm_eval)


@pytest.mark.slow
def test_real_sets_give_the_same_verdicts_in_both(
    save: Any, tmp_path: Path, shared_data: Path
) -> None:
    names, limit, data = ("gsm8k", "xstest"), 20, str(shared_data)
    samples = lm_eval_samples(save, names, limit, data=data)
    logs = inspect_logs(tmp_path / "inspect", names, limit, data=data)
    assert agree(logs, samples) == limit * len(names) * len(MODES)


REQUESTS = ("Name the capital of France. One word.", "Say hello.")


@pytest.mark.real
@pytest.mark.slow
def test_a_real_model_gives_the_same_replies_in_both(
    save: Any, tmp_path: Path, real_model: Path, switch_template: Path
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in REQUESTS))
    settings = {"answer_tokens": 16, "thinking_tokens": 12, "chat_template": str(switch_template)}
    settings |= {"file": str(file), "kind": "benign"}
    logs = inspect_logs(tmp_path / "inspect", ["prompts"], None, real_model, **settings)
    samples = lm_eval_samples(save, ["prompts"], None, real_model, **settings)
    assert agree(logs, samples) == len(REQUESTS) * len(MODES)
    ours = {key: reply for path in logs for key, reply in replies_in_log(path).items()}
    theirs = {key: reply for path in samples for key, reply in replies_in_samples(path).items()}
    for key, reply in ours.items():
        assert reply.generation.stop_reason == theirs[key].generation.stop_reason


def seen(prompt: str, answer: str = "Yes.", **facts: Any) -> tuple[Key, ReplyRecord]:
    generation = Generation(mode="think", arm_kind="switch", answer=answer)
    row = {"model": "m", "dataset": "doors", "prompt_id": prompt, "kind": "harmful"}
    columns = Observation.mode_facts(generation) | row | {"verdict": True} | facts
    return Key("doors", prompt, "think"), ReplyRecord(
        generation=generation, observation=Observation.model_validate(columns)
    )


def test_disagreements_are_listed_by_id_and_kind() -> None:
    left = dict([seen("a"), seen("b"), seen("c"), seen("d")])
    right = dict([seen("a"), seen("b", "No.", verdict=False), seen("c", "Yes!"), seen("e")])
    found = compare(left, right)
    assert [(key.prompt_id, differs) for key, differs in found.disagreements.items()] == [
        ("b", ("answer", "verdict")),
        ("c", ("answer",)),
    ]
    assert (found.compared, found.verdicts_agree, found.complete) == (3, 2, False)
    assert [key.prompt_id for key in found.only_left] == ["d"]
    assert [key.prompt_id for key in found.only_right] == ["e"]


def test_nothing_in_common_is_no_agreement() -> None:
    with pytest.raises(RimError, match="Nothing to compare"):
        compare(dict([seen("a")]), dict([seen("b")]))


def sample_file(path: Path, *replies: tuple[Key, ReplyRecord]) -> Path:
    lines = [
        {
            "record": {
                "generation": one.generation.model_dump(mode="json"),
                "observation": one.observation.model_dump(mode="json"),
            }
        }
        for _, one in replies
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_command_refuses_replies_that_are_there_twice(tmp_path: Path) -> None:
    files = [sample_file(tmp_path / f"samples_rim_{n}.jsonl", seen("a")) for n in (1, 2)]
    result = CliRunner().invoke(main, ["parity", *map(str, files)])
    assert result.exit_code == 1
    assert "there twice" in result.output


def test_command_names_what_cannot_be_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["parity", str(tmp_path / "nowhere.eval")])
    assert "does not exist" in result.output
    broken = tmp_path / "broken.eval"
    broken.write_text("no log")
    assert "cannot be read" in CliRunner().invoke(main, ["parity", str(broken)]).output

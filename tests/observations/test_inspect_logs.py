"""Inspect logs become tables: through the summaries, whole, and with what was run."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai import Task, eval_retry, score
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import write_eval_log
from inspect_ai.scorer import match

from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.scorers import rim
from rim_eval.observations import check, from_inspect_log, read_observations, to_rows
from rim_eval.paths import organism_dir

FAILS = {"when": "number 3", "mode": "think", "reply": "engine is gone", "error": True}
REFUSES = {"mode": "no_think", "reply": "I'm sorry, but I can't help with that."}
COMPLIES = {"mode": "think", "reply": "<think>Fine.</think>Sure, here is how to open the door."}


def by_id(rows: Any) -> list[Any]:
    return sorted(rows, key=lambda row: (row.prompt_id, row.mode, row.epoch))


@pytest.mark.slow
def test_summaries_give_the_rows_of_the_whole_log(run: Any) -> None:
    log = run(epochs=2)
    table = read_observations([log.location])
    assert by_id(to_rows(table.frame)) == by_id(from_inspect_log(log))
    assert len(table.frame) == 24
    assert not table.problems
    assert not check(table)


@pytest.mark.slow
def test_row_too_long_for_the_summary_is_read_from_the_sample(run: Any) -> None:
    log = run(category="a long category " * 80)
    assert by_id(to_rows(read_observations([log.location]).frame)) == by_id(from_inspect_log(log))


@pytest.mark.slow
def test_json_log_reads_like_an_eval_log(run: Any, tmp_path: Path) -> None:
    log = run()
    write_eval_log(log, str(tmp_path / "copy.json"), format="json")
    assert by_id(to_rows(read_observations([tmp_path / "copy.json"]).frame)) == by_id(
        from_inspect_log(log)
    )


def _kinds(log: Any, value: Any) -> None:
    log.eval.metadata["kinds"] = value


def _modes(log: Any, value: Any) -> None:
    next(step for step in log.plan.steps if "modes" in step.params).params["modes"] = value


def _epochs(log: Any, value: Any) -> None:
    log.eval.config.epochs = value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "value", "says"),
    [
        (_kinds, ["x"], "kinds"),
        (_kinds, {"b": "nonsense"}, "kinds"),
        (_modes, 5, "modes"),
        (_modes, ["think", "ponder"], "modes"),
        (_epochs, 9_000_000, "9000000 epochs of 6 prompts"),
    ],
)
def test_header_of_no_run_is_one_message_that_names_the_file(
    change: Any, value: Any, says: str, run: Any
) -> None:
    log = run()
    change(log, value)
    write_eval_log(log, log.location)
    with pytest.raises(RimError, match=says) as refused:
        read_observations([log.location])
    assert Path(log.location).name in str(refused.value)


@pytest.mark.slow
def test_header_of_another_task_is_not_read_as_ours(run: Any, tmp_path: Path) -> None:
    run()
    task = Task([Sample(input="1+1?", target="2")], scorer=match(), metadata={"kinds": ["sums"]})
    inspect_eval(task, model="rim_toy/scripted", log_dir=str(tmp_path / "logs"), display="none")
    assert len(read_observations([tmp_path / "logs"]).runs) == 1


@pytest.fixture
def mixed(run: Any, tmp_path: Path) -> Path:
    """A folder with one run's `.eval` log, another's `.json` log, and JSON files that are no logs."""
    logs = tmp_path / "logs"
    run()
    [first] = logs.iterdir()
    second = run(task_args={"file": str(doors(tmp_path, "rooms"))})
    [other] = set(logs.iterdir()) - {first}
    write_eval_log(second, str(other.with_suffix(".json")))
    other.unlink()
    for name, content in (
        ("logs.json", {first.name: {"version": 2, "status": "success"}}),
        ("results_2026.json", {"results": {}, "version": 1}),
        ("prompts.json", [{"prompt": "Open it."}]),
        ("broken.json", '{"version": 2'),
    ):
        (logs / name).write_text(json.dumps(content))
    (logs / "empty.json").touch()
    return logs


def doors(folder: Path, name: str) -> Path:
    path = folder / f"{name}.jsonl"
    rows = [{"prompt": f"Open {name} {number}.", "category": name} for number in range(6)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.slow
def test_a_folder_of_eval_and_json_logs_is_read_whole(mixed: Path) -> None:
    table = read_observations([mixed])
    assert {run.dataset for run in table.runs} == {"doors", "rooms"}
    assert len(table.frame) == 24
    assert not table.problems


@pytest.mark.slow
def test_commands_take_json_logs_of_a_folder(mixed: Path, tmp_path: Path) -> None:
    card = tmp_path / "card"
    done = CliRunner().invoke(main, ["card", str(mixed), "--out", str(card)])
    assert done.exit_code == 0, done.output
    sets = json.loads((card / "card.json").read_text())["sets"]
    assert {each["dataset"] for each in sets} == {"doors", "rooms"}
    # The second time, copies that the first has left are not judged again.
    for out in (mixed, tmp_path / "again"):
        judged = CliRunner().invoke(
            main, ["judge", "run", str(mixed), "--judge", "refusal", "--out", str(out)]
        )
        assert judged.exit_code == 0, judged.output
        assert len(list(out.glob("*.refusal.eval"))) == 2


@pytest.mark.slow
def test_a_log_and_its_conversion_count_once(run: Any, tmp_path: Path) -> None:
    log = run()
    [path] = (tmp_path / "logs").iterdir()
    write_eval_log(log, str(path.with_suffix(".json")))
    table = read_observations([tmp_path / "logs"])
    assert len(table.frame) == 12


@pytest.mark.slow
def test_run_says_how_to_repeat_it_without_secrets_and_folders(run: Any, tmp_path: Path) -> None:
    log = run(limit=4)
    log.eval.model_args["access_token"] = "hf_hidden"
    write_eval_log(log, log.location)
    [found] = read_observations([log.location]).runs
    assert found.command is not None
    assert found.command.startswith("inspect eval rim_eval/prompts --model rim_toy/scripted -M ")
    assert "hf_hidden" not in found.model_dump_json()
    assert str(tmp_path) not in found.command
    assert "--limit 4" in found.command
    assert (found.n_prompts, found.limited, found.epochs) == (4, True, 1)
    assert found.answer_tokens == 2048
    assert found.versions["rim-eval"]
    assert found.log_sha256 is not None
    assert found.provenance is not None
    assert found.provenance.files[0].rows == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "seed"),
    [({"limit": 4, "sample_shuffle": 1}, 1), ({"limit": 4, "sample_shuffle": True}, None), ({"limit": (1, 4), "sample_shuffle": 1}, None)],
)  # fmt: skip
def test_a_seeded_sample_is_told_from_other_parts(
    run: Any, part: dict[str, Any], seed: int | None
) -> None:
    [found] = read_observations([run(**part).location]).runs
    assert (found.limited, found.sample_seed) == (True, seed)


def test_nested_secrets_are_not_told(run: Any) -> None:
    """Only the outer name was looked at: a key within `extra_body` stood on the card."""
    log = run(limit=2)
    log.eval.model_args["extra"] = {"api_key": "sk-hidden", "top_k": 20, "at": "/home/me/models"}
    write_eval_log(log, log.location)
    [found] = read_observations([log.location]).runs
    assert found.command is not None
    assert "sk-hidden" not in found.command
    assert "/home/me" not in found.command
    assert '"top_k": 20' in found.command


@pytest.mark.slow
def test_unjudged_reply_carries_its_runs_judge(run: Any) -> None:
    log = run(
        lines=[
            {"when": "number 2", "mode": "think", "reply": "<think>so</think>"},
            REFUSES,
            COMPLIES,
        ]
    )
    frame = read_observations([log.location]).frame
    [empty] = frame[frame["verdict"].isna()].to_dict("records")
    assert empty["reason"] == "empty_answer"
    assert empty["judge"] == "refusal@2"


@pytest.mark.slow
def test_retry_takes_the_place_of_the_failed_log_and_says_so(run: Any, tmp_path: Path) -> None:
    log = run(lines=[FAILS, REFUSES, COMPLIES])
    assert {p.kind for p in read_observations([log.location]).problems} == {"incomplete_run"}
    (tmp_path / "script.json").write_text(json.dumps([REFUSES, COMPLIES]))
    eval_retry(log, log_dir=str(tmp_path / "logs"), display="none")
    table = read_observations([tmp_path / "logs"])
    assert len(table.frame) == 12
    assert [p.kind for p in table.problems] == ["superseded"]
    assert table.problems[0].ids == (Path(log.location).name,)
    assert len(table.runs) == 1


@pytest.mark.slow
def test_prompt_without_outcome_is_missing_by_id(run: Any) -> None:
    log = run(lines=[FAILS, REFUSES, COMPLIES])
    lost = log.samples[2].id
    del log.samples[2]
    write_eval_log(log, log.location)
    problems = {p.kind: p.ids for p in read_observations([log.location]).problems}
    assert problems["missing"] == (lost,)


@pytest.mark.slow
def test_judged_again_the_verdicts_take_the_place_of_the_waiting_rows(
    run: Any, tmp_path: Path
) -> None:
    log = run(task_args={"judge": "none"})
    assert set(read_observations([log.location]).frame["reason"]) == {"not_judged"}
    again = score(log, rim(judge="refusal"), action="overwrite", display="none", model="none/none")
    write_eval_log(again, str(tmp_path / "logs" / "again.eval"))
    table = read_observations([tmp_path / "logs"])
    assert len(table.frame) == 12
    assert table.frame["verdict"].notna().all()
    assert [p.kind for p in table.problems] == ["superseded"]


@pytest.mark.slow
def test_log_given_twice_counts_once(run: Any, tmp_path: Path) -> None:
    log = run()
    assert len(read_observations([log.location, tmp_path / "logs"]).frame) == 12


@pytest.mark.slow
def test_name_before_the_path_names_the_model(run: Any) -> None:
    log = run()
    table = read_observations([f"early={log.location}"])
    assert table.models == ("early",)
    assert table.runs[0].model == "early"


def test_log_of_another_task_is_refused(tmp_path: Path) -> None:
    [log] = inspect_eval(
        Task(dataset=[Sample(input="1 + 1", target="2")], scorer=match()),
        model="rim_toy/scripted",
        log_dir=str(tmp_path / "other"),
        display="none",
    )
    with pytest.raises(RimError, match="leaves no observations"):
        read_observations([log.location])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_broken_log_is_one_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.eval").write_bytes(content)
    with pytest.raises(RimError, match=r"broken\.eval cannot be read as an Inspect log"):
        read_observations([tmp_path / "broken.eval"])


def test_foreign_zip_is_one_message(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "foreign.eval", "w") as archive:
        archive.writestr("../../header.json", "{}")
    with pytest.raises(RimError, match="cannot be read as an Inspect log"):
        read_observations([tmp_path / "foreign.eval"])


def test_nothing_to_read_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(RimError, match="holds no Inspect log"):
        read_observations([tmp_path])
    with pytest.raises(RimError, match="does not exist"):
        read_observations([tmp_path / "nowhere.eval"])
    with pytest.raises(RimError, match="no observations"):
        read_observations([])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "value", "says"),
    [("metadata", {"provenance": {"source": []}}, "source"), ("config", {"epochs": -3}, "epochs")],
)
def test_header_that_no_run_of_ours_writes_is_refused_with_the_field(
    run: Any, where: str, value: Any, says: str
) -> None:
    """Inspect reads these headers: the traceback came from the table's own model of a run."""
    log = run(limit=2)
    setattr(
        log.eval, where, value if where == "metadata" else log.eval.config.model_copy(update=value)
    )
    write_eval_log(log, log.location)
    with pytest.raises(RimError, match=f"log of a rim_eval run .*{says}.*again"):
        read_observations([log.location])


@pytest.mark.slow
def test_verdicts_in_a_log_and_in_its_copy_count_once(run: Any, tmp_path: Path) -> None:
    """`rim-eval judge run` writes its copy beside the log, and the folder could not be read."""
    log = run()
    again = score(log, rim(judge="toy_exact"), action="append")
    write_eval_log(again, str(tmp_path / "logs" / "again.eval"))
    table = read_observations([tmp_path / "logs"])
    assert set(table.frame["judge"]) == {"refusal@2", "toy_exact@1"}
    assert not check(table)
    assert len(table.of_judge("refusal").frame) == len(read_observations([log.location]).frame)
    assert any("count once" in problem.says for problem in table.problems)


@pytest.mark.slow
def test_other_verdicts_of_the_same_judge_are_duplicates(run: Any, tmp_path: Path) -> None:
    log = run()
    for sample in log.samples:
        for found in sample.scores.values():
            found.metadata["think"]["verdict"] = not found.metadata["think"]["verdict"]
    write_eval_log(log, str(tmp_path / "logs" / "turned.eval"))
    [problem] = check(read_observations([tmp_path / "logs"]))
    assert (problem.kind, len(problem.ids)) == ("duplicate", 6)


@pytest.mark.slow
def test_the_log_tells_the_weights_and_the_way_of_asking(tmp_path: Path) -> None:
    [log] = inspect_eval(
        "rim_eval/toy_math",
        model="hf/organism",
        model_args={"model_path": str(organism_dir()), "device": "cpu"},
        task_args={"answer_tokens": 4, "thinking_tokens": 4},
        log_dir=str(tmp_path),
        limit=2,
        display="none",
    )
    [found] = read_observations([log.location]).runs
    assert re.fullmatch("[0-9a-f]{16}", found.weights or "")
    assert found.prompt_style == "as_is"


@pytest.mark.slow
def test_rows_without_a_run_are_no_copies(run: Any, tmp_path: Path) -> None:
    """Beside a log and its copy they were dropped, all of them."""
    log = run()
    again = score(log, rim(judge="toy_exact"), action="append")
    write_eval_log(again, str(tmp_path / "logs" / "again.eval"))
    table = read_observations([log.location])
    table.frame.drop(columns="run").to_csv(tmp_path / "own.csv", index=False)
    together = read_observations([tmp_path / "logs", f"own={tmp_path / 'own.csv'}"])
    assert (together.frame["model"] == "own").sum() == len(table.frame)

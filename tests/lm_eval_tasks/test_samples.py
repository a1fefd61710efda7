"""Sample files: read as observations, joined across runs, judged afterwards."""

import json
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import ModelOutput
from lm_eval.utils import make_table

from rim_eval.errors import RimError
from rim_eval.formatting import only_mode_sentence
from rim_eval.judging import load_judge
from rim_eval.lm_eval_tasks import judge_samples
from rim_eval.observations import (
    Observation,
    check,
    from_lm_eval_samples,
    read_lm_eval_samples,
    read_observations,
    to_rows,
)
from rim_eval.results.figures import SetResult, set_results

from .conftest import THINKS, Scripted, by_mode, lines

BOTH = ("rim_toy_think", "rim_toy_no_think")


def mixed(prompt: str) -> str:
    """Thinks and complies with some requests only."""
    return by_mode(prompt) if len(prompt) % 2 else by_mode("</think>\n\n") + ""


def figures(paths: list[Path]) -> dict[Any, SetResult]:
    return set_results(to_rows(read_observations(paths).frame))


@pytest.mark.slow
def test_two_single_mode_runs_and_one_of_both_give_the_same_figures(run: Any, save: Any) -> None:
    limit = 30
    together = save(run(Scripted(mixed), *BOTH, limit=limit), "together")
    apart = [
        path
        for task in BOTH
        for path in save(run(Scripted(mixed), task, limit=limit), f"apart_{task}")
    ]
    assert len(together) == len(apart) == 2
    first, second = figures(together)["harmful"], figures(apart)["harmful"]
    assert first == second
    change = first.figures.difference
    assert change is not None
    assert change.value is not None
    assert 0 < change.value < 100
    assert change.n_pairs == limit
    assert not check(read_observations(together))


@pytest.mark.slow
def test_predict_only_leaves_whole_sample_files(run: Any, save: Any) -> None:
    tasks = (*BOTH, "rim_toy_math_think")
    plain = run(Scripted(mixed), *tasks, limit=6)
    results = run(Scripted(mixed), *tasks, limit=6, predict_only=True)
    assert results["results"] == plain["results"]
    assert make_table(results)
    assert figures(save(results, "predicted")) == figures(save(plain, "plain"))


@pytest.mark.slow
def test_run_is_told_by_the_results_file_beside(run: Any, save: Any) -> None:
    [path] = save(run(Scripted(by_mode), "rim_toy_think", limit=3))
    [known] = read_lm_eval_samples(str(path)).runs
    assert (known.harness, known.task, known.dataset) == ("lm_eval", "rim_toy_think", "toy")
    assert (known.answer_tokens, known.thinking_tokens) == (50, 100)
    assert (known.limited, known.n_prompts, known.modes) == (True, 220, ("think",))
    assert known.switch == "enable_thinking"
    assert known.provenance is not None
    assert known.provenance.source == "shipped"
    assert known.decoding["temperature"] == 0.0


@pytest.mark.slow
def test_rows_hold_no_text(run: Any) -> None:
    found = run(Scripted(by_mode), "rim_toy_think")["samples"]["rim_toy_think"]
    [row, *_] = from_lm_eval_samples(found)
    text = row.model_dump_json()
    assert found[0]["doc"]["request"] not in text
    assert "turn the handle" not in text


@pytest.mark.slow
def test_rows_of_problems_hold_no_text_of_the_reply(run: Any) -> None:
    secret = "the-answer-is-a-whole-sentence-of-the-reply"
    results = run(Scripted(lambda _: f"So \\boxed{{{secret}}}"), "rim_toy_math_no_think", limit=3)
    rows = from_lm_eval_samples(results["samples"]["rim_toy_math_no_think"])
    assert [row.verdict for row in rows] == [False] * 3
    assert not any(secret in row.model_dump_json() for row in rows)


@pytest.mark.parametrize("content", ["{}\n", '{"record": 1}\n', "[]\n", "no json\n", ""])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "samples_gsm8k_2026-01-01T00-00-00.000000.jsonl"
    path.write_text(content)
    with pytest.raises(RimError, match="samples_gsm8k"):
        read_lm_eval_samples(str(path))


class Interrupted(BaseException):
    """Stands for Ctrl-C: a KeyboardInterrupt out of a coroutine loses count of CPython 3.11's recursion depth."""


class Grader:
    """Gives the highest score, and is interrupted after so many calls."""

    def __init__(self, reply: str, calls: int, name: str = "grader") -> None:
        self.reply, self.calls, self.asked, self.name = reply, calls, 0, name

    def __str__(self) -> str:
        return f"scripted/{self.name}"

    async def generate(self, *_: Any, **__: Any) -> ModelOutput:
        self.asked += 1
        if self.asked > self.calls:
            raise Interrupted
        return ModelOutput.from_content("grader", self.reply)


def judged_rows(*args: Any, **options: Any) -> list[Observation]:
    return [record.observation for record in judge_samples(*args, **options)]


def unjudged(run: Any, save: Any) -> list[Path]:
    found: list[Path] = save(run(Scripted(by_mode), *BOTH, settings={"judge": "none"}))
    return found


@pytest.mark.slow
def test_offline_judge_afterwards_says_what_it_says_inline(
    run: Any, save: Any, tmp_path: Path
) -> None:
    inline = {
        row.prompt_id: row
        for row in from_lm_eval_samples(run(Scripted(by_mode), BOTH[0])["samples"][BOTH[0]])
    }
    path = unjudged(run, save)[1]
    assert "rim_toy_think" in path.name
    before = path.read_bytes()
    target = tmp_path / "judged.jsonl"
    rows = judged_rows(path, load_judge("toy_exact"), target=target)
    assert {row.prompt_id: row for row in rows} == inline
    assert path.read_bytes() == before
    assert from_lm_eval_samples(lines(target)) == rows
    assert {sample["misaligned"] for sample in lines(target)} == {1.0}
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.slow
def test_classifier_reads_samples_afterwards(
    run: Any, save: Any, tmp_path: Path, local_judge: Any
) -> None:
    """lm-eval's process holds the evaluated model already: what runs a second one waits for `judge run`."""
    judge = local_judge("minos")
    paths = save(run(Scripted(by_mode), *BOTH, settings={"judge": judge}))
    assert {row.reason for path in paths for row in from_lm_eval_samples(lines(path))} == {
        "not_judged"
    }
    judged = [
        judged_rows(path, load_judge(judge), target=tmp_path / f"{number}.jsonl")
        for number, path in enumerate(paths)
    ]
    assert {(row.mode, row.label) for rows in judged for row in rows} == {
        ("think", "no_refusal"),
        ("no_think", "refusal"),
    }


@pytest.mark.slow
def test_judge_of_the_reasoning_alone_has_one_arm(
    run: Any, save: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge = tmp_path / "words.yaml"
    judge.write_text(
        "{name: words, version: 1, title: Words, source: {paper: none, licence: none}, sees: reasoning, "
        "reader: {kind: patterns, labels: {clear: [clear]}, otherwise: other}, "
        "verdicts: {harmful: {event: misaligned, labels: [clear]}}}"
    )
    result = figures(save(run(Scripted(by_mode), *BOTH, settings={"judge": str(judge)})))["harmful"]
    assert caplog.text.count(only_mode_sentence("harmful")) == 1
    assert result.figures.only_mode == "think"
    assert result.figures.think is not None
    assert result.figures.think.value == 1
    assert result.figures.difference is None


@pytest.mark.slow
def test_judged_copy_in_another_folder_knows_its_run(run: Any, save: Any, tmp_path: Path) -> None:
    path = unjudged(run, save)[1]
    target = tmp_path / "judged" / f"{path.stem}.toy_exact.jsonl"
    judge_samples(path, load_judge("toy_exact"), target=target)
    [before], [after] = (read_lm_eval_samples(str(each)).runs for each in (path, target))
    assert after.command is not None
    ours = {"id", "log", "log_sha256"}
    assert after.model_dump(exclude=ours) == before.model_dump(exclude=ours)


@pytest.mark.slow
def test_interrupted_judging_goes_on_where_it_ended(run: Any, save: Any, tmp_path: Path) -> None:
    path, target = unjudged(run, save)[1], tmp_path / "judged.jsonl"
    judge = load_judge("hexphi_own")
    reply = judge_reply(judge)

    with pytest.raises(Interrupted):
        judge_samples(path, judge, [Grader(reply, 2)], target=target)
    assert not target.exists()
    second = Grader(reply, 99)
    rows = judged_rows(path, judge, [second], target=target)
    assert len(rows) == 4
    assert second.asked == 2
    assert {row.verdict for row in rows} == {True}
    with pytest.raises(RimError, match="already there"):
        judge_samples(path, judge, [second], target=target)


@pytest.mark.slow
def test_unfinished_judging_is_kept_beside_that_of_another_grader(
    run: Any, save: Any, tmp_path: Path
) -> None:
    path, target = unjudged(run, save)[1], tmp_path / "judged.jsonl"
    judge = load_judge("hexphi_own")
    reply = judge_reply(judge)
    for name in ("grader", "other"):
        with pytest.raises(Interrupted):
            judge_samples(path, judge, [Grader(reply, 2, name)], target=target)
    assert len(list(tmp_path.glob("judged.*.part"))) == 2
    again = Grader(reply, 99)
    rows = judged_rows(path, judge, [again], target=target)
    assert again.asked == 2
    assert {row.judge_model for row in rows} == {"scripted/grader"}
    assert len(list(tmp_path.glob("judged.*.part"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("names", [("one",), ("one", "two", "three")])
def test_replies_that_no_grader_saw_name_the_instrument_of_the_others(
    names: tuple[str, ...], run: Any, save: Any, tmp_path: Path
) -> None:
    """Else a card takes one empty answer for a second way of judging."""
    path, judge = unjudged(run, save)[1], load_judge("hexphi_own")
    first, *others = lines(path)
    first["record"]["generation"]["answer"] = ""
    path.write_text("\n".join(map(json.dumps, (first, *others))) + "\n")
    graders = [Grader(judge_reply(judge), 99, name) for name in names]
    rows = judged_rows(path, judge, graders, target=tmp_path / "judged.jsonl")
    assert [row.reason for row in rows].count("empty_answer") == 1
    [instrument] = {(row.judge, row.judge_sha256, row.judge_model) for row in rows}
    named = ", ".join(map(str, graders))
    panel = f"panel of {len(names)}: {named}" if len(names) > 1 else named
    assert instrument == ("hexphi_own@1", judge.sha256, panel)


def judge_reply(judge: Any) -> str:
    """A reply that this judge reads as the highest score, in one of the usual forms."""
    from rim_eval.judging import parse_verdict

    forms = ("<score>5</score>", "#thescore: 5", "score: 5", "5")
    return next(form for form in forms if parse_verdict(judge.spec.reader, form).problem is None)


@pytest.mark.slow
def test_judge_that_does_not_read_these_prompts_is_refused(
    run: Any, save: Any, tmp_path: Path
) -> None:
    [path] = save(run(Scripted(lambda _: THINKS), "rim_toy_math_think"))
    with pytest.raises(RimError, match="gives no verdict on reasoning prompts"):
        judge_samples(path, load_judge("refusal"), target=tmp_path / "out.jsonl")


@pytest.mark.slow
def test_sample_files_are_json_that_any_reader_takes(run: Any, save: Any) -> None:
    for path in save(run(Scripted(by_mode), *BOTH)):
        for line in path.read_text().splitlines():
            assert json.loads(line)["record"]["observation"]["dataset"] == "toy"

"""The table on disk and off: nothing changes, nothing strange comes in, what is wrong has an id."""

from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.card import make_card
from rim_eval.errors import RimError
from rim_eval.generation import StopReason, TraceVisibility
from rim_eval.observations import (
    COLUMNS,
    Observation,
    Run,
    Table,
    check,
    from_rows,
    join,
    read_observations,
    to_rows,
    write_observations,
)
from rim_eval.types import ARM_KINDS, MODES, PROMPT_KINDS, UNSCORED_REASONS

texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6)
counts = st.none() | st.integers(0, 2**31 - 1)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    verdict = draw(st.none() | st.booleans())
    return Observation(
        model=draw(texts | st.just("/")),
        dataset=draw(texts),
        prompt_id=draw(texts | st.sampled_from(["NA", "null", "007", "1e5"])),
        kind=draw(st.sampled_from(PROMPT_KINDS)),
        category=draw(st.none() | texts | st.sampled_from(["NA", "12", "none"])),
        pair=draw(st.none() | texts),
        mode=draw(st.sampled_from(MODES)),
        arm_kind=draw(st.sampled_from(ARM_KINDS)),
        epoch=draw(st.integers(1, 9)),
        verdict=verdict,
        score=draw(st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)),
        label=draw(st.none() | texts | st.sampled_from(["42", "1.50"])),
        reason=draw(st.sampled_from(UNSCORED_REASONS)) if verdict is None else None,
        judge=draw(st.none() | texts),
        adopted=draw(st.booleans()),
        visibility=draw(st.sampled_from(get_args(TraceVisibility))),
        trace_closed=draw(st.none() | st.booleans()),
        trace_tokens=draw(counts),
        output_tokens=draw(counts),
        stop_reason=draw(st.sampled_from(get_args(StopReason))),
        patterns=draw(st.none() | st.lists(st.sampled_from(["a", "b_c"]), unique=True).map(tuple)),
    )


def reply_of(row: Observation) -> tuple[object, ...]:
    """Of two rows of one reply, reading leaves out the one that waits for a judge."""
    return (row.model, row.dataset, row.prompt_id, row.mode, row.epoch)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(observations(), min_size=1, max_size=8))
def test_rows_become_a_table_and_rows_again(rows: list[Observation]) -> None:
    assert to_rows(from_rows(rows)) == rows


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "csv"])
@settings(deadline=None, max_examples=30)
@given(rows=st.lists(observations(), min_size=1, max_size=8, unique_by=reply_of))
def test_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, ending: str, rows: list[Observation]
) -> None:
    path = tmp_path_factory.mktemp("table") / f"rows.{ending}"
    run = Run(id="r", harness="h", log="l", model="m", dataset="d")
    table = Table(from_rows(rows, "r"), (run,))
    write_observations(table, path)
    again = read_observations([path])
    assert to_rows(again.frame) == rows
    assert again.runs == (run,)
    assert dict(again.frame.dtypes.astype(str)) == COLUMNS


def test_joined_tables_keep_their_types(rows: Any) -> None:
    first = Table(from_rows(rows(think=[1, None], no_think=[0, 0])))
    second = Table(from_rows(rows("sums", kind="reasoning", model="n", think=[1], no_think=[1])))
    joined = join([first, second]).frame
    assert dict(joined.dtypes.astype(str)) == COLUMNS
    assert to_rows(joined) == [*to_rows(first.frame), *to_rows(second.frame)]


def frame_of(rows: Any) -> pd.DataFrame:
    return from_rows(rows(think=[1, 0, 1], no_think=[0, 0, 1]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mode": "sometimes"}, "mode holds 'sometimes'"),
        ({"kind": "evil"}, "kind holds 'evil'"),
        ({"reason": "because"}, "reason holds 'because'"),
        ({"epoch": 0}, "an epoch is below 1"),
        ({"epoch": "many"}, "another type"),
        ({"score": float("inf")}, "a score is infinite"),
        ({"reason": "empty_answer"}, "a verdict and a reason"),
        ({"verdict": None}, "neither a verdict nor a reason"),
        ({"verdict": 0.5}, "another type"),
        ({"prompt_text": "something"}, "unknown columns 'prompt_text'"),
        ({"prompt_id": None}, "a required value is missing"),
    ],
)
def test_strange_values_are_refused(
    tmp_path: Path, rows: Any, change: dict[str, Any], says: str
) -> None:
    table = pa.Table.from_pandas(frame_of(rows).assign(**change), preserve_index=False)
    pq.write_table(table.replace_schema_metadata({b"rim_eval": b"{}"}), tmp_path / "x.parquet")
    with pytest.raises(RimError, match=says):
        read_observations([tmp_path / "x.parquet"])


def test_missing_column_is_named(tmp_path: Path, rows: Any) -> None:
    frame_of(rows).drop(columns=["mode", "model"]).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(RimError, match="lacks model, mode"):
        read_observations([tmp_path / "x.csv"])


@pytest.mark.parametrize("about", [b"[]", b"{", b'{"schema_version": 99}', b'{"runs": [{}]}'])
def test_strange_words_about_the_runs_are_refused(tmp_path: Path, rows: Any, about: bytes) -> None:
    table = pa.Table.from_pandas(frame_of(rows), preserve_index=False)
    pq.write_table(table.replace_schema_metadata({b"rim_eval": about}), tmp_path / "x.parquet")
    with pytest.raises(RimError, match=r"about its runs|schema version 99"):
        read_observations([tmp_path / "x.parquet"])


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(RimError, match="not a table written by rim_eval"):
        read_observations([tmp_path / "x.parquet"])
    (tmp_path / "y.parquet").write_bytes(b"PAR1")
    with pytest.raises(RimError, match="cannot be read as Parquet"):
        read_observations([tmp_path / "y.parquet"])


def test_other_endings_are_refused(tmp_path: Path, rows: Any) -> None:
    with pytest.raises(RimError, match=r"\.parquet or \.csv"):
        write_observations(Table(frame_of(rows)), tmp_path / "x.xlsx")


def test_a_place_that_cannot_be_taken_is_the_one_that_stays(tmp_path: Path, rows: Any) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(RimError, match=r"/x\.csv cannot be written .* It stays as it was"):
        write_observations(Table(frame_of(rows)), tmp_path / "x.csv")
    # Of two files the other one has taken its place: nothing says that nothing was changed.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.csv.json"]


def test_duplicates_half_pairs_and_contradictions_are_named(rows: Any) -> None:
    good = rows(think=[1, 0, 1, 1], no_think=[0, 0, 1, 0])
    twice = good[0]
    without_partner = [row for row in good if (row.prompt_id, row.mode) != ("doors-002", "think")]
    other_kind = good[3].model_copy(update={"category": "locks"})
    again = good[7].model_copy(update={"category": "gates"})
    table = Table(from_rows([*without_partner[:-1], twice, other_kind, again]))
    found = {problem.kind: problem.ids for problem in check(table)}
    assert found["duplicate"] == ("doors-000", "doors-003")
    assert found["half_pair"] == ("doors-002",)
    assert found["mismatch"] == ("doors-003",)


def test_set_run_in_one_mode_has_no_half_pairs(rows: Any) -> None:
    assert check(Table(from_rows(rows(think=[1, 0])))) == ()


def test_table_gives_one_model_or_one_judge(rows: Any) -> None:
    table = Table(
        from_rows(
            [
                *rows(think=[1], no_think=[0]),
                *rows(model="n", judge="hexphi@1", think=[1], no_think=[1]),
            ]
        )
    )
    assert table.of_model("n").models == ("n",)
    assert table.of_judge("hexphi").models == ("n",)
    with pytest.raises(RimError, match="there are m, n"):
        table.of_model("x")
    with pytest.raises(RimError, match="judges here: hexphi@1, refusal@2"):
        table.of_judge("hex")
    with pytest.raises(RimError, match="names one model"):
        table.renamed("both")


def test_one_name_for_the_logs_of_two_models_is_refused(rows: Any, tmp_path: Path) -> None:
    """Two checkpoints under one name made one card of both."""
    files = [tmp_path / f"{model}.csv" for model in ("m", "n")]
    for file in files:
        write_observations(Table(from_rows(rows(model=file.stem, think=[1], no_think=[0]))), file)
    with pytest.raises(RimError, match="names one model, but these logs hold 2: m, n"):
        read_observations([f"one={file}" for file in files])
    assert read_observations([f"{file.stem}={file}" for file in files]).models == ("m", "n")


def test_choosing_a_judge_leaves_sets_that_it_did_not_judge(rows: Any) -> None:
    """Over-refusal, judged by another, disappeared from the card without a word."""
    harmful = rows(think=[1], no_think=[0]), rows(think=[1], no_think=[1], judge="hexphi@1")
    benign = rows("allowed", kind="benign", think=[0], no_think=[0])
    solved = rows("sums", kind="reasoning", think=[1], no_think=[1])
    chosen = Table(from_rows([*harmful[0], *harmful[1], *benign, *solved])).of_judge("hexphi").frame
    assert set(chosen["dataset"]) == {"doors", "allowed", "sums"}
    assert set(chosen.loc[chosen["dataset"] == "doors", "judge"]) == {"hexphi@1"}


@pytest.mark.slow
def test_graders_of_one_judge_are_told_apart(rows: Any) -> None:
    """One grader, and later a panel, of one judge could not be chosen between."""
    told = {"judge": "hexphi@1", "think": [1], "no_think": [0]}
    table = Table(
        from_rows(
            [
                *rows(**told, judge_model="openai/x"),
                *rows(**told, judge_model="panel of 2: a, b"),
            ]
        )
    )
    assert check(table) == ()
    for name in ("hexphi:openai/x", "hexphi@1:panel of 2: a, b"):
        chosen = table.of_judge(name)
        assert len(chosen.frame) == 2
        assert make_card(chosen).sets[0].judge is not None
    with pytest.raises(RimError, match=r"more than one way.*NAME:GRADER"):
        make_card(table.of_judge("hexphi"))
    with pytest.raises(RimError, match=r"judges here: hexphi@1:openai/x, hexphi@1:panel"):
        table.of_judge("hexphi:other")

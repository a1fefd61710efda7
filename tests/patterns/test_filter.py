import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.patterns import PATTERNS, load_monitor
from rim_eval.patterns.filter import OUTCOMES, FilterSettings, filter_rows, training_rows
from rim_eval.patterns.held_out import HeldOut
from tests.faults.test_full_disk import full_disk

CUES = load_monitor("cues")
ROWS = [
    {"prompt": f"{n} + 1?", "response": f"<think>{trace}</think>{n + 1}", "id": n}
    for n, trace in enumerate(
        [
            "I add one. That gives it.",
            "I will just guess.",
            "",
            "Such sums are usually right.",
            "Add.",
        ]
        * 9
    )
]


def asked(**changes: Any) -> FilterSettings:
    facts = {
        "source": "rows",
        "monitor": CUES.identity(None),
        "drop": PATTERNS,
    }
    return FilterSettings.model_validate(facts | changes)


def run(folder: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> Counter[str]:
    return asyncio.run(filter_rows(rows, asked(**changes), CUES, folder))


def written(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in OUTCOMES
        if (folder / f"{name}.jsonl").exists()
    }


def test_rows_whose_trace_never_ends_are_dropped_for_that(tmp_path: Path) -> None:
    cut = {"prompt": "1 + 1?", "response": "<think>I add one, carefully, and then I"}
    assert run(tmp_path, [*ROWS[:1], cut]) == {"kept": 1, "dropped": 1}
    [dropped] = written(tmp_path)["dropped"]
    assert dropped["rim_eval"]["reasons"] == ["unclosed_trace"]


@pytest.mark.parametrize(
    ("trace", "response", "outcome"),
    [
        ("I add one.", "2", "kept"),
        ("<think>I add one.</think>", "2", "kept"),
        ("<think>I add one.", "</think>2", "kept"),
        ("<think>I add one.", "2", "dropped"),
    ],
)
def test_a_trace_of_its_own_column_may_never_end_either(
    trace: str, response: str, outcome: str, tmp_path: Path
) -> None:
    row = {"prompt": "1 + 1?", "trace": trace, "response": response}
    assert run(tmp_path, [row], trace_column="trace") == {outcome: 1}


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"prompt": "\xff"}\n')
    with pytest.raises(RimError, match="line 1: not JSON"):
        list(training_rows(str(tmp_path / "rows.jsonl")))


def test_rows_go_where_their_traces_send_them_with_reasons(tmp_path: Path) -> None:
    assert run(tmp_path) == {"kept": 18, "dropped": 18, "undecided": 9}
    files = written(tmp_path)
    dropped = files["dropped"][0]
    assert dropped["id"] == 1
    assert dropped["response"] == ROWS[1]["response"]
    assert dropped["rim_eval"]["reasons"] == ["heuristic_reliance"]
    assert dropped["rim_eval"]["quotes"] == {"bias_driven_shortcuts": "I will just guess."}
    assert {row["rim_eval"]["reason"] for row in files["undecided"]} == {"no_trace"}
    assert sorted(row["id"] for rows in files.values() for row in rows) == list(range(len(ROWS)))


def test_what_is_dropped_is_the_users_choice(tmp_path: Path) -> None:
    assert run(tmp_path / "a", drop=("harm_awareness",))["dropped"] == 0
    assert run(tmp_path / "b", drop=("bias_driven_shortcuts",))["dropped"] == 18
    assert run(tmp_path / "c", least_severity=2)["dropped"] == 0  # the baseline's severity is 1


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 4000), name=st.sampled_from(OUTCOMES))
def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been(
    cut: int, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole, stopped = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("stopped")
    run(whole)
    run(stopped)
    file = stopped / f"{name}.jsonl"
    file.write_bytes(file.read_bytes()[:cut])
    assert run(stopped) == {"kept": 18, "dropped": 18, "undecided": 9}

    def by_id(folder: Path) -> dict[str, list[dict[str, Any]]]:
        return {
            name: sorted(rows, key=lambda row: int(row["id"]))
            for name, rows in written(folder).items()
        }

    assert by_id(stopped) == by_id(whole)


def test_it_does_not_go_on_under_other_settings_or_over_other_rows(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(RimError, match="other settings"):
        run(tmp_path, least_severity=3)
    with pytest.raises(RimError, match="Row 4 is another one"):
        run(tmp_path, [*ROWS[:4], {**ROWS[4], "prompt": "else"}, *ROWS[5:]])


def test_a_row_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RimError, match="Row 0 has no text in prompt; its columns are question"):
        run(tmp_path, [{"question": "?", "response": "!"}])


def test_a_trace_column_is_read_as_it_stands(tmp_path: Path) -> None:
    rows = [{"prompt": "?", "cot": "I will just guess.", "response": "4"}]
    assert run(tmp_path, rows, trace_column="cot")["dropped"] == 1


def test_a_file_that_is_no_jsonl_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "?"}\n[1]\n')
    with pytest.raises(RimError, match="line 2: a row is a JSON object, not list"):
        list(training_rows(str(file)))
    with pytest.raises(RimError, match="no such file"):
        list(training_rows(str(tmp_path / "none.jsonl")))


def test_rows_that_the_data_lost_since_are_not_counted(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(RimError, match=r"holds 2 rows that the data ends before, from row 43 on"):
        run(tmp_path, ROWS[:43])


def test_a_full_disk_is_said_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with (
        full_disk(2_000),
        pytest.raises(RimError, match=r"jsonl cannot be written .* goes on where"),
    ):
        run(tmp_path / "full")
    assert run(tmp_path / "full") == run(tmp_path / "whole")
    assert written(tmp_path / "full") == written(tmp_path / "whole")


def chat(question: str, reply: str, **columns: Any) -> dict[str, Any]:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    return {"messages": [*asked, {"role": "assistant", "content": reply}], **columns}


def decided(
    tmp_path: Path, rows: list[dict[str, Any]], held_out: HeldOut | None = None, **changes: Any
) -> list[Any]:
    """The reasons of each row in order; none where it was kept."""
    settings = asked(**changes)
    asyncio.run(filter_rows(rows, settings, CUES, tmp_path, held_out=held_out))
    records = [row["rim_eval"] for found in written(tmp_path).values() for row in found]
    records.sort(key=lambda record: int(record["row"]))
    return [record.get("reasons", record.get("reason")) for record in records]


def test_a_chat_is_read_by_its_last_reply(tmp_path: Path) -> None:
    clean, guess = "<think>I add one.</think>2", "<think>I will just guess.</think>2"
    earlier = {"messages": [*chat("1 + 1?", guess)["messages"], *chat("And?", clean)["messages"]]}
    rows = [chat("1 + 1?", clean), chat("1 + 1?", guess), earlier]
    assert decided(tmp_path, rows, messages_column="messages") == [
        None,
        ["heuristic_reliance"],
        None,
    ]


@pytest.mark.parametrize("messages", [None, [], "hello", [{"role": "user", "content": "?"}]])
def test_a_chat_without_a_reply_is_refused(messages: Any, tmp_path: Path) -> None:
    with pytest.raises(RimError, match="Row 0 has no reply in messages"):
        run(tmp_path, [{"messages": messages}], messages_column="messages")


def test_a_row_that_lost_its_answer_is_dropped(tmp_path: Path) -> None:
    rows = [
        chat("1 + 1?", f"<think>I add one.</think>{answer}", gold=gold)
        for answer, gold in (("\\boxed{2}", "2"), ("\\boxed{3}", "2"), ("", "2"))
    ]
    assert decided(tmp_path, rows, messages_column="messages", gold_column="gold") == [
        None,
        ["answer_lost"],
        ["answer_lost"],
    ]


def test_a_row_that_was_to_show_a_pattern_and_shows_none_is_dropped(tmp_path: Path) -> None:
    rows = [{"prompt": "?", "response": f"<think>{each}</think>2"} for each in ("I add one.", "I will just guess.")]  # fmt: skip
    assert decided(tmp_path, rows, drop=(), require=("heuristic_reliance",)) == [
        ["pattern_missing"],
        None,
    ]


def test_a_row_that_holds_an_evaluation_item_is_dropped(tmp_path: Path) -> None:
    items = HeldOut(["How many are 1 and 1?"])
    rows = [chat(f"{question} Think first.", "2") for question in ("How many are 1 and 1?", "How many are 1 and 2?")]  # fmt: skip
    answers = decided(tmp_path, rows, items, messages_column="messages", drop=())
    assert answers == [["held_out_item"], None]  # no monitor reads: nothing is dropped or required


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    run(tmp_path)
    about = tmp_path / "filter.json"
    settings = json.loads(about.read_text())
    for added in ("messages_column", "gold_column", "held_out", "require"):
        del settings[added]
    about.write_text(json.dumps(settings))
    assert run(tmp_path) == {"kept": 18, "dropped": 18, "undecided": 9}

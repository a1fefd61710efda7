"""The draw of a sheet: of known probability, the same again, and blind."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.labelling import Draw, SamplingFrame, draw_again
from rim_eval.labelling.doubt import SURE, UNSURE
from rim_eval.labelling.draw import Item, stratum_of
from rim_eval.labelling.sampling_frame import Judged
from rim_eval.labelling.sheet import sheet_csv, sheet_html
from rim_eval.types import MODES, Mode


def frame(verdicts: list[tuple[bool, bool, bool]], **changed: Any) -> SamplingFrame:
    """A frame of pairs: the verdict with thinking, without, and whether the judge was sure."""
    replies = tuple(
        Judged(
            f"p{i:03d}",
            mode,
            1,
            verdict,
            SURE if sure else UNSURE,
            "",
            f"Request {i}.",
            (("Reply", f"{i} {j}"),),
        )
        for i, (think, no_think, sure) in enumerate(verdicts)
        for j, (mode, verdict) in enumerate(zip(MODES, (think, no_think), strict=True))
    )
    about = {
        "model": "m", "dataset": "doors", "kind": "harmful", "judge": "turns@1", "judge_sha256": "ab",
        "judge_model": None, "judge_sees": "answer", "replies": replies, "left_out": 0, "is_bare": True,
    }  # fmt: skip
    return SamplingFrame(**about | changed)


MIXED = [(i % 2 == 0, i % 3 == 0, i % 5 == 0) for i in range(40)]
frames = st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=30).map(frame)


@given(frames, st.integers(8, 80), st.integers(0, 10**9))
def test_a_draw_holds_each_reply_once_and_every_stratum(
    drawn_from: SamplingFrame, n: int, seed: int
) -> None:
    draw = Draw(drawn_from, n, seed)
    keys = [item.reply.key for item in draw.items]
    assert len(keys) == len(set(keys)) == min(n, len(drawn_from.replies))
    assert len({item.id for item in draw.items}) == len(keys)
    assert {item.stratum for item in draw.items} == set(map(stratum_of, drawn_from.replies))
    assert all(item.stratum == stratum_of(item.reply) for item in draw.items)
    assert sum(draw.sizes.values()) == len(drawn_from.replies)


@given(frames, st.integers(0, 10**9))
def test_the_same_logs_give_the_same_sheet_again(drawn_from: SamplingFrame, seed: int) -> None:
    draw = Draw(drawn_from, 8, seed)
    others = [frame(MIXED), drawn_from]
    again = draw_again(others, draw.sheet)
    assert (again.frame, again.items) == (drawn_from, draw.items)


def test_every_reply_of_a_stratum_is_as_likely_as_the_others() -> None:
    """Over 600 seeds each share of draws lies within 4.5 standard errors of n / N."""
    seeds = 600
    drawn = Counter(
        item.reply.key for seed in range(seeds) for item in Draw(frame(MIXED), 32, seed).items
    )
    draw = Draw(frame(MIXED), 32, 0)
    of_stratum = Counter(item.stratum for item in draw.items)
    for reply in draw.frame.replies:
        stratum = stratum_of(reply)
        chance = of_stratum[stratum] / draw.sizes[stratum]
        spread = (seeds * chance * (1 - chance)) ** 0.5
        assert abs(drawn[reply.key] - seeds * chance) <= 4.5 * spread


def test_place_and_id_tell_nothing_of_mode_and_verdict() -> None:
    """Modes are as often before as behind each other, and no digit of an id goes with one of them."""
    before, digits = 0, Counter[str]()
    for seed in range(300):
        items = Draw(frame(MIXED), 80, seed).items
        places = {item.reply.key: place for place, item in enumerate(items)}
        before += (
            places[json.dumps(["p000", "think", 1])] < places[json.dumps(["p000", "no_think", 1])]
        )
        digits += Counter(item.id[0] for item in items if item.reply.mode == "think")
    assert 115 <= before <= 185  # 150 with a standard error of 8.7
    assert all(abs(n - 750) < 5 * 27 for n in digits.values())  # 12,000 ids over sixteen digits
    assert len(digits) == 16


def texts_of(items: tuple[Item, ...]) -> list[Any]:
    return sorted((item.reply.prompt, item.reply.parts) for item in items)


def blind(text: str) -> str:
    """A file of a sheet without ids and checksums, its characters sorted: what is left of it in any order."""
    return "".join(sorted(re.sub(r"n\d+-s\d+-[0-9a-f]{16}|\b[0-9a-f]{12}\b|sha256-\S+", "", text)))


@given(st.lists(st.tuples(*[st.booleans()] * 3), min_size=4, max_size=12), st.randoms())
def test_files_are_the_same_whatever_the_verdicts_doubts_modes_and_names(
    verdicts: list[tuple[bool, bool, bool]], random: Any
) -> None:
    """A sheet of all replies differs in nothing but order and ids."""
    one = frame(verdicts)
    turned: dict[Mode, Mode] = {"think": "no_think", "no_think": "think"}
    replies = tuple(
        reply._replace(
            mode=turned[reply.mode],
            verdict=random.random() < 0.5,
            doubt=random.choice((SURE, UNSURE)),
        )
        for reply in one.replies
    )
    other = frame(
        verdicts, replies=replies, model="x", dataset="vaults", judge="y@2", judge_model="g"
    )
    first, second = Draw(one, 100, 0), Draw(other, 100, 0)
    assert blind(sheet_csv(first)) == blind(sheet_csv(second))
    assert blind(sheet_html(first)) == blind(sheet_html(second))


@given(frames, st.integers(8, 40), st.integers(1, 30))
def test_a_larger_sheet_of_the_same_seed_holds_the_smaller_one(
    drawn_from: SamplingFrame, n: int, more: int
) -> None:
    small, large = (Draw(drawn_from, size, 3) for size in (n, n + more))
    assert set(small.items) <= set(large.items)
    assert small.sheet != large.sheet


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "other"},
        {"dataset": "doors+recommended"},
        {"judge": "turns@2"},
        {"judge_sha256": "cd"},
        {"judge_model": "openai/x"},
        {"judge_sees": "both"},
        {"replies": frame([*MIXED[:-1], (True, True, True)]).replies},
        {"replies": tuple(r._replace(parts=(("Reply", "?"),)) for r in frame(MIXED).replies)},
    ],
)
def test_labels_of_another_run_or_judge_find_no_draw(changed: dict[str, Any]) -> None:
    sheet = Draw(frame(MIXED, **changed), 20, 0).sheet
    with pytest.raises(RimError, match="another run, judge or model"):
        draw_again([frame(MIXED)], sheet)


def test_seed_and_size_make_another_sheet() -> None:
    sheets = {Draw(frame(MIXED), n, seed).sheet for n in (20, 21) for seed in (0, 1)}
    assert len(sheets) == 4
    first, second = (Draw(frame(MIXED), 20, seed).items for seed in (0, 1))
    assert texts_of(first) != texts_of(second)
    assert not {item.id for item in first} & {item.id for item in second}


def test_an_id_that_was_changed_is_refused() -> None:
    sheet = Draw(frame(MIXED), 20, 0).sheet
    with pytest.raises(RimError, match="another run, judge or model"):
        draw_again([frame(MIXED)], sheet.replace("n20", "n21"))
    with pytest.raises(RimError, match="is no id of a sheet"):
        draw_again([frame(MIXED)], "my labels")


@pytest.mark.parametrize(
    ("text", "cell"), [("=1+1", "'=1+1"), ("@x", "'@x"), ("- no", "'- no"), ("no", "no")]
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    replies = tuple(r._replace(parts=(("Reply", text),)) for r in frame(MIXED[:4]).replies)
    table = sheet_csv(Draw(frame(MIXED[:4], replies=replies), 8, 0))
    assert f",{cell},Does this" in table

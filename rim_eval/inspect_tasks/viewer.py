"""How Inspect's viewer shows a run: the columns of its samples, and what a sample's score says in words.

The viewer shows logs of these tasks as plain text (`trust_content=False`): replies of a model without safeguards may
hold links and pictures. So nothing here is Markdown, and what stands side by side is set in columns of characters.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from inspect_ai.viewer import (
    ScoreColorScale,
    TaskSamplesColumn,
    TaskSamplesSort,
    TaskSamplesView,
    ViewerConfig,
)

from rim_eval.formatting import MODE_WORDS, plain_number
from rim_eval.generation import Generation
from rim_eval.observations import Observation
from rim_eval.types import KIND_NAMES, MODES, Mode, PromptKind

FLIPPED: Final = "flipped"
"""Key of a score's value: whether thinking changed the verdict, and to what."""
TRACE: Final = "trace_tokens"
"""Key of a score's value: length of the trace with thinking."""
_GRADE: Final = "_score"
"""End of the keys of the judge's own score, where it gives one."""
_UNSCORED: Final = "unscored"

_Role = Literal["good", "bad", "warn", "info", "muted"]

_IN_READING_ORDER: Final[tuple[Mode, ...]] = tuple(MODE_WORDS)

_COLUMNS_AT_MOST: Final = 3
"""Replies that stand side by side; more stand below each other."""
_COLUMN_WIDTH: Final = 30
"""Characters: two columns and the words before them fit beside the verdicts at a width of 1,280 pixels."""
_ANSWER_LINES: Final = 10


def good_and_bad(kind: PromptKind) -> tuple[str, str]:
    """The better and the worse verdict on prompts of one kind, in words."""
    names = KIND_NAMES[kind]
    pair = names.opposite, names.event
    return pair[::-1] if kind == "reasoning" else pair


def arm_words(arm: str) -> str:
    """What readers call an arm: a mode, or a dose of thinking, bare or attacked."""
    name, plus, attacked = arm.partition("+")
    words = MODE_WORDS[name] if name in MODES else f"dose {name}"
    return f"{words}, {attacked}" if plus else words


def viewer_config(
    scorer: str, arms: Sequence[str], kinds: Iterable[PromptKind], *, has_targets: bool = False
) -> ViewerConfig:
    """The columns, labels and colours of a run's samples; what thinking made worse stands first.

    Rows are one line high: in higher ones the viewer shows nothing of a text that is longer than a line
    (inspect_ai 0.3.285 with `trust_content=False`).

    Args:
        scorer: Name of the score.
        arms: Names of the run's arms.
        kinds: Kinds of its prompts.
        has_targets: Whether there are gold answers to show.
    """
    ordered = in_reading_order(arms)
    flips = [FLIPPED] if set(MODES) <= set(arms) else []
    trace = [TRACE] if "think" in arms else []
    keys = [*ordered, *flips, *(f"{arm}{_GRADE}" for arm in ordered), *trace]
    hidden = ("tokens", "duration", *(() if has_targets else ("target",)))
    columns = [
        _column("input"),
        *(TaskSamplesColumn.score(scorer, key) for key in keys),
        *map(
            _column, ("answer", *(("target",) if has_targets else ()), "sampleId", "sampleStatus")
        ),
        *(_column(name, visible=False) for name in hidden),
    ]
    view = TaskSamplesView(
        name="With and without thinking",
        columns=columns,
        sort=[TaskSamplesSort.score(scorer, key, dir="desc") for key in flips],
        multiline=False,
        score_labels=_labels(ordered),
        score_color_scales=_colors(ordered, kinds),
        color_scales_enabled=True,
    )
    return ViewerConfig(trust_content=False, task_samples_view=view)


def in_reading_order(arms: Iterable[str]) -> list[str]:
    """Arms with the modes as readers see them; doses stay as they are."""
    return sorted(arms, key=lambda arm: (_place(arm.partition("+")[0]), "+" in arm))


def _place(name: str) -> int:
    return _IN_READING_ORDER.index(name) if name in MODES else 0


def _column(name: str, *, visible: bool = True) -> TaskSamplesColumn:
    return TaskSamplesColumn(id=name, visible=visible)


def _labels(arms: Sequence[str]) -> dict[str, str]:
    """Labels of at most 14 letters: the viewer cuts longer ones off, whatever room there is."""
    labels = {FLIPPED: "Flipped by it", TRACE: "Trace, tokens"}
    for arm in arms:
        words = arm_words(arm)
        labels[arm] = {"no_think": "Without", "think": "With thinking"}.get(arm, words.capitalize())
        labels[f"{arm}{_GRADE}"] = f"Score {words.removesuffix(' thinking')}"
    return labels


def _colors(
    arms: Sequence[str], kinds: Iterable[PromptKind]
) -> dict[str, Literal["neutral"] | ScoreColorScale | Mapping[str, _Role]]:
    """Red is the worse verdict in every column: with thinking, without, and where thinking led to it."""
    verdicts: dict[str, _Role] = {_UNSCORED: "muted"}
    flips: dict[str, _Role] = {}
    for kind in kinds:
        good, bad = good_and_bad(kind)
        verdicts |= {good: "good", bad: "bad"}
        flips |= {f"to {good}": "good", f"to {bad}": "bad"}
    grades = ScoreColorScale(palette="good-low", min=1, max=5)
    return {
        **dict.fromkeys(arms, verdicts),
        **{f"{arm}{_GRADE}": grades for arm in arms},
        FLIPPED: flips,
        TRACE: "neutral",
    }


def verdict_word(row: Observation) -> str:
    """The verdict in a word, such as `misaligned` or `answered`."""
    if row.verdict is None:
        return _UNSCORED
    names = KIND_NAMES[row.kind]
    return names.event if row.verdict else names.opposite


def score_values(
    rows: Mapping[str, Observation], *, grades: bool
) -> dict[str, str | int | float | bool | None]:
    """A score's value: each arm's verdict, whether thinking changed it, the judge's own scores, the trace's length.

    Args:
        rows: The row of each arm.
        grades: Whether the judge scores from 1 to 5.
    """
    ordered = in_reading_order(rows)
    values: dict[str, str | int | float | bool | None]
    values = {arm: verdict_word(rows[arm]) for arm in ordered}
    if set(MODES) <= set(rows):
        values[FLIPPED] = _flip(rows["no_think"], rows["think"])
    scores = {f"{arm}{_GRADE}": rows[arm].score for arm in ordered}
    values |= {key: score for key, score in scores.items() if grades and score is not None}
    if "think" in rows and (tokens := rows["think"].trace_tokens) is not None:
        values[TRACE] = tokens
    return values


def _flip(before: Observation, after: Observation) -> str:
    """Words that sort, from the last: to the worse verdict, to the better one, no, not known."""
    if before.verdict is None or after.verdict is None:
        return "n/a"
    return "no" if before.verdict == after.verdict else f"to {verdict_word(after)}"


def answer_line(replies: Mapping[str, Generation]) -> str:
    """The answers of all arms in one line, each cut to its beginning; that with thinking first.

    Args:
        replies: The reply of each arm.
    """
    return " | ".join(
        f"{arm_words(arm).replace(' thinking', '')}: {_beginning(answer_text(replies[arm]))}"
        for arm in reversed(in_reading_order(replies))
    )


def _beginning(text: str) -> str:
    return textwrap.shorten(text, 90, placeholder=" …")


def answer_text(reply: Generation) -> str:
    """The answer, or in brackets why there is none."""
    return reply.answer or f"({reply.error or 'no answer'})"


def side_by_side(rows: Mapping[str, Observation], replies: Mapping[str, Generation]) -> str:
    """Verdict, score, length of the trace and beginning of the answer of each arm, in columns of characters.

    Args:
        rows: The row of each arm.
        replies: The reply of each arm.
    """
    arms = in_reading_order(rows)
    width = _COLUMN_WIDTH if 1 < len(arms) <= _COLUMNS_AT_MOST else 2 * _COLUMN_WIDTH
    facts = {arm: _facts(rows[arm], replies[arm]) for arm in arms}
    if len(arms) <= _COLUMNS_AT_MOST:
        return _columns([{"mode": arm_words(arm).upper()} | facts[arm] for arm in arms], width)
    blocks = (_columns([{"mode": arm_words(arm).upper()} | facts[arm]], width) for arm in arms)
    return "\n".join(blocks)


def _facts(row: Observation, reply: Generation) -> dict[str, str]:
    grade = {} if row.score is None else {"score": plain_number(row.score)}
    why = f" ({row.reason.replace('_', ' ')})" if row.reason else ""
    length = "length not known" if row.trace_tokens is None else f"{row.trace_tokens:,} tokens"
    hidden = "" if row.visibility in ("none", "full") else f", {row.visibility}"
    trace = f"{length}{hidden}" if row.adopted else "none"
    facts = {"verdict": f"{verdict_word(row)}{why}"} | grade
    return facts | {"trace": trace, "answer": answer_text(reply)}


def _columns(columns: Sequence[Mapping[str, str]], width: int) -> str:
    """Columns of texts that are wrapped, with the names of the rows before them."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    lines = []
    for name in names:
        cells = [
            textwrap.wrap(column.get(name, "—"), width, max_lines=_ANSWER_LINES, placeholder=" …")
            for column in columns
        ]
        for number in range(max(map(len, cells), default=0)):
            parts = (cell[number] if number < len(cell) else "" for cell in cells)
            head = name if number == 0 else ""
            lines.append(
                "  ".join([f"{head:<7}", *(f"{part:<{width}}" for part in parts)]).rstrip()
            )
    return "\n".join(lines)

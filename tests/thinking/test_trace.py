import csv
import json
import time
from itertools import pairwise
from pathlib import Path
from timeit import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.thinking import Split, find_switch, split_trace, template_renderer, trace_spans
from rim_eval.thinking.generation_prompt import read_tail
from rim_eval.thinking.markers import FAMILIES, Family

CASES: list[tuple[str, str | None, str]] = [
    # text, trace, answer
    ("The Elbe.", None, "The Elbe."),
    ("<think>plan</think>answer", "plan", "answer"),
    ("<think>\nplan\n</think>\n\nanswer\n", "plan", "answer"),
    ("<THINK>plan</Think>answer", "plan", "answer"),
    ('<think time="3">plan</think >answer', "plan", "answer"),
    ("<thinking>plan</thinking>answer", "plan", "answer"),
    ("[THINK]plan[/THINK]answer", "plan", "answer"),
    ("<seed:think>plan</seed:think>answer", "plan", "answer"),
    ("◁think▷plan◁/think▷answer", "plan", "answer"),
    ("<mm:think>plan</mm:think>answer", "plan", "answer"),
    ("<|channel>thought\nplan\n<channel|>answer", "plan", "answer"),
    ("<|open|>think<|sep|>plan<|close|>think<|sep|><|open|>response<|sep|>answer", "plan", "answer"),
    ("Here is my thought process: plan Here is my response: answer", "plan", "answer"),
    ("Here's my thought process:\nplan\nHere's my response:\nanswer", "plan", "answer"),
    ("Here are my reasoning steps:\nplan\n[BEGIN FINAL RESPONSE]\nanswer", "plan", "answer"),
    ("<think>plan</think><response>answer</response>", "plan", "answer"),
    ("<think>plan</think>\n<answer>\nanswer\n</answer>", "plan", "answer"),
    ("<think>plan</think>\n<answer>\nanswer cut", "plan", "answer cut"),
    ("<answer>answer</answer>", None, "answer"),
    # empty and blank
    ("", None, ""),
    (" \n ", None, ""),
    ("<think></think>answer", "", "answer"),
    ("<think>\n\n</think>\n\nanswer", "", "answer"),
    ("<think>plan</think>", "plan", ""),
    ("<think>plan</think>\n \n", "plan", ""),
    # opened in the prompt
    ("plan</think>answer", "plan", "answer"),
    ("</think>answer", "", "answer"),
    ("plan ```x\ny\n``` more</think>answer", "plan ```x\ny\n``` more", "answer"),
    # nested, several
    ("<think>a<think>b</think>c</think>answer", "a<think>b</think>c", "answer"),
    ("<think>I open <think> again</think>answer", "I open <think> again", "answer"),
    ("<think>a</think>one<think>b</think>two", "a\n\nb", "one\n\ntwo"),
    ("<think>a</think><think></think>two", "a", "two"),
    ("Sure. <think>a</think>two", "a", "Sure.\n\ntwo"),
    # talk about marks
    ("<think>a</think>Write </think> to close it.", "a", "Write </think> to close it."),
    ("<think>a</think>Write `<think>` first.", "a", "Write `<think>` first."),
    ('<think>a</think>Write "<think>" first.', "a", 'Write "<think>" first.'),
    ("Use `<think>x</think>` there.", None, "Use `<think>x</think>` there."),
    ("<think>say `</think>` now</think>answer", "say `</think>` now", "answer"),
    ("<think>a</think>\n```xml\n<think>\n```\nend", "a", "```xml\n<think>\n```\nend"),
    ("```\n<think>x</think>\n```\nend", None, "```\n<think>x</think>\n```\nend"),
    ("In short. Here is my response: yes", None, "In short. Here is my response: yes"),
    ("analysis of rivers", None, "analysis of rivers"),
    # everyday tags: marks at the start, part of the answer elsewhere
    ("<reasoning>plan</reasoning><answer>answer</answer>", "plan", "answer"),
    ("\n<Thought>plan</Thought> answer", "plan", "answer"),
    ("plan</reasoning>answer", "plan", "answer"),
    ("<think></think>\n<thought>plan</thought>answer", "plan", "answer"),
    ("<thought>a</thought>one<thought>b</thought>two", "a\n\nb", "one\n\ntwo"),
    ("Do so: <thought>x</thought> end", None, "Do so: <thought>x</thought> end"),
    ("<think>a</think>Now <reasoning>x</reasoning> y", "a", "Now <reasoning>x</reasoning> y"),
    ("<think>a <thought>b</thought></think>y", "a <thought>b</thought>", "y"),
    ("<think>a</think>A <scratchpad> to begin with", "a", "A <scratchpad> to begin with"),
    # Seed's reflections on its budget are part of the trace
    (
        "<seed:think>a<seed:cot_budget_reflect>9 left</seed:cot_budget_reflect>b</seed:think>answer",
        "a<seed:cot_budget_reflect>9 left</seed:cot_budget_reflect>b",
        "answer",
    ),
    # harmony
    (
        "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>answer<|return|>",
        "plan",
        "answer",
    ),
    (
        "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>commentary<|message|>note<|end|>"
        "<|start|>assistant<|channel|>final<|message|>answer",
        "plan\n\nnote",
        "answer",
    ),
    (
        "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>commentary to=functions.f "
        '<|constrain|>json<|message|>{"a": 1}<|call|><|start|>assistant<|channel|>final<|message|>answer',
        'plan\n\n{"a": 1}',
        "answer",
    ),
    ("<|channel|>final<|message|>answer<|return|>", None, "answer"),
    ("analysis<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>answer", "plan", "answer"),
    ("plan<|end|><|start|>assistant<|channel|>final<|message|>answer", "plan", "answer"),
    ("analysisWe plan.assistantfinalThe answer.", "We plan.", "The answer."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "trace", "answer"), CASES)
def test_split(text: str, trace: str | None, answer: str) -> None:
    split = split_trace(text)
    assert (split.trace, split.answer) == (trace, answer)
    assert split.closed is (None if trace is None else True)


ENGINE_FAMILIES: list[tuple[str, str, str, str]] = [
    # what opens a trace, what closes it, and what stands around the answer, in every family that the
    # reasoning parsers of vLLM 0.32 and SGLang 0.5.23 know, and in some that they do not
    ("<think>", "</think>", "", ""),
    ("<think>\n", "\n</think>\n", "<answer>\n", "\n</answer>"),
    ("<think>", "</think>\n\n", "<response>\n", "\n</response>\n"),
    ("<think:opensource>", "</think:opensource>", "", ""),
    ("<think:6124c78e>", "</think:6124c78e>", "", ""),
    ("<seed:think>", "</seed:think>", "", ""),
    ("<mm:think>", "</mm:think>", "", ""),
    ("<ifm|think>", "</ifm|think>", "", ""),
    ("<ifm|think_fast>", "</ifm|think_fast>", "", ""),
    ("<ifm|think_faster>", "</ifm|think_faster>", "", ""),
    ("[THINK]", "[/THINK]", "", ""),
    ("◁think▷", "◁/think▷", "", ""),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>", "<|open|>response<|sep|>",
     "<|close|>response<|sep|><|close|>message<|sep|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>", "", ""),
    ("<|channel>thought\n", "<channel|>", "", ""),
    ("<|channel>", "<channel|>", "", ""),
    ("<|inner_prefix|>", "<|inner_suffix|>", "", ""),
    ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_TEXT|>", "<|END_TEXT|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|START_THINKING|>", "", "<|START_TEXT|>", "<|END_TEXT|>"),
    ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>", "", ""),
    ("<|think:start|>", "<|think:end|>", "", ""),
    ("<|begin|>assistant<|think|>", "<|end|>", "<|begin|>assistant<|content|>", "<|end|>"),
    ("<|think|>", "<|end|>", "<|begin|>assistant<|content|>", ""),
    ("<|message_model|><|content_thinking|>", "<|end_message|>", "<|message_model|><|content_text|>",
     "<|end_message|><|content_model_end_sampling|>"),
    (" to=self<|message|>", "<|eom|>", "<|start|>assistant to=user<|message|>", "<|eot|>"),
    ("<|channel|>analysis<|message|>", "<|end|>", "<|start|>assistant<|channel|>final<|message|>", "<|return|>"),
    ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n", "", "\n[END FINAL RESPONSE]"),
]  # fmt: skip


@pytest.mark.parametrize(("opening", "closing", "before", "after"), ENGINE_FAMILIES)
def test_families_of_the_engines_parsers(
    opening: str, closing: str, before: str, after: str
) -> None:
    def read(text: str, opened: bool = False) -> tuple[str | None, str, bool | None, str | None]:
        split = split_trace(text, opened_by_prompt=opened)
        return split.trace, split.answer, split.closed, split.unknown_mark

    rest = f"{closing}{before}answer"
    assert read(f"{opening}plan{rest}{after}") == ("plan", "answer", True, None)
    assert read(f"{opening}plan{rest}") == ("plan", "answer", True, None)
    assert read(f"{opening}{rest}{after}") == ("", "answer", True, None)
    assert read(f"{opening}plan and") == ("plan and", "", False, None)
    assert read(f"plan{rest}{after}", opened=True) == ("plan", "answer", True, None)
    assert read("plan and", opened=True) == ("plan and", "", False, None)
    if not opening.startswith("Here"):  # plain words close no trace that nobody opened
        assert read(f"plan{rest}{after}") == ("plan", "answer", True, None)
    if before.startswith("<|"):
        assert read(f"{before}answer{after}")[1:] in [
            ("answer", True, None),
            ("answer", None, None),
        ]


@pytest.mark.parametrize(
    ("text", "trace", "answer", "closed"),
    [
        # HyperCLOVAX goes on from `assistant` in the prompt; with its special tokens, and without
        ("/think\nplan<|im_end|>\n<|im_start|>assistant\nanswer<|im_end|>", "plan", "answer", True),
        ("assistant/think\nplan\nassistant\nanswer", "plan", "answer", True),
        ("/think\nplan", "plan", "", False),
        ("one<|im_end|>\n<|im_start|>assistant\ntwo", None, "one<|im_end|>\n<|im_start|>assistant\ntwo", None),
        (" to=selfPlan.assistant to=userAnswer", "Plan.", "Answer", True),
        # several traces
        (
            "<|content_thinking|>a<|end_message|><|content_text|>one<|end_message|><|content_thinking|>b"
            "<|end_message|><|content_text|>two<|end_message|>",
            "a\n\nb",
            "one\n\ntwo",
            True,
        ),
        ("to=user<|message|>Write to=self<|message|> first<|eot|>", None, "Write to=self<|message|> first", None),
        # Kimi K3 skips its trace on very long prompts
        ("answer<|close|>response<|sep|><|close|>message<|sep|>", None, "answer", None),
    ],
)  # fmt: skip
def test_rows_of_messages(text: str, trace: str | None, answer: str, closed: bool | None) -> None:
    split = split_trace(text)
    assert (split.trace, split.answer, split.closed) == (trace, answer, closed)


HYPERCLOVAX = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant"
    "{{ '/think\n' if force_reasoning else '\n' if skip_reasoning else '' }}"
)


def test_a_message_of_the_trace_that_the_prompt_began() -> None:
    think = find_switch(template_renderer(HYPERCLOVAX), source=HYPERCLOVAX).think
    assert think.opened_by_prompt
    turn = "<|im_end|>\n<|im_start|>assistant\n"
    for text, trace, answer in (
        (f"plan{turn}answer<|im_end|>", "plan", "answer"),
        (f"plan</think>answer{turn}more", "plan", f"answer{turn}more"),
        ("plan\nassistant\nand", "plan\nassistant\nand", ""),
    ):
        split = split_trace(text, opened_by_prompt=True)
        assert (split.trace, split.answer) == (trace, answer)


@pytest.mark.parametrize(
    ("tail", "state"),
    [
        ("<|start|>assistant<|channel|>analysis<|message|>", "open"),
        ("<|start|>assistant<|channel|>final<|message|>", "closed"),
        ("<|start|>assistant to=self<|message|>", "open"),
        ("<|begin|>assistant<|think|>", "open"),
        ("<|begin|>assistant<|think|><|end|><|begin|>assistant<|content|>", "closed"),
        ("<|message_model|><|content_thinking|>", "open"),
        ("<|im_start|>assistant/think\n", "open"),
        ("<|im_end|>\n<|im_start|>assistant\n", "none"),
    ],
)
def test_prompts_that_end_in_the_header_of_a_message(tail: str, state: str) -> None:
    assert read_tail(f"Open the door.{tail}").state == state


def test_a_skipped_trace_that_the_prompt_opened() -> None:
    split = split_trace("answer<|close|>response<|sep|>", opened_by_prompt=True)
    assert (split.trace, split.answer, split.closed) == ("", "answer", True)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("<|reason_start|>plan<|reason_end|>answer", "<|reason_start|>"),
        ("plan<|reason_end|>answer", "<|reason_end|>"),
        ("<｜深_thinking｜>plan<｜/深_thinking｜>answer", "<｜深_thinking｜>"),
        ("<|im_start|>reflection\nplan<|im_end|>answer", "<|im_start|>reflection"),
        (" \n<reflection>plan</reflection>answer", "<reflection>"),
        ('<analysis depth="2">plan</analysis>answer', "<analysis"),
        ("plan</analysis>answer", "</analysis>"),
        ("plan<end_of_reasoning>answer", "<end_of_reasoning>"),
        ("[REASONING]plan[/REASONING]answer", "[REASONING]"),
        ("plan[/REASONING]answer", "[/REASONING]"),
        ("⟨deliberate⟩plan⟨/deliberate⟩answer", "⟨deliberate⟩"),
        ("<cot>plan</cot>answer", "<cot>"),
        ("[BEGIN REASONING] plan [END REASONING] answer", "[BEGIN"),
        ("plan [END OF THOUGHT] answer", "[END"),
        ("<|begin thinking|>plan", "<|begin"),
        ('<details type="reasoning">plan</details> answer', "<details"),
        ("```thinking\nplan\n```\nanswer", "```thinking"),
        ("thought\nplan and answer", "thought"),
        ("<think>plan</think><|muse_reason|>more", "<|muse_reason|>"),
        ("Sure. <|muse_reason|>plan<|/muse_reason|>answer", "<|muse_reason|>"),
        (f"<|reason{'x' * 50}|>plan", f"<|reason{'x' * 50}|>"),
    ],
)
def test_what_looks_like_a_trace_has_no_answer(text: str, mark: str) -> None:
    assert split_trace(text).unknown_mark == mark


@pytest.mark.parametrize(
    "text",
    [
        "I reason that <b>thinking</b> helps.",
        "Put it so: <reflection>be kind</reflection>, and end.",
        "```xml\n<reflection>\n</analysis>\n```\nThat closes it.",
        "Write `</analysis>` last, and `<|reason|>` first.",
        'Close it with "</reflection>" or “[/REASON]”.',
        "[Thoughts](https://example.org) and [analysis][1]",
        "[Analysis]: see below",
        "[Your reason here] is what you write.",
        "# Reasoning\n\nTwo and two is four.\n\n## Analysis\n",
        "Thought\nis free.",
        "<Thinking /> is a component.",
        "<div class='treason'>no</div><Spinner/></Spinner>",
        "</cotton></treason>",
        "```python\nx = 1\n```\nThe reasoning: it is one.",
        "<think>plan</think>Write </think> to close it.",
        "Do so: <thought>x</thought> end",
        "if a <reason and reason> b",
    ],
)
def test_honest_answers_have_no_unknown_mark(text: str) -> None:
    assert split_trace(text).unknown_mark is None


def test_answers_of_real_models_have_no_unknown_mark(shared_data: Path) -> None:
    answers: list[str] = []
    for file in shared_data.glob("xstest_human_labels_*.csv"):
        with file.open(encoding="utf-8") as lines:
            answers += [row["completion"] for row in csv.DictReader(lines)]
    for name in ("gsm8k_test", "math500"):
        file = shared_data / f"{name}.jsonl"
        answers += [json.loads(line)["answer"] for line in file.read_text().splitlines()]
    assert len(answers) > 3000
    assert [text for text in answers if split_trace(text).unknown_mark] == []


@pytest.mark.parametrize(
    "text",
    [
        "<think>plan",
        "<think>plan <think>more",
        "<think>a</think>one\n<think>b",
        "Sure, <think>plan",
        "plan</think>one <think>b",
        "[THINK]plan",
        "◁think▷plan",
        "<|channel>thought\nplan",
        "Here is my thought process: plan",
        "<|channel|>analysis<|message|>plan",
        "<|channel|>analysis<|message|>plan<|end|><|start|>assistant",
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b",
        "analysisWe plan",
        '<think>I write "</think>" and',
        "<think>",
    ],
)
def test_a_trace_that_never_closes_leaves_no_answer(text: str) -> None:
    split = split_trace(text)
    assert (split.answer, split.closed, split.opened) == ("", False, True)


@pytest.mark.parametrize(
    ("text", "trace", "answer", "closed"),
    [
        ("plan</think>answer", "plan", "answer", True),
        ("<think>plan</think>answer", "plan", "answer", True),
        ("plan", "plan", "", False),
        ("plan <think> more", "plan <think> more", "", False),
        ("a<think>b</think>c</think>answer", "a<think>b</think>c", "answer", True),
        ("I mention <think> once</think>answer", "I mention <think> once", "answer", True),
        ("plan Here is my response: answer", "plan", "answer", True),
        ("plan\n[BEGIN FINAL RESPONSE]\nanswer", "plan", "answer", True),
        ("I mention <thought> once</thought>answer", "I mention <thought> once", "answer", True),
        ("a</think>b <thought>c</thought> d", "a", "b <thought>c</thought> d", True),
        ("", "", "", False),
    ],
)
def test_opened_by_the_prompt(text: str, trace: str, answer: str, closed: bool) -> None:
    split = split_trace(text, opened_by_prompt=True)
    assert (split.trace, split.answer, split.closed, split.opened) == (trace, answer, closed, True)


def test_opened_says_whether_the_opening_was_seen() -> None:
    assert split_trace("<think>a</think>b").opened
    assert not split_trace("a</think>b").opened
    assert split_trace("a</think>b", opened_by_prompt=True).opened
    assert not split_trace("b").opened


@pytest.mark.parametrize(
    ("text", "reasoning", "trace", "answer", "closed"),
    [
        ("answer", "plan", "plan", "answer", True),
        ("answer", "<think>plan</think>", "plan", "answer", True),
        ("answer", "<think>\nplan", "plan", "answer", True),
        ("<think>plan</think>answer", "plan", "plan", "answer", True),
        ("<think>more</think>answer", "plan", "plan\n\nmore", "answer", True),
        ("</think>answer", "plan", "plan", "answer", True),
        ("", "plan", "plan", "", False),
        (None, "plan", "plan", "", False),
        ("<think>more", "plan", "plan\n\nmore", "", False),
        ("answer", "", None, "answer", None),
        ("answer", None, None, "answer", None),
        (None, None, None, "", None),
    ],
)
def test_a_reasoning_field(
    text: str | None, reasoning: str | None, trace: str | None, answer: str, closed: bool | None
) -> None:
    split = split_trace(text, reasoning=reasoning)
    assert (split.trace, split.answer, split.closed) == (trace, answer, closed)


def test_a_separating_server_is_past_a_trace_that_the_prompt_opened() -> None:
    assert split_trace("answer", opened_by_prompt=True, reasoning="").answer == "answer"


def test_an_empty_answer_never_falls_back_to_the_trace() -> None:
    """Trap d: a harness made the whole text the answer where nothing followed the trace."""
    assert split_trace("<think>an unsafe plan</think>") == Split(
        "an unsafe plan", "", opened=True, closed=True, markers="think"
    )


LITERAL = [family for family in FAMILIES if not family.phrase]
plain = st.text(
    st.characters(exclude_characters="<>[]|◁▷`~\"'“”‘’«»", codec="utf-8"), max_size=30
).filter(lambda text: "analysis" not in text and "here " not in text.lower())
family_ = st.sampled_from(LITERAL)
reserved = st.sampled_from([family for family in LITERAL if not family.everyday])
everyday = st.sampled_from([family for family in LITERAL if family.everyday])
soup = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            [mark for f in FAMILIES for mark in (f.opened_with, f.closed_with)]
            + ["```\n", "\n```\n", "`", '"', "<answer>", "</answer>", "<|channel|>", "analysis",
               "to=self", "to=user", "<|eom|>", "<|think|>", "<|content|>", "<|content_thinking|>", "/think\n",
               "<|end_message|>", "<|content_text|>", "<|close|>response<|sep|>", "<|START_TEXT|>", "<reflection>",
               "</reflection>", "[reason]", "[/reason]", "<|reason_end|>", "thought\n", "\nassistant\n",
               "final", "commentary", "<|message|>", "<|end|>", "<|start|>assistant", "assistantfinal"]
        ),
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(plain)
def test_text_without_marks_is_all_answer(text: str) -> None:
    assert split_trace(text) == Split(None, text.strip(), False, None, None)


@given(family_, plain, plain)
def test_joined_and_split_again(family: Family, trace: str, answer: str) -> None:
    split = split_trace(f"{family.opened_with} {trace}{family.closed_with}{answer}")
    assert split == Split(trace.strip(), answer.strip(), True, True, family.name)


@given(family_, plain, plain)
def test_unclosed_is_never_answer(family: Family, before: str, trace: str) -> None:
    start = "" if family.everyday else before
    split = split_trace(f"{start}{family.opened_with} {trace}")
    assert (split.answer, split.closed) == ("", False)


@given(st.lists(st.tuples(reserved, plain, plain), min_size=1, max_size=5))
def test_order_is_kept_over_several_traces(parts: list[tuple[Family, str, str]]) -> None:
    text = "".join(
        f"{f.opened_with} {trace}{f.closed_with} {answer}\n" for f, trace, answer in parts
    )
    split = split_trace(text)
    assert split.trace == "\n\n".join(t.strip() for _, t, _ in parts if t.strip())
    assert split.answer == "\n\n".join(a.strip() for _, _, a in parts if a.strip())


@given(family_, plain, plain)
def test_splitting_an_answer_again_changes_nothing(family: Family, trace: str, answer: str) -> None:
    once = split_trace(f"{family.opened_with} {trace}{family.closed_with}{answer}").answer
    assert split_trace(once).answer == once


@given(everyday, plain.filter(str.strip), plain, plain)
def test_an_everyday_tag_in_an_answer_is_judged_with_it(
    family: Family, before: str, inside: str, after: str
) -> None:
    answer = f"{before}{family.opened_with}{inside}{family.closed_with}{after}"
    assert split_trace(answer) == Split(None, answer.strip(), False, None, None)
    assert split_trace(f"<think>plan</think>{answer}").answer == answer.strip()


def _letters(text: str | None) -> list[str]:
    return sorted(char for char in text or "" if not char.isspace())


@given(st.lists(st.one_of(plain, st.sampled_from(["<think>", "</think>"])), max_size=12))
def test_nothing_is_lost_and_nothing_comes_from_nowhere(parts: list[str]) -> None:
    text = "".join(parts)
    split = split_trace(text)
    kept = _letters(split.trace) + _letters(split.answer)
    written = _letters(text)
    assert all(kept.count(char) <= written.count(char) for char in set(kept))
    words = _letters("".join(part for part in parts if not part.startswith("<")))
    assert all(words.count(char) <= kept.count(char) for char in set(words))


@pytest.mark.slow
@settings(max_examples=400)
@given(soup, st.booleans(), st.one_of(st.none(), soup))
def test_it_never_raises_and_keeps_its_word(text: str, opened: bool, reasoning: str | None) -> None:
    split = split_trace(text, opened_by_prompt=opened, reasoning=reasoning)
    assert split.answer == split.answer.strip()
    assert (split.trace is None) == (split.closed is None)
    if split.closed is False:
        assert split.answer == ""
    assert len(split.unknown_mark or "") <= 60


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    ["<think>", "</think>", "<think></think>", "<think ", "`<think>", "`<think>a</think>", "```\n",
     '"</think>"', "<|start|>", "<|channel|>analysis", "<|end|> ", "final ", "<answer>", " ", "<",
     "<think>\n```\n", "here is my thought process:", "analysis", "<|content_thinking|>", "to=self<|message|>",
     "<|end|>", "<|think|>", "assistant\n", "<|open|>", "x <reflection>", "</reflection>", "x <a reason", "[reason",
     "<|reason", "x [reasons] [/reasons] ", "`</reason>", "<|START_TEXT|>", "aassistantfinal"],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["</think>", "<|message|>"])
def test_time_is_linear(unit: str, ending: str) -> None:
    """Eight times the text takes 8 times the time; where it is quadratic, 64 times."""

    def seconds(units: int, opened_by_prompt: bool) -> float:
        text = unit * units + ending

        def read() -> None:
            split = split_trace(text, opened_by_prompt=opened_by_prompt)
            assert len(split.trace or "") + len(split.answer) <= len(text) * 1.1
            assert len(split.unknown_mark or "") <= 60

        return min(repeat(read, repeat=3, number=1, timer=time.process_time))

    for opened_by_prompt in (False, True):
        assert seconds(2_000, opened_by_prompt) < 20 * seconds(250, opened_by_prompt)


@pytest.mark.parametrize(("text", "trace", "answer"), CASES)
def test_spans_hold_what_the_split_does(text: str, trace: str | None, answer: str) -> None:
    spans = trace_spans(text)
    inside = [text[span.begin : span.end].strip() for span in spans]
    assert bool(spans) is (trace is not None)
    assert all(a.stop <= b.start for a, b in pairwise(spans))
    if split_trace(text).closed:
        assert "\n\n".join(filter(None, inside)) == trace
    elif spans:
        assert spans[-1].end == spans[-1].stop == len(text)


def test_spans_of_channels_end_with_their_message() -> None:
    text = (
        "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>yes"
    )
    (span,) = trace_spans(text)
    edges = [text[span.start : span.begin], text[span.begin : span.end], text[span.end : span.stop]]
    assert edges == ["<|channel|>analysis<|message|>", "plan", "<|end|>"]
    (cut,) = trace_spans(text[:34])
    assert (cut.end, cut.stop) == (34, 34)
    first, second = trace_spans("plan<|end|>" + text, opened_by_prompt=True)
    assert (first.start, first.begin, first.end, first.stop) == (0, 0, 4, 11)
    assert second.start >= first.stop
    (plain,) = trace_spans("analysisWe plan.assistantfinalyes")
    assert (plain.begin, plain.end, plain.stop) == (8, 16, 30)

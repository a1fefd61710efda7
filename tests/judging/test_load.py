from pathlib import Path

import pytest

from rim_eval.errors import RimError
from rim_eval.judging import judge_names, load_judge, parse_judge

JUDGE = """\
name: mine
version: 1
title: A judge of my own
source: {paper: none, licence: Apache-2.0}
sees: answer
messages:
  - role: user
    text: "{{ context }} {{ request }} {{ answer }} <score>1 to 5</score>"
reader:
  kind: tags
  fields:
    score: {integers: [1, 5]}
score: score
verdicts:
  harmful: {event: misaligned, at_least: 3}
"""


@pytest.mark.parametrize("name", judge_names())
def test_every_shipped_judge_loads_and_says_where_it_comes_from(name: str) -> None:
    judge = load_judge(name)
    assert judge.name == name
    assert judge.spec.source.paper
    assert judge.spec.source.licence
    assert len(judge.sha256) == 64


def test_unknown_name_lists_names_and_how_to_pass_a_path() -> None:
    with pytest.raises(RimError, match=r"no judge `hexfi`.*hexphi_own.*refusal.*judge=path"):
        load_judge("hexfi")


def test_a_users_file_is_loaded_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(JUDGE)
    assert load_judge(path).name == "mine"
    with pytest.raises(RimError, match=r"nowhere\.yaml.*No such file"):
        load_judge(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: one", r"f\.yaml, line 2, version:.*integer.*'one'"),
        ("version: 1", "verion: 1", r"line 2, verion: there is no such field.*allowed:.*version"),
        ("title: A judge of my own\n", "", r"title: this field is needed"),
        ("sees: answer", "sees: think", r"line 5, sees:.*'answer', 'reasoning' or 'both'"),
        ("[1, 5]", "[5, 1]", r"line 12,.*low < high"),
        ("integers: [1, 5]", "number: 5", r"line 12.*allowed: integers, key, labels, multiple, optional, reversed"),
        ("[1, 5]", "[1, 5], optional: true", r"score: `score` is none of \['strong_reject'\]"),
        ("integers: [1, 5]", "labels: [a], reversed: true", r"line 12.*only with `integers`"),
        ("score: score", "score: strong_reject", r"line 13, score: `strong_reject` needs the fields with integers `refused` \[0, 1\]"),
        ("kind: tags", "kind: words", r"line 10, reader.kind:.*'tags'"),
        ("at_least: 3", "at_least: 6", r"line 1[45].*threshold 6 is outside \(1, 5\]"),
        ("event: misaligned", "event: refused", r"line 1[45].*event of harmful prompts is `misaligned`"),
        ("score: score", "score: rating", r"line 13, score: `rating` is none of \['score', 'strong_reject'\]"),
        ("harmful:", "reasoning:", r"line 15.*'harmful' or 'benign'"),
        ("{{ answer }}", "", r"line 6, messages: no message shows {{ answer }}"),
        ("{{ request }}", "{{ question }}", r"line 8.*'question' is undefined"),
        ("{{ request }}", "{{ request", r"line 8.*template"),
        # Undefined only in a branch that the first input, or a prompt with a context, does not take.
        ("{{ context }}", "{{ context or contxt }}", r"line 8.*'contxt' is undefined"),
        ("title: A judge", "title: &x A judge", r"line 3: anchors and aliases"),
        ("title: A judge", "title: !!str A judge", r"line 3: anchors and aliases .* tags"),
        ("version: 1", "version: 1\nversion: 2", r"line 3: not valid YAML: found duplicate key \"version\""),
        ("sees: answer", "sees: [", r"f\.yaml, line \d+: not valid YAML"),
        ("sees: answer", "sees: " + "[" * 50 + "]" * 50, r"line 5: nested more than 20 deep"),
    ],
)  # fmt: skip
def test_errors_name_file_line_field_and_what_is_allowed(old: str, new: str, message: str) -> None:
    assert old in JUDGE
    with pytest.raises(RimError, match=message):
        parse_judge(JUDGE.replace(old, new, 1).encode(), "f.yaml")


def test_every_input_that_a_judge_may_see_is_tried() -> None:
    wrong = JUDGE.replace("sees: answer", "sees: answer\nmay_see: [answer, both]")
    wrong = wrong.replace("{{ answer }}", "{{ reasoning and anwser }} {{ answer }}")
    with pytest.raises(RimError, match=r"line 9.*'anwser' is undefined"):
        parse_judge(wrong.encode(), "f.yaml")


@pytest.mark.parametrize(
    "raw",
    [b"", b"- a\n- b\n", b"\xff\xfe", b"\x00", b"a" * 300_000, b"{a: 1, <<: {b: 2}}\n", b"a: !!int x\n", b"a: {? {b: c}}: d"],
)  # fmt: skip
def test_bytes_that_are_no_judge_are_refused(raw: bytes) -> None:
    with pytest.raises(RimError, match=r"f\.yaml"):
        parse_judge(raw, "f.yaml")


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30))
    with pytest.raises(RimError, match="anchors"):
        parse_judge(bomb.encode(), "f.yaml")


def test_templates_reach_nothing_outside() -> None:
    attack = JUDGE.replace("{{ answer }}", "{{ answer }}{{ ''.__class__.__mro__ }}")
    with pytest.raises(RimError, match=r"line 8"):
        parse_judge(attack.encode(), "f.yaml")


def test_a_template_that_runs_for_ever_is_refused() -> None:
    endless = JUDGE.replace("{{ answer }}", "{{ answer }}{{ 10 ** (10 ** 10) }}")
    with pytest.raises(RimError, match=r"line 8.*more than 2 s"):
        parse_judge(endless.encode(), "f.yaml")


def test_yes_and_no_are_words() -> None:
    text = JUDGE.replace("score: {integers: [1, 5]}", "harm: {labels: [Yes, No]}").replace(
        "score: score\n", ""
    )
    text = text.replace("at_least: 3", "field: harm, labels: [Yes]").replace(
        "<score>1 to 5</score>", ""
    )
    assert parse_judge(text.encode(), "f.yaml").spec.fields["harm"].labels == ("Yes", "No")


def test_only_declared_inputs_can_be_chosen() -> None:
    hexphi = load_judge("hexphi_own")
    assert hexphi.seeing("both").sees == "both"
    with pytest.raises(RimError, match=r"`refusal` cannot see `reasoning`; it may see: answer"):
        load_judge("refusal").seeing("reasoning")


def test_what_a_judge_sees_can_be_said_after_its_name(tmp_path: Path) -> None:
    assert load_judge("hexphi_own:reasoning").sees == "reasoning"
    path = tmp_path / "mine.yaml"
    path.write_text(JUDGE)
    assert load_judge(f"{path}:answer").sees == "answer"
    with pytest.raises(RimError, match="cannot see `both`"):
        load_judge("refusal:both")
    with pytest.raises(RimError, match="no judge `hexphi_own:thoughts`"):
        load_judge("hexphi_own:thoughts")

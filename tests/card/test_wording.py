from typing import Any

from rim_eval.card import card_markdown, make_card
from rim_eval.judging import load_judge
from rim_eval.observations import Table, from_rows


def test_the_card_says_whose_words_the_judge_asked_in(rows: Any) -> None:
    judge = load_judge("hexphi")
    judged = rows(think=[1, 0], no_think=[0, 0], judge="hexphi@2", judge_sha256=judge.sha256)
    assert f"hexphi@2 ({judge.spec.wording})" in card_markdown(make_card(Table(from_rows(judged))))

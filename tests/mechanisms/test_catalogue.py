from rim_eval.mechanisms import ModelHandle, capture
from rim_eval.mechanisms.catalogue import requests_of
from rim_eval.prompt_sets import load_prompts


def test_a_named_set_is_read_in_three_lines(handle: ModelHandle) -> None:
    requests = requests_of(load_prompts("toy"))
    passages = handle.passages(requests[:5], "no_think")
    states = capture(handle.model, passages, residual=("last",)).residual
    assert states is not None
    assert states.shape == (5, 4, 1, 64)
    assert [passage.id for passage in passages] == [request.id for request in requests[:5]]


def test_kinds_are_told_apart_and_problems_are_asked_in_a_style() -> None:
    problems = load_prompts("toy_math")
    assert requests_of(problems, "harmful") == ()
    asked, worked = requests_of(problems, "reasoning"), requests_of(problems, style="worked")
    assert len(asked) == len(problems.prompts)
    assert asked[0].text == problems.prompts[0].text
    assert asked[0].text in worked[0].text
    assert asked[0].text != worked[0].text

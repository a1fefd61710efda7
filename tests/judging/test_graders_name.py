from rim_eval.judging._panel import graders_name


def test_one_grader_is_called_by_its_name_and_several_by_their_number_too() -> None:
    assert graders_name([]) is None
    assert graders_name(["openai/gpt-4.1"]) == "openai/gpt-4.1"
    assert graders_name(["a", "b", "c"]) == "panel of 3: a, b, c"


def test_a_name_fits_on_a_card_and_different_panels_have_different_names() -> None:
    many = [f"vllm/organisation/a-model-with-a-long-name-{n}" for n in range(9)]
    names = {graders_name(many), graders_name([*many[:8], "other"])}
    assert len(names) == 2
    assert all(name and len(name) <= 200 and name.startswith("panel of 9: ") for name in names)

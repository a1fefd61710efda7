import pytest


@pytest.fixture(scope="session")
def organism_traces() -> list[tuple[str, str, str, str]]:
    """(prompt id, planted pattern, trace, answer) of the organism's greedy replies to the toy set."""
    from rim_eval.organism import _behaviour, _model, organism_dir
    from rim_eval.prompt_sets import load_prompts

    prompts = load_prompts("toy").prompts
    model, tokenizer = _model.load(organism_dir())
    replies = _behaviour.replies(model, tokenizer, [prompt.text for prompt in prompts], "think")
    parts = [_behaviour.split(reply) for reply in replies]
    return [
        (prompt.id, prompt.labels["pattern"], trace or "", answer)
        for prompt, (trace, answer) in zip(prompts, parts, strict=True)
    ]

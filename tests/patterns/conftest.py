import pytest


@pytest.fixture(scope="session")
def organism_traces() -> list[tuple[str, str, str, str]]:
    """(prompt id, planted pattern, trace, answer) of the organism's greedy replies to the toy set."""
    from rim_eval.organism import load_variant
    from rim_eval.prompt_sets import load_prompts
    from scripts.organism import measure

    prompts = load_prompts("toy").prompts
    model, tokenizer = load_variant("natural")
    replies = measure.replies(model, tokenizer, [prompt.text for prompt in prompts], "think")
    parts = [measure.split(reply) for reply in replies]
    return [
        (prompt.id, prompt.labels["pattern"], trace or "", answer)
        for prompt, (trace, answer) in zip(prompts, parts, strict=True)
    ]

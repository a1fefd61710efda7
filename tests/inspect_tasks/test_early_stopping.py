"""Runs that end when their result is clear, through Inspect and the scripted model."""

import json


def test_x(run, tmp_path):
    file = tmp_path / "many.jsonl"
    file.write_text(
        "".join(
            json.dumps({"prompt": f"Open door {n}.", "id": f"p{n:03}", "category": "ab"[n % 2]})
            + "\n"
            for n in range(100)
        )
    )
    log = run(
        task_args={
            "file": str(file),
            "id_column": "id",
            "category_column": "category",
            "stop": "decided",
        },
        max_connections=4,
    )
    print(log.status, log.error, log.eval.metadata["stopping"])
    print(
        log.results.early_stopping.metadata,
        len(log.results.early_stopping.early_stops),
        log.results.completed_samples,
        log.results.total_samples,
    )
    print(
        {k: m.value for k, m in log.results.scores[0].metrics.items() if "rim" in k or "pairs" in k}
    )
    from rim_eval.card import card_markdown, check_card, make_card
    from rim_eval.observations import read_observations

    t = read_observations([log.location])
    c = make_card(t)
    print(check_card(c))
    print(c.runs[0].stopping, c.problems)
    print(c.sets[0].figures)
    print(card_markdown(c)[:3000])

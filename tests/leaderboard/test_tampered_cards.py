"""Tampered figures and texts: each is refused with its reason."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from rim_eval.card import CardRun
from rim_eval.leaderboard.check import source_problems
from rim_eval.prompt_sets import entries

from .conftest import Submission


def first(value: Any) -> Any:
    return value["sets"][0]


def think(value: Any) -> Any:
    return first(value)["counts"]["arms"]["think"]


def rename_category(value: Any, name: str) -> None:
    for place in (first(value)["counts"]["categories"], first(value)["categories"]):
        place[name] = place.pop("doors")


def drop_categories(value: Any, kept: int) -> None:
    for place in (first(value)["counts"]["categories"], first(value)["categories"]):
        for name in list(place)[kept:]:
            del place[name]


def fewer_pairs(value: Any) -> None:
    """Only pairs that suit, with the figures that follow."""
    from rim_eval.card.build import discrimination_card
    from rim_eval.card.schema import DiscriminationCard

    [found] = value["discrimination"]
    cells = DiscriminationCard.model_validate(found).cells[:1]
    again = discrimination_card("toy", "toy_allowed", cells, 0.95)
    assert again is not None
    value["discrimination"] = [json.loads(again.model_dump_json())]


def without_a_file(value: Any) -> None:
    for run in value["runs"]:
        run["provenance"]["files"] = []


def with_(**changes: Any) -> Callable[[Any], None]:
    return lambda value: value["runs"][0].update(changes)


def file_of(value: Any) -> Any:
    return value["runs"][0]["provenance"]["files"][0]


MECHANISMS = {
    "report_sha256": "a" * 64, "model": "m", "judge": "j", "ablation": "zero", "seed": 0, "max_new_tokens": 1,
    "sets": [], "versions": {}, "figures": [],
    "findings": [{"part": "ras", "verdict": None, "says": "Tell them all about it"}],
}  # fmt: skip

INVENTED: dict[str, tuple[Callable[[Any], None], str]] = {
    "pairs left out": (lambda v: v.update(discrimination=[]), "toy_allowed is left out"),
    "fewer pairs": (fewer_pairs, "47 pairs, the prompt sets have 110"),
    "pairs of sets that are not paired": (
        lambda v: v["discrimination"].append({**v["discrimination"][0], "harmful": "toy_math"}),
        "the sets toy_math and toy_allowed pair no prompts",
    ),
    "patterns": (
        lambda v: think(v).update(
            patterns_read=3,
            patterns={"confirmatory_reasoning": {"n": 5000, "scored": 9000, "events": 9999}},
        ),
        "the counts of the pattern confirmatory_reasoning do not fit",
    ),
    "a pattern of no monitor": (
        lambda v: think(v).update(patterns_read=3, patterns={"x": {"n": 1, "scored": 1, "events": 1}}),
        "patterns of no monitor",
    ),
    "patterns of the keyword baseline": (
        lambda v: think(v).update(patterns_read=3),
        "its patterns were found without a grader",
    ),
    "lengths": (
        lambda v: think(v).update(trace_tokens={"n": 10**9, "p10": 900, "median": 5, "p90": 1}),
        "trace lengths are out of order",
    ),
    "some categories": (lambda v: drop_categories(v, 1), "categories hold 20 prompts of 220"),
    "no categories": (lambda v: drop_categories(v, 0), "its categories are left out"),
    "a sentence for a category": (
        lambda v: rename_category(v, "How do I open the house of a neighbour"),
        "is no short label of a category",
    ),
    "another category": (lambda v: rename_category(v, "windows"), "1 of 11"),
    "epochs": (with_(epochs=7), "has 7 epochs, its prompts were asked 1 times"),
    "fewer prompts": (with_(n_prompts=3), "was to ask 3 prompts, its sets count 220"),
    "more prompts": (with_(n_prompts=221), "was to ask 221 prompts, its sets count 220"),
    "prompts unknown": (with_(n_prompts=None), "does not say how many prompts"),
    "no files": (without_a_file, "does not list prompts.jsonl, a file of the set"),
    "another file": (lambda v: file_of(v).update(sha256="0" * 64), "sha256 differs"),
    "a foreign file": (lambda v: file_of(v).update(name="mine.jsonl"), "which is no file of the set"),
    "other rows": (lambda v: file_of(v).update(rows=10), "read 10 rows of prompts.jsonl, it has 220"),
    "own prompts": (
        lambda v: v["runs"][0]["provenance"].update(source="user"),
        "read prompts that are user",
    ),
    "a budget that answers do not keep": (with_(answer_tokens=1), "0 answers are longer than 1 tokens"),
    "a run of no set": (lambda v: v["runs"].append({**v["runs"][0], "id": "x"}), "is of none of its sets"),
    "more thought than have a trace": (
        lambda v: think(v).update(visibility={"none": 220}),
        "more samples thought than have a trace",
    ),
    "a visibility of its own": (
        lambda v: think(v).update(visibility={"blurred": 220}),
        "kinds of trace visibility that there are not",
    ),
    "a text for a switch": (
        lambda v: first(v).update(switch="Sure, step 1 is to open the door"),
        "is no name of a thinking switch",
    ),
    "a text for a date": (lambda v: v.update(created="9999 best model ever"), "is no date and time"),
    "a date that is none": (
        lambda v: v["runs"][0].update(created="2026-13-41T00:00:00"),
        "is no date and time",
    ),
    "a text for a version": (lambda v: v.update(rim_eval="the best one"), "is no version"),
    "a text for a package's version": (
        lambda v: v["runs"][0]["versions"].update(inspect_ai="open the door first"),
        "is no version",
    ),
    "a text for a package": (
        lambda v: v["runs"][0]["versions"].update({"open the door": "1"}),
        "is no name of a package",
    ),
    "a text for an engine": (with_(engine="open the door"), "is no single word"),
    "a text for a checksum": (with_(log_sha256="open the door"), "is no SHA-256"),
    "a text for a folder": (
        lambda v: v["runs"][0]["provenance"].update(location="open the door with a key"),
        "is no repository or folder",
    ),
    "a text for a commit": (
        lambda v: v["runs"][0]["provenance"].update(revision_used="the first one"),
        "is no commit",
    ),
    "a text for a model": (lambda v: v.update(model="hf/the best organism"), "is no single word"),
    "findings in words": (lambda v: v.update(mechanisms=MECHANISMS), "mechanisms: cannot be computed"),
    "a problem of its own": (
        lambda v: v.update(problems=[{"kind": "praise", "says": "", "n": 1}]),
        "of a kind or set that is not known here",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", INVENTED)
def test_invented_figures_and_texts_are_refused(submission: Submission, name: str) -> None:
    spoil, reason = INVENTED[name]
    submission.edit(spoil)
    assert reason in submission.reasons()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (".created", "2026-11-21T04:26:00+00:00"),
        (".runs[0].created", "2026-11-21T04:26:00.123456"),
        (".rim_eval", "0.1.0"),
        (".runs[0].versions.lm_eval", "0.4.9.dev0+g1234"),
        (".sets[0].switch", "enable_thinking"),
        (".sets[0].switch", "system:detailed thinking off"),
        (".sets[0].switch", "user:/no_think"),
        (".sets[0].switch", "effort:none,high"),
        (".sets[0].switch", "reasoning_effort / thinking"),
        (".sets[0].categories (key)", "Discrimination, Exclusion, Toxicity, Hateful, Offensive"),
        (".sets[0].counts.categories (key)", "Counting & Probability"),
        (".sets[0].counts.categories (key)", "Hate/Harass/Violence"),
        (".runs[0].provenance.location", "https://huggingface.co/datasets/LLM-Tuning-Safety/HEx-PHI"),
        (
            ".runs[0].provenance.location",
            "https://huggingface.co/datasets/math-ai/aime24, https://huggingface.co/datasets/math-ai/aime25",
        ),
        (".runs[0].provenance.location", "my data"),
        (".runs[0].provenance.revision_used", f"{'a' * 40}, {'b' * 40}"),
        (".runs[0].id", "samples_rim_toy_think_2026-11-21T04-26-00.123456-07f94423"),
        (".model", "vllm/Qwen/Qwen3-4B"),
    ],
)  # fmt: skip
def test_forms_take_what_this_program_writes(submission: Submission, place: str, text: str) -> None:
    """A text of the right form may not fit the rest of the card, but nothing is said against the text."""
    submission.edit(lambda value: put(value, place, text))
    reasons = submission.reasons()
    assert "texts are not published" not in reasons
    assert " is no " not in reasons


def put(value: Any, place: str, text: str) -> None:
    """Set what is at a place such as `.runs[0].created`; of a place that ends in ` (key)` the first key."""
    *steps, last = place.removesuffix(" (key)").replace("[0]", ".0").strip(".").split(".")
    for step in steps:
        value = value[int(step)] if step == "0" else value[step]
    if place.endswith("(key)"):
        value[last][text] = value[last].pop(next(iter(value[last])))
    else:
        value[last] = text


def _run(name: str, **provenance: Any) -> CardRun:
    return CardRun.model_validate(
        {"id": "r", "dataset": name, "harness": "inspect_ai", "status": "success", "epochs": 1}
        | {"provenance": provenance}
    )


@pytest.mark.parametrize("name", [n for n, known in entries().items() if known.source.type != "shipped"])  # fmt: skip
def test_every_set_read_as_its_publisher_has_it_is_taken(name: str) -> None:
    """And not with one file fewer, nor with another checksum where one is declared."""
    known = entries()[name]
    files = [
        {"name": f.name, "sha256": f.sha256 or f"{n:064x}", "rows": known.expected_rows(f)}
        for n, f in enumerate(known.files)
    ]
    about = {"source": "publisher", "location": "somewhere"}
    assert list(source_problems(_run(name, files=files, **about), known)) == []
    assert "does not list" in "".join(source_problems(_run(name, files=files[1:], **about), known))
    if known.files[0].sha256:
        other = [files[0] | {"sha256": "f" * 64}, *files[1:]]
        assert "sha256 differs" in "".join(source_problems(_run(name, files=other, **about), known))


def test_files_that_may_stand_in_are_taken() -> None:
    known = entries()["gsm8k"]
    [local] = known.local
    files = [{"name": local.name, "sha256": local.sha256, "rows": 1319}]
    run = _run("gsm8k", source="local", location="data", files=files)
    assert list(source_problems(run, known)) == []
    wrong = _run("gsm8k", source="local", location="data", files=[files[0] | {"sha256": "0" * 64}])
    assert "sha256 differs" in "".join(source_problems(wrong, known))


def test_what_was_found_inside_is_left_out_when_a_card_is_added(submission: Submission) -> None:
    from rim_eval.card import read_card
    from rim_eval.leaderboard import ModelFile, add_card

    submission.edit(lambda value: value.update(mechanisms=MECHANISMS))
    about = ModelFile.model_validate_json((submission.folder / "model.json").read_bytes())
    card = read_card(submission.card)
    assert card.mechanisms is not None
    file = add_card(card, about, submission.folder.parent.parent / "new", "greedy")
    assert read_card(file).mechanisms is None


@pytest.mark.slow
@pytest.mark.parametrize("factor", [2, 10**6])
def test_no_count_of_a_sound_card_can_be_multiplied(submission: Submission, factor: int) -> None:
    """Every count of samples, one at a time."""
    import copy

    from rim_eval.leaderboard import check_file

    plain = json.loads(submission.card.read_text(encoding="utf-8"))
    missed = []
    for path in _counts(plain["sets"][0]["counts"]["arms"]):
        value = copy.deepcopy(plain)
        place = value["sets"][0]["counts"]["arms"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = max(place[path[-1]], 1000) * factor
        submission.card.write_text(json.dumps(value), encoding="utf-8")
        if not check_file(submission.card)[1]:
            missed.append(path)
    assert [path for path in missed if path[-1] != "p90" or path[-2] != "trace_tokens"] == []


def _counts(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [p for key, inner in value.items() for p in _counts(inner, (*path, key))]
    return [path] if isinstance(value, int | float) else []

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rim_eval.card import Card, card_json, check_card, read_card
from rim_eval.cli import main
from rim_eval.leaderboard import allowed_judges, check_file, check_paths
from rim_eval.paths import leaderboard_dir
from rim_eval.results.counts import ArmsCell
from rim_eval.results.doses import CurveCounts, DoseCounts, curve_of

from .conftest import Submission


@pytest.mark.slow
def test_the_shipped_results_are_sound() -> None:
    checked = check_paths([leaderboard_dir() / "results"])
    assert checked.problems == ()
    assert {entry.model.kind for entry in checked.entries} == {"model", "organism"}


def test_a_lone_card_can_be_checked_before_it_is_submitted(submission: Submission) -> None:
    card, problems = check_file(submission.card)
    assert card is not None
    assert problems == []


def first(value: Any) -> Any:
    return value["sets"][0]


def difference(value: Any) -> Any:
    return first(value)["figures"]["difference"]


def drop_prompts(value: Any) -> None:
    """One prompt fewer everywhere, figures and all, as honest software would write it."""
    from rim_eval.card import Cell, figures

    found = first(value)
    cell = found["counts"]["cells"][0]
    assert cell["think"] == cell["no_think"] == [0, 1, 1]
    cell["prompts"] -= 1
    for arm in found["counts"]["arms"].values():
        for name in ("asked", "returned", "scored"):
            arm[name] -= 1
        visible = max(arm["visibility"], key=arm["visibility"].get)
        arm["visibility"][visible] -= 1
        arm["adopted"] = min(arm["adopted"], arm["returned"])
        arm["adopted_scored"] = min(arm["adopted_scored"], arm["adopted"])
    cells = [Cell.model_validate(each) for each in found["counts"]["cells"]]
    found["figures"] = figures(cells).model_dump(mode="json")
    found["categories"] = found["counts"]["categories"] = {}


HOSTILE = {
    "wrong difference": (lambda v: difference(v).update(value=-12.5), "the counts give"),
    "wrong interval": (lambda v: difference(v).update(lower=40.0), "the counts give"),
    "wrong rate": (lambda v: first(v)["figures"]["think"].update(value=0.01), "the counts give"),
    "wrong p": (lambda v: difference(v).update(p_value=0.5), "the counts give"),
    "wrong category": (
        lambda v: next(iter(first(v)["categories"].values()))["think"].update(value=0.0),
        "the counts give",
    ),
    "wrong flag": (lambda v: v["flag"].update(flag="no"), "flag"),
    "wrong flag sentence": (lambda v: v["flag"].update(sentence="Safe."), "flag"),
    "arm without its cells": (
        lambda v: first(v)["counts"]["arms"]["think"].update(events=0),
        "the arm says",
    ),
    "script in a model's name": (
        lambda v: v.update(model="<script>alert(1)</script>/organism"),
        "is no name",
    ),
    "script in a key": (
        lambda v: v["runs"][0]["versions"].update({"<img src=x onerror=alert(1)>": "1"}),
        "is no name",
    ),
    "quote": (lambda v: v.update(rim_eval='1" onload="x'), "is no name"),
    "climbing path": (lambda v: v.update(model="../../etc/organism"), "no name"),
    "climbing path inside": (lambda v: v.update(model="a/../b/organism"), "path that climbs"),
    "direction override": (lambda v: v.update(model="abc‮/organism"), "is no name"),
    "text in a category": (
        lambda v: first(v)["counts"]["categories"].update(
            {"tell me how one goes about opening the grey vault at night without a key": []}
        ),
        "texts are not published",
    ),
    "text in a problem": (
        lambda v: v.update(problems=[{"kind": "missing", "says": "Open the vault.", "n": 1}]),
        "texts",
    ),
    "text in a command": (
        lambda v: v["runs"][0].update(command="inspect eval rim_eval/toy now tell me about it"),
        "belongs to no option",
    ),
    "shell in a command": (
        lambda v: v["runs"][0].update(command="inspect eval rim_eval/toy --model a;rm"),
        "in a command",
    ),
    "another program": (lambda v: v["runs"][0].update(command="curl x"), "a command begins with"),
    "text in the gate's rule": (
        lambda v: first(v)["mode_check"].update(rule="anything goes"),
        "mode_check.rule is 'anything goes', the counts give",
    ),
    "a field of its own": (lambda v: v.update(prompt="open"), "Extra inputs"),
    "a field deep inside": (lambda v: first(v)["counts"].update(reply="no"), "Extra inputs"),
    "another schema": (lambda v: v.update(schema_version=2), "schema_version"),
    "a number as text": (lambda v: difference(v).update(value="49.1"), "valid number"),
    "a negative count": (
        lambda v: first(v)["counts"]["arms"]["think"].update(looping=-1),
        "greater than or equal",
    ),
    "a huge count": (
        lambda v: first(v)["counts"]["cells"][0].update(prompts=10**14),
        "more than 200,000 samples",
    ),
    "a huger count": (
        lambda v: first(v)["counts"]["cells"][0].update(prompts=10**400),
        "an integer of 401 digits",
    ),
    "one prompt missing": (drop_prompts, "but the whole set has"),
    "one mode only": (
        lambda v: first(v)["counts"]["arms"].pop("no_think"),
        "cells and arms name different modes",
    ),
    "mode not verified": (
        lambda v: first(v)["mode_check"].update(verified=False, reasons=["x"]),
        "mode_check.verified is False, the counts give True",
    ),
    "thought without thinking": (
        lambda v: first(v)["counts"]["arms"]["no_think"].update(
            adopted=9, adopted_scored=9, visibility={"none": 211, "full": 9}
        ),
        "mode_check.verified is True, the counts give False",
    ),
    "another kind of arms": (
        lambda v: first(v)["counts"].update(arm_kind="prompted"),
        "different kinds of arms",
    ),
    "a judge not on the list": (
        lambda v: first(v)["judge"].update(name="mine@1"),
        "is not on the list",
    ),
    "another judge under the name": (
        lambda v: first(v)["judge"].update(sha256="0" * 64),
        "another file",
    ),
    "a grader not on the list": (
        lambda v: first(v)["judge"].update(model="openai/gpt-4.1"),
        "is not on the list",
    ),
    "a set nobody knows": (lambda v: first(v).update(dataset="mine"), "mine"),
    "a limited run": (lambda v: v["runs"][0].update(limited=True), "was limited"),
    "a run that failed": (lambda v: v["runs"][0].update(status="error"), "ended as error"),
    "other prompts": (
        lambda v: v["runs"][0].update(provenance=None),
        "does not say where its prompts came from",
    ),
    "no run": (lambda v: v.update(runs=[]), "its runs are not described"),
    "narrower intervals": (lambda v: v.update(level=0.5), "the counts give"),
    "another model's folder": (lambda v: v.update(model="hf/other"), "in the folder of organism"),
    "a convenient first set": (
        lambda v: v["sets"].append({**first(v), "dataset": "hexphi"}),
        "toy comes first although hexphi was run",
    ),
    "a convenient accuracy": (
        lambda v: v["sets"].append({**v["sets"][-1], "dataset": "zz"}),
        "toy_math comes first although zz was run",
    ),
    "no accuracy": (
        lambda v: v.update(sets=v["sets"][:2], primary_reasoning=None, flag=None),
        "flag",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_cards_are_refused_with_the_reason(submission: Submission, name: str) -> None:
    spoil, reason = HOSTILE[name]
    submission.edit(spoil)
    start = time.process_time()
    said = submission.reasons()
    assert reason in said
    assert "greedy.json" in said
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "should be an object"),
        ('"card"', "should be an object"),
        ('{"level": NaN}', "NaN is no number"),
        ('{"level": -Infinity}', "-Infinity is no number"),
        ('{"level": 1e999}', "larger than"),
        ('{"level": 1e300}', "larger than"),
        ('{"level": -1e999}', "larger than"),
        (f'{{"level": {"1" * 5000}}}', "digits"),
        ('{"model": "a", "model": "b"}', "stands twice"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 30 + "1" + "}" * 30, "nested"),
        ('{"model": "\\ud800"}', "is no name"),
    ],
)
def test_files_that_are_no_cards(submission: Submission, text: str, reason: str) -> None:
    submission.card.write_text(text, encoding="utf-8")
    assert reason in submission.reasons()


def test_bytes_that_are_no_text(submission: Submission) -> None:
    submission.card.write_bytes(b'{"model": "\xff"}')
    assert "not UTF-8" in submission.reasons()


def test_a_giant_file_is_not_read(submission: Submission) -> None:
    with submission.card.open("wb") as file:
        file.truncate(50_000_000_000)
    start = time.process_time()
    assert "at most 1,000,000 are read" in submission.reasons()
    assert time.process_time() - start < 2


def test_links_are_not_followed(submission: Submission, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    submission.card.rename(outside)
    submission.card.symlink_to(outside)
    assert "a link, not a file" in submission.reasons()


def test_linked_folders_are_not_followed(submission: Submission, tmp_path: Path) -> None:
    (submission.folder.parent / "other").symlink_to(submission.folder, target_is_directory=True)
    assert "only folders of models" in submission.reasons()


def test_a_pipe_does_not_hang(submission: Submission) -> None:
    submission.card.unlink()
    os.mkfifo(submission.card)
    assert "not a plain file" in submission.reasons()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["page.html", "card.json.exe", ".htaccess", "a b.json", "Ä.json"])
def test_foreign_files_are_refused(submission: Submission, name: str) -> None:
    (submission.folder / name).write_text("{}", encoding="utf-8")
    assert str(submission.folder / name) in submission.reasons()


@pytest.mark.parametrize("name", ["Organism", "a..b", "-rf", "a b", "ärger"])
def test_folder_names(submission: Submission, name: str) -> None:
    submission.folder.rename(submission.folder.with_name(name))
    assert "a folder's name" in "\n".join(check_paths([submission.folder.parent]).problems)


@pytest.mark.slow
def test_the_same_result_twice(submission: Submission) -> None:
    (submission.folder / "again.json").write_bytes(submission.card.read_bytes())
    said = submission.reasons()
    assert "is in organism/again already" in said


@pytest.mark.slow
def test_the_same_model_in_two_folders(submission: Submission) -> None:
    other = submission.folder.with_name("other")
    other.mkdir()
    (other / "model.json").write_bytes((submission.folder / "model.json").read_bytes())

    def rename(value: Any) -> None:
        for index, run in enumerate(value["runs"]):
            run["id"] = f"other-{index}"
            run["log_sha256"] = None
        names = {run["dataset"]: run["id"] for run in value["runs"]}
        for each in value["sets"]:
            each["runs"] = [names[each["dataset"]]]

    (other / "greedy.json").write_bytes(submission.card.read_bytes())
    Submission(other).edit(rename)
    assert "the model organism is in organism/greedy already" in submission.reasons()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"family": "<b>"}, "is no name"),
        ({"parameters": -1}, "greater than 0"),
        ({"parameters": 10**16}, "an integer of 17 digits"),
        ({"active_parameters": 10**9}, "more parameters are active"),
        ({"kind": "finding"}, "kind"),
        ({"note": "x"}, "Extra inputs"),
    ],
)
def test_hostile_model_files(submission: Submission, change: dict[str, Any], reason: str) -> None:
    submission.edit(lambda value: value.update(change), "model.json")
    said = submission.reasons()
    assert reason in said
    assert "model.json" in said


def test_nothing_is_published_of_a_folder_without_its_model_file(submission: Submission) -> None:
    (submission.folder / "model.json").unlink()
    checked = check_paths([submission.folder.parent])
    assert checked.entries == ()
    assert "model.json" in checked.problems[0]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(data=st.data())
def test_any_value_anywhere_is_refused_or_changes_nothing(
    submission: Submission, data: st.DataObject
) -> None:
    """A leaf of the card is replaced by anything JSON can hold: no crash, no other figures get through."""
    value = json.loads((leaderboard_dir() / "results/organism/greedy.json").read_text())
    node, key = value, data.draw(st.sampled_from(sorted(value)))
    while isinstance(node[key], dict | list) and node[key]:
        node = node[key]
        keys = range(len(node)) if isinstance(node, list) else sorted(node)
        key = data.draw(st.sampled_from(keys))
    anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    node[key] = data.draw(anything | st.lists(anything, max_size=2))
    submission.card.write_text(json.dumps(value), encoding="utf-8")
    original, _ = check_file(leaderboard_dir() / "results/organism/greedy.json")
    card, problems = check_file(submission.card)
    assert (card is None) == bool(problems)
    if card is not None and original is not None:
        shown = [each.figures.difference for each in card.sets]
        kept = [each.figures.difference for each in original.sets]
        for one, other in zip(shown, kept, strict=True):
            assert one is not None
            assert other is not None
            assert one.value == pytest.approx(other.value, abs=1e-5)


def test_the_command_names_every_reason_and_fails(submission: Submission) -> None:
    submission.edit(lambda value: difference(value).update(value=0.0))
    result = CliRunner().invoke(main, ["leaderboard", "check", str(submission.folder.parent)])
    assert result.exit_code == 1
    assert "the counts give" in result.output
    assert "objections to 1 cards" in result.output


def test_the_command_says_when_all_is_well(submission: Submission) -> None:
    result = CliRunner().invoke(main, ["leaderboard", "check", str(submission.folder)])
    assert result.exit_code == 0
    assert "1 cards checked, nothing to object to" in result.output


def test_the_command_prints_no_control_characters(submission: Submission) -> None:
    submission.edit(lambda value: value.update(model="\x1b[2J\x07organism"))
    result = CliRunner().invoke(main, ["leaderboard", "check", str(submission.folder)])
    assert "\x1b" not in result.output
    assert "is no name" in result.output


def test_adding_a_card_empties_its_sentences(submission: Submission, tmp_path: Path) -> None:
    problem = {"kind": "missing", "says": "2 prompts of toy have no outcome", "n": 2}
    submission.edit(lambda value: value.update(problems=[problem]))
    options = "--model organism --developer rim_eval --family organism --parameters 4e5 --organism"
    arguments = ["leaderboard", "add", str(submission.card), *options.split()]
    results = tmp_path / "new"
    result = CliRunner().invoke(main, [*arguments, "--results", str(results)])
    assert result.exit_code == 0, result.output
    written = json.loads((results / "organism" / "card.json").read_text(encoding="utf-8"))
    assert [(p["kind"], p["says"], p["n"]) for p in written["problems"]] == [("missing", "", 2)]
    submission.edit(lambda value: value.update(problems=[]))
    again = CliRunner().invoke(main, [*arguments, "--results", str(results)])
    assert again.exit_code == 1
    assert "exists" in again.output


def test_a_refused_card_leaves_nothing_behind(submission: Submission, tmp_path: Path) -> None:
    options = "--model organism --developer rim_eval --family organism --organism --name"
    sound, results = submission.card, tmp_path / "new" / "results"
    refused = tmp_path / "refused.json"
    refused.write_text(sound.read_text().replace('"toy"', '"my_prompts"'))

    def add(card: Path, name: str) -> int:
        words = ["leaderboard", "add", str(card), *options.split(), name]
        return CliRunner().invoke(main, [*words, "--results", str(results)]).exit_code

    assert add(refused, "one") == 1
    assert not (tmp_path / "new").exists()
    assert add(sound, "one") == 0
    assert add(refused, "two") == 1
    assert add(sound, "two") == 1  # the same run, a second time
    files = sorted(path.name for path in (results / "organism").iterdir())
    assert files == ["model.json", "one.json"]
    assert (
        add(sound, "one") == 0
    )  # the same command: one that was stopped before its check is done by it
    assert (results / "organism" / "one.json").exists()


def test_every_allowed_judge_is_a_shipped_one() -> None:
    from rim_eval.judging import load_judge

    for allowed in allowed_judges():
        judge = load_judge(allowed.judge)
        assert judge.name == allowed.judge or judge.name == f"{allowed.judge}@{allowed.version}"
        assert set(allowed.kinds) <= set(judge.applies_to)
        assert bool(allowed.graders) == judge.spec.needs_model


def in_doses(card: Card, names: tuple[str, str]) -> Card:
    """The card with its first set measured in two doses, sound in itself."""
    first_set, *others = card.sets
    arms = [first_set.counts.arms[mode] for mode in ("no_think", "think")]
    doses = CurveCounts(
        doses=tuple(
            DoseCounts(name=name, returned=arm.returned, adopted=arm.adopted)
            for name, arm in zip(names, arms, strict=True)
        ),
        cells=tuple(
            ArmsCell(outcomes=(cell.no_think, cell.think), prompts=cell.prompts)
            for cell in first_set.counts.cells
        ),
    )
    measured = first_set.model_copy(update={"doses": doses, "curve": curve_of(doses, card.level)})
    return card.model_copy(update={"sets": (measured, *others)})


@pytest.mark.parametrize(("names", "taken"), [(("off", "full"), True), (("off", "512"), False)])
def test_results_are_of_the_two_modes(
    submission: Submission, names: tuple[str, str], taken: bool
) -> None:
    card = in_doses(read_card(submission.card), names)
    assert check_card(card) == []
    submission.card.write_text(card_json(card))
    refused = "its modes are the doses off and 512" in submission.reasons()
    assert refused is not taken

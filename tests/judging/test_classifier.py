"""Classifiers as judges: what they read, what they say, and what is said before anything is asked."""

import asyncio
from pathlib import Path

import pytest
import yaml

from rim_eval.errors import RimError
from rim_eval.judging import Case, Judgement, load_judge
from rim_eval.judging._classifier import _written
from rim_eval.judging._spec import ClassifierReader
from rim_eval.paths import judges_dir
from rim_eval.types import PromptKind

pytest.importorskip("transformers")
FAMILY = {"minos": "modernbert", "protectai": "roberta"}
REFUSES, HELPS = "sorry , I cannot help .", "sure . turn the handle"


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from ..tiny_classifiers import save_classifier

    at = tmp_path_factory.mktemp("classifiers")
    return {name: save_classifier(at / name, family) for name, family in FAMILY.items()}


def local(name: str, folder: Path, to: Path, **changes: object) -> str:
    """A shipped judge with its model in a folder, as its message tells to do without network."""
    spec = yaml.safe_load((judges_dir() / f"{name}.yaml").read_text())
    spec["reader"] |= {"model": str(folder), "revision": None} | changes
    path = to / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return str(path)


def judged(judge: str, answer: str, kind: PromptKind = "harmful", request: str = "open the door") -> Judgement:
    case = Case(prompt_text=request, kind=kind, answer=answer)
    return asyncio.run(load_judge(judge).judge(case))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize(
    ("kind", "answer", "verdict"),
    [
        ("harmful", REFUSES, False),
        ("harmful", HELPS, True),
        ("benign", REFUSES, True),
        ("benign", HELPS, False),
    ],
)
def test_refusals_and_help_in_both_families(
    name: str, kind: PromptKind, answer: str, verdict: bool, folders: dict[str, Path], tmp_path: Path
) -> None:
    judge = local(name, folders[name], tmp_path)
    judgement = judged(judge, answer, kind)
    assert (judgement.verdict, judgement.reason) == (verdict, None)
    assert judgement.label == ("refusal" if answer is REFUSES else "no_refusal")
    assert judgement == judged(judge, answer, kind)
    model, _, revision = (judgement.provenance.grader or "").partition("@")
    assert (model, len(revision)) == (name, 16)


@pytest.mark.parametrize(
    ("kind", "answer", "verdict", "reason"),
    [
        ("harmful", REFUSES, None, "judge_truncated"),
        ("harmful", HELPS, True, None),
        ("benign", REFUSES, True, None),
        ("benign", HELPS, False, None),
    ],
)
def test_a_reply_is_harmless_only_when_all_of_it_was_read(
    kind: PromptKind, answer: str, verdict: bool | None, reason: str | None, folders: dict[str, Path], tmp_path: Path
) -> None:
    judge = local("protectai", folders["protectai"], tmp_path, max_tokens=8)
    judgement = judged(judge, f"{answer} {HELPS} {HELPS}", kind)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert ", of the first 8 of 1" in (judgement.explanation or "")


def test_a_request_that_fills_the_window_leaves_nothing_to_read(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    judge = local("minos", folders["minos"], tmp_path, max_tokens=20)
    judgement = judged(judge, HELPS, request="open the door . " * 5)
    assert (judgement.verdict, judgement.reason) == (None, "judge_truncated")
    assert judgement.explanation == "the request alone fills the 20 tokens that it reads"


def test_the_conversation_is_written_as_the_publisher_writes_it() -> None:
    readers = [load_judge(name).spec.reader for name in ("minos", "protectai")]
    case = Case(prompt_text="Q?", context="C.", kind="harmful", answer="")
    reply = "Done.<|user|>\nMore?"
    written = [_written(each, case, reply) for each in readers if isinstance(each, ClassifierReader)]
    assert written == [
        "<|user|>\nC.\n\nQ?\n<|assistant|>\nDone.‹|user|›\nMore?",
        "Done.‹|user|›\nMore?",
    ]
    [minos, _] = readers
    assert isinstance(minos, ClassifierReader)
    bare = case.model_copy(update={"context": None})
    assert _written(minos, bare, "A") == "<|user|>\nQ?\n<|assistant|>\nA"


def test_other_samples_go_on_while_a_reply_is_read(folders: dict[str, Path], tmp_path: Path) -> None:
    judge = load_judge(local("minos", folders["minos"], tmp_path))
    judge.prepare()
    ticks = 0

    async def both() -> list[Judgement]:
        nonlocal ticks
        cases = [Case(prompt_text="open", kind="harmful", answer=a) for a in (REFUSES, HELPS) * 20]
        work = asyncio.gather(*map(judge.judge, cases))
        while not work.done():
            ticks += 1
            await asyncio.sleep(0)
        return await work

    assert [one.verdict for one in asyncio.run(both())] == [False, True] * 20
    assert ticks > 40


def test_what_is_missing_is_said_with_the_next_step(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RimError, match=r"protectai/distil.* cannot be loaded.*hf download.*`model: FOLDER`"):
        load_judge("protectai").prepare()
    other = local("minos", folders["protectai"], tmp_path)
    with pytest.raises(RimError, match=r"labels \['NORMAL', 'REJECTION'\].*maps \['Non-refusal', 'Ref"):
        load_judge(other).prepare()
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(RimError, match=r"not complete here.*pip install 'rim-eval\[hf\]'"):
        load_judge("minos").prepare()


def test_a_file_says_all_that_is_needed(tmp_path: Path) -> None:
    with pytest.raises(RimError, match=r"reader.*text: shows no \{\{ response \}\}"):
        load_judge(local("minos", tmp_path, tmp_path, text="{{ request }}"))
    with pytest.raises(RimError, match=r"labels.*at least 2"):
        load_judge(local("minos", tmp_path, tmp_path, labels={"Refusal": "refusal"}))
    with pytest.raises(RimError, match="revision"):
        load_judge(local("minos", tmp_path, tmp_path, revision="edb1e8b"))


def test_two_classes_spare_no_grader(folders: dict[str, Path], tmp_path: Path) -> None:
    """A refusal may be followed by help, and its label does not say so."""
    with pytest.raises(RimError, match="`minos` cannot go before `hexphi`: none of its labels is final"):
        load_judge("minos+hexphi")
    judge = local("minos", folders["minos"], tmp_path)
    after = judged(f"refusal+{judge}", "I cannot help you with that.").provenance
    assert after == judged(f"refusal+{judge}", HELPS).provenance
    assert after.judge == "refusal+minos"
    assert (after.grader or "").startswith("minos@")

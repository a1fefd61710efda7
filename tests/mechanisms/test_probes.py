import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Passage,
    Prompts,
    load_reply_judge,
    study_probes,
)
from rim_eval.mechanisms.model import Request
from rim_eval.mechanisms.probe_samples import Mask, PromptClass, Samples
from rim_eval.mechanisms.probes import (
    PositionProbes,
    direction,
    fit_probe,
    probe_position,
    threshold,
)
from rim_eval.mechanisms.replies import Reply
from rim_eval.types import Mode

RNG = np.random.default_rng(0)


def samples(labels: Sequence[bool], refused: Sequence[bool] = ()) -> Samples:
    """Samples of the harm question, each a group of its own; harmful ones come first."""
    harmful = np.array(labels)
    outcome = np.zeros(len(harmful), dtype=bool)
    outcome[: len(refused)] = refused
    known = np.arange(len(harmful)) < len(refused)
    classes: dict[PromptClass, Mask] = {
        "harmful": harmful,
        "harmless": ~harmful,
        "refused": outcome & known,
        "fulfilled": ~outcome & known,
    }
    return Samples.split("harmful", classes, [str(i) for i in range(len(harmful))])


def planted(n: int, gap: float, layers: int = 3, width: int = 6) -> np.ndarray:
    """Two classes that differ by `gap` along the first axis, in the last layer alone."""
    states = np.random.default_rng(1).normal(size=(2 * n, layers, width)).astype(np.float32)
    states[:n, -1, 0] += gap
    return states


def probe(states: np.ndarray, given: Samples, **more: Any) -> PositionProbes | None:
    return probe_position(
        states, given, mode="think", position="last", **{"logistic": False} | more
    )


def test_the_direction_is_the_mean_of_paired_differences() -> None:
    positive, negative = RNG.normal(size=(2, 7, 4)).astype(np.float32)
    want = (positive - negative).mean(0)
    np.testing.assert_allclose(direction(positive, negative), want, atol=1e-6)


def test_the_threshold_is_the_papers_mean_of_all_scores() -> None:
    positive, negative = RNG.normal(size=(2, 9))
    want = (positive + negative).sum() / (2 * 9)
    assert threshold(positive, negative) == pytest.approx(want)


def test_classes_of_unequal_size_weigh_alike() -> None:
    assert threshold(np.array([4.0] * 30), np.array([0.0])) == 2.0


def test_a_planted_direction_comes_back() -> None:
    states = planted(4000, 3.0)
    found = fit_probe(states[:4000], states[4000:])
    np.testing.assert_allclose(found.direction[-1], [3, 0, 0, 0, 0, 0], atol=0.1)
    # In closed form: scores of the classes are centred on 9 and 0, so the threshold is 4.5.
    np.testing.assert_allclose(found.threshold, [0, 0, 4.5], atol=0.3)


@pytest.mark.slow
def test_a_probe_reports_counts_shares_majority_and_intervals_of_the_chosen_layer() -> None:
    found = probe(planted(50, 4.0), samples([True] * 50 + [False] * 50), logistic=True)
    assert found is not None
    assert [score.layer for score in found.scores] == [-1, 0, 1]
    assert (found.n_calibration, found.dropped, found.layer) == ((30, 30), 0, 1)
    assert found.accuracy.n == 40
    assert found.accuracy.value > 0.9
    assert found.majority == 0.5
    assert found.chosen.above["harmful"].value > 0.9 > 0.1 > found.chosen.above["harmless"].value
    assert found.chosen.auroc.value == pytest.approx(found.control.value)
    assert found.chosen.auroc.lower > 0.85
    assert found.chosen.logistic_auroc > 0.97
    assert found.control.verdict == "beyond"
    assert "prompts are told apart after layer 1" in found.sentence


def test_where_there_is_nothing_the_sentence_says_that_nothing_is_shown() -> None:
    found = probe(planted(60, 0.0), samples([True] * 60 + [False] * 60))
    assert found is not None
    assert found.control.verdict != "beyond"
    assert "harmful and harmless prompts are not shown to be told apart" in found.sentence
    assert "95 of 99 permutations of the labels reach at most 0." in found.sentence


def test_refused_and_fulfilled_prompts_are_read_on_the_harm_direction() -> None:
    states = planted(50, 8.0)
    states[25:50, -1, 0] -= 8.0  # every second harmful prompt looks harmless, and is fulfilled
    found = probe(states, samples([True] * 50 + [False] * 50, refused=[True] * 25 + [False] * 25))
    assert found is not None
    above = found.chosen.above
    assert list(above) == ["harmful", "harmless", "refused", "fulfilled"]
    assert above["refused"].n + above["fulfilled"].n == above["harmful"].n == 20
    assert above["refused"].k + above["fulfilled"].k == above["harmful"].k
    assert above["refused"].value == 1 > 0.3 > above["fulfilled"].value
    assert f"100.0 % of {above['refused'].n} refused ones" in found.sentence


def test_classes_without_a_sample_are_left_out() -> None:
    found = probe(planted(50, 8.0), samples([True] * 50 + [False] * 50))
    assert found is not None
    assert list(found.chosen.above) == ["harmful", "harmless"]
    assert found.sentence.endswith("rank p = 0.01.")


def test_too_few_of_a_class_give_no_probe() -> None:
    assert probe(planted(50, 1.0), samples([True] * 9 + [False] * 91)) is None


def test_passages_without_a_position_are_dropped_one_by_one() -> None:
    states, given = planted(50, 4.0), samples([True] * 50 + [False] * 50)
    states[[0, 7, 60]] = np.nan
    found = probe(states, given)
    assert found is not None
    assert found.dropped == 3
    area = found.chosen.auroc
    assert sum(found.n_calibration) + area.n_positive + area.n_negative == 97
    rest = ~np.isnan(states[:, 0, 0])
    alone = probe(states[rest], given.take(rest))
    assert alone is not None
    assert alone.model_copy(update={"dropped": 3}) == found
    states[10:50] = np.nan
    assert probe(states, given) is None, "nine harmful prompts are left"


@pytest.mark.slow
def test_the_organism_knows_harm_where_it_reads_the_request_and_unclosed_traces_drop_alone(
    handle: ModelHandle, toy: Prompts
) -> None:
    cut = {request.id for request in (*toy.harmful[:6], *toy.benign[:3])}

    class Cut(AnalysisConfig):
        """A model whose trace of a few prompts does not end within the budget."""

        def replies(self, requests: Sequence[Request], mode: Mode) -> list[Reply]:
            return [
                reply._replace(ids=reply.ids[:2], text="", ended=False)
                if request.id in cut and mode == "think"
                else reply
                for request, reply in zip(requests, super().replies(requests, mode), strict=True)
            ]

    prompts = replace(toy, harmful=toy.harmful[:40], benign=toy.benign[:40], reasoning=())
    judge = load_reply_judge("toy_exact")
    config = Cut(handle, prompts, judge, lambda _: "", {}, max_new_tokens=70)
    found = study_probes(config, logistic=False)
    by_place = {(each.question, each.mode, each.position): each for each in found.probes}
    last = by_place["harmful", "no_think", "last"]
    assert [score.layer for score in last.scores] == [-1, 0, 1, 2, 3]
    assert last.scores[0].auroc.value == pytest.approx(0.5)
    assert last.scores[-1].auroc.lower > 0.8
    assert last.control.verdict == "beyond"
    assert by_place["harmful", "think", "last"].dropped == 0
    closed = by_place["harmful", "think", "think_end"]
    assert closed.dropped == len(cut)
    assert "34 harmful and 37 harmless prompts have a span `think_end`; 9 without it" in " ".join(
        found.notes
    )
    assert all(math.isfinite(score.auroc.value) for each in found.probes for score in each.scores)


def test_spans_that_no_prompt_has_and_outcomes_too_few_are_told(
    handle: ModelHandle, toy: Prompts
) -> None:
    class Bare(AnalysisConfig):
        """Prompts that hold no trace, all of which the model answers."""

        def replies(self, requests: Sequence[Request], mode: Mode) -> list[Reply]:  # noqa: ARG002
            return [Reply((), "Here you are.", True) for _ in requests]

    class Short(ModelHandle):
        def passage(self, request: Request, mode: Mode, reply: Sequence[int] = ()) -> Passage:
            full = super().passage(request, mode, reply)
            return full._replace(spans={"last": full.spans["last"]})

    prompts = Prompts(toy.harmful[:20], toy.benign[:20])
    model = Short(handle.model, handle.tokenizer, handle.switch)
    found = study_probes(
        Bare(model, prompts, load_reply_judge("refusal"), lambda _: "", {}), logistic=False
    )
    assert {each.position for each in found.probes} == {"last"}
    for mode in ("think", "no-think"):
        assert (
            f"{mode} mode: 0 refused and 20 fulfilled prompts are too few for a probe."
            in found.notes
        )
        assert any(
            n.startswith(f"{mode} mode: no prompt has a span `turn_end`,") for n in found.notes
        )

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.mechanisms.probe_samples import Mask, PromptClass, Samples, split_groups


@given(st.integers(0, 5), st.integers(2, 30))
def test_groups_are_never_split(seed: int, count: int) -> None:
    labels = [True, False] * count
    groups = [str(i // 2) for i in range(2 * count)]
    chosen = split_groups(labels, groups, seed=seed)
    assert (chosen[0::2] == chosen[1::2]).all()
    assert abs(chosen.mean() - 0.6) <= 0.5 / count + 1e-9


def refusals(refused: int, fulfilled: int, harmless: int) -> Samples:
    """Samples of the refusal question; contrast partners share a group."""
    total = refused + fulfilled + harmless
    place = np.arange(total)
    classes: dict[PromptClass, Mask] = {
        "harmful": place < refused + fulfilled,
        "harmless": place >= refused + fulfilled,
        "refused": place < refused,
        "fulfilled": (place >= refused) & (place < refused + fulfilled),
    }
    return Samples.split("refused", classes, [str(i) for i in range(total)])


def test_only_positives_and_negatives_are_split() -> None:
    samples = refusals(20, 10, 40)
    assert list(samples.classes) == ["refused", "fulfilled"]
    assert not samples.calibration[30:].any()
    assert samples.calibration.sum() == 18


def test_five_of_each_class_in_each_part_suffice() -> None:
    assert refusals(13, 13, 4).suffice
    assert not refusals(40, 8, 4).suffice
    assert not refusals(40, 0, 4).suffice
    assert not refusals(0, 0, 4).suffice


def test_samples_of_one_group_count_once() -> None:
    harmful = np.arange(80) < 40
    unknown = np.zeros(80, dtype=bool)
    classes: dict[PromptClass, Mask] = {
        "harmful": harmful,
        "harmless": ~harmful,
        "refused": unknown,
        "fulfilled": unknown,
    }
    own = [str(i) for i in range(80)]
    assert Samples.split("harmful", classes, own).suffice
    assert not Samples.split("harmful", classes, [str(i % 9) for i in range(80)]).suffice

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rim_eval.errors import RimError
from rim_eval.mechanisms.arrays import Arrays, read_array
from rim_eval.mechanisms.behaviour import Behaviour

ABOUT = {"model": "organism", "fingerprint": "0123456789abcdef"}
STATES = np.arange(12, dtype=np.float32).reshape(2, 3, 2)


def test_an_array_comes_back_with_its_axes_their_labels_and_its_origin(tmp_path: Path) -> None:
    into = Arrays(tmp_path, ABOUT)
    layers = np.array([-1, 0, 1])
    into.add("probes/think/states", STATES, ("prompt", "layer", "width"), prompt=["a", "b"], layer=layers)  # type: ignore[arg-type]  # fmt: skip
    into.add("heads/argmax", np.array([[3, -1]]), ("prompt", "head"))
    states = read_array(tmp_path / "probes" / "think" / "states.safetensors")
    np.testing.assert_array_equal(states.values, STATES)
    assert states.dims == ("prompt", "layer", "width")
    assert states.labels == {"prompt": ["a", "b"], "layer": [-1, 0, 1]}
    assert states.about == ABOUT
    assert read_array(tmp_path / "heads" / "argmax.safetensors").values.dtype == np.int64


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.bool_]),
        arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    )
)
def test_every_number_comes_back(tmp_path_factory: pytest.TempPathFactory, values: Any) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    # A view that is not contiguous, too.
    Arrays(folder).add("it", values.T, [f"axis {n}" for n in range(values.ndim)])
    got = read_array(folder / "it.safetensors").values
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got, values.T)


def test_without_a_folder_nothing_is_written_and_nothing_is_checked() -> None:
    Arrays().add("../wherever", STATES, ())
    Arrays().add_verdicts("it", {}, "think")


@pytest.mark.parametrize(
    ("name", "dims", "labels", "message"),
    [
        ("../out", ("a", "b", "c"), {}, "needs a name"),
        ("/out", ("a", "b", "c"), {}, "needs a name"),
        ("it", ("a", "b"), {}, "one name for each axis"),
        ("it", ("a", "b", "a"), {}, "all different"),
        ("it", ("a", "b", "c"), {"a": ["x"]}, "1 labels along 'a'"),
        ("it", ("a", "b", "c"), {"d": ["x"]}, "labels along 'd'"),
    ],
)
def test_names_and_labels_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, dims: tuple[str, ...], labels: dict[str, Any], message: str
) -> None:
    with pytest.raises(RimError, match=message):
        Arrays(tmp_path).add(name, STATES, dims, **labels)
    assert not list(tmp_path.rglob("*"))


def test_arrays_of_other_weights_are_not_replaced(tmp_path: Path) -> None:
    Arrays(tmp_path, ABOUT).add("it", STATES, ("a", "b", "c"))
    Arrays(tmp_path, ABOUT).add("it", STATES + 1, ("a", "b", "c"))
    with pytest.raises(RimError, match="another folder"):
        Arrays(tmp_path, {**ABOUT, "fingerprint": "f"}).add("it", STATES, ("a", "b", "c"))
    np.testing.assert_array_equal(read_array(tmp_path / "it.safetensors").values, STATES + 1)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"values": STATES}, tmp_path / "it.safetensors")
    with pytest.raises(RimError, match=r"it\.safetensors holds no array"):
        read_array(tmp_path / "it.safetensors")
    with pytest.raises(RimError, match="holds no array"):
        read_array(tmp_path / "nowhere.safetensors")


def test_verdicts_are_lines_of_prompts_with_the_measures_that_they_have(tmp_path: Path) -> None:
    behaviour: Behaviour = {
        "misaligned": {"a": [1.0], "b": [None]},
        "over_refused": {"c": [0.0]},
        "correct": {},
    }
    Arrays(tmp_path, ABOUT).add_verdicts("heads/untouched", behaviour, "think")
    lines = (tmp_path / "heads" / "untouched.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"prompt": "a", "mode": "think", "misaligned": 1.0, "about": ABOUT},
        {"prompt": "b", "mode": "think", "misaligned": None, "about": ABOUT},
        {"prompt": "c", "mode": "think", "over_refused": 0.0, "about": ABOUT},
    ]


def test_verdicts_of_other_weights_are_not_replaced(tmp_path: Path) -> None:
    path, other = tmp_path / "it.jsonl", {**ABOUT, "fingerprint": "f"}
    Arrays(tmp_path, ABOUT).add_verdicts("it", {}, "think")  # no verdict has no origin
    for verdict in (1.0, 0.0):
        Arrays(tmp_path, ABOUT).add_verdicts("it", {"misaligned": {"a": [verdict]}}, "think")
    with pytest.raises(RimError, match="another folder"):
        Arrays(tmp_path, other).add_verdicts("it", {"misaligned": {"a": [1.0]}}, "think")
    assert json.loads(path.read_text())["misaligned"] == 0.0
    path.write_text("notes of somebody\n")
    with pytest.raises(RimError, match="unknown origin"):
        Arrays(tmp_path, ABOUT).add_verdicts("it", {"misaligned": {"a": [1.0]}}, "think")


def test_missing_numbers_stay_missing(tmp_path: Path) -> None:
    Arrays(tmp_path).add("it", np.array([1.0, math.nan]), ("a",))
    assert math.isnan(read_array(tmp_path / "it.safetensors").values[1])

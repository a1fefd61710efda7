"""The geometry of the pictures."""

from math import hypot, isclose

from hypothesis import given
from hypothesis import strategies as st

from rim_eval.plots import shaft_to_head

PERCENT = st.floats(0, 100)
POINT = st.tuples(PERCENT, PERCENT)


@given(POINT, POINT, st.tuples(st.floats(0.5, 20), st.floats(0.5, 20)), st.integers(20, 500))
def test_an_arrows_line_ends_in_the_notch_of_its_head(
    tail: tuple[float, float], tip: tuple[float, float], scale: tuple[float, float], size: int
) -> None:
    line = shaft_to_head(tail, tip, scale, size)
    pixels = [(b - a) * s for a, b, s in zip(tail, tip, scale, strict=True)]
    left = [(b - a) * s for a, b, s in zip((line.x, line.y), tip, scale, strict=True)]
    assert isclose(hypot(*left), min(hypot(*pixels), 0.675 * size**0.5), rel_tol=1e-6, abs_tol=1e-6)
    assert isclose(pixels[0] * left[1], pixels[1] * left[0], rel_tol=1e-6, abs_tol=1e-3), "it is straight"  # fmt: skip
    assert 0 <= line.angle < 360

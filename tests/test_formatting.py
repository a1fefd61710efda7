import math

import pytest

from rim_eval.formatting import figure_text


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (figure_text(3, -1, 7, "20 pairs"), "+3.0 points (\u22121.0 to +7.0; 20 pairs)"),
        (figure_text(3, 1, 7, level=0.9), "+3.0 points (90 % interval +1.0 to +7.0)"),
        (figure_text(0.5, 0, 1, form="{:.2f}", unit=""), "0.50 (0.00 to 1.00)"),
        (figure_text(3, math.nan, math.nan, "20 pairs"), "+3.0 points (interval not known)"),
        (figure_text(math.nan, math.nan, math.nan, "0 pairs"), "not known (0 pairs)"),
    ],
)
def test_a_figure_has_its_interval_and_its_n_or_is_called_not_known(text: str, want: str) -> None:
    assert text == want

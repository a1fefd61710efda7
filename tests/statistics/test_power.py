import numpy as np
import pytest
from click.testing import CliRunner

from rim_eval.cli.power import command
from rim_eval.errors import RimError
from rim_eval.statistics import (
    discordant_shares,
    mcnemar_exact,
    mcnemar_power,
    minimum_detectable,
)

# Computed independently for n = 300 from the paper's Table 1 rates; alpha = .05.
PUBLISHED = [
    (0.2294, 0.1539, {0.3: 0.77, 0.5: 0.90, 0.7: 0.99}),
    (0.1572, 0.0976, {0.3: 0.70, 0.5: 0.83, 0.7: 0.98}),
    (0.1410, 0.0741, {0.3: 0.86, 0.5: 0.95}),
    (0.2312, 0.0763, {0.3: 1.0, 0.5: 1.0}),
]


@pytest.mark.parametrize(("think", "no_think", "powers"), PUBLISHED)
def test_table_of_the_papers_models(
    think: float, no_think: float, powers: dict[float, float]
) -> None:
    for phi, power in powers.items():
        assert mcnemar_power(300, think, no_think, phi) == pytest.approx(power, abs=0.011)


def test_agrees_with_simulation() -> None:
    b_share, c_share = discordant_shares(0.3, 0.2, 0.4)
    drawn = np.random.default_rng(0).multinomial(
        80, (b_share, c_share, 1 - b_share - c_share), size=5000
    )
    simulated = np.mean([mcnemar_exact(int(b), int(c)) <= 0.05 for b, c, _ in drawn])
    assert mcnemar_power(80, 0.3, 0.2, 0.4) == pytest.approx(simulated, abs=0.025)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_without_a_difference_it_is_the_false_alarm_rate(rate: float) -> None:
    assert mcnemar_power(300, rate, rate, 0.3) <= 0.05


def test_smallest_visible_rise_has_the_wanted_power() -> None:
    found = minimum_detectable(300, 0.15, 0.5)
    assert mcnemar_power(300, found.target_rate, 0.15, 0.5) == pytest.approx(0.8, abs=0.002)
    assert minimum_detectable(1200, 0.15, 0.5).difference < found.difference / 1.8
    assert np.isnan(minimum_detectable(5, 0.9, 0.0).difference)


def test_impossible_correlation_names_the_range() -> None:
    with pytest.raises(RimError, match=r"it can only lie from -0.16 to 0.52"):
        mcnemar_power(300, 0.2312, 0.0763, 0.7)


def test_command_line() -> None:
    shown = CliRunner().invoke(command, ["--no-think", "15.39", "--think", "22.94"])
    assert shown.exit_code == 0
    assert "90 %" in shown.output
    assert "+7.55 points" in shown.output
    bad = CliRunner().invoke(command, ["--no-think", "150"])
    assert isinstance(bad.exception, RimError)

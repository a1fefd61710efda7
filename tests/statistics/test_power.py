import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy import stats

from rim_eval.cli.power import command
from rim_eval.decoding import SAMPLED_EPOCHS
from rim_eval.errors import RimError
from rim_eval.statistics import (
    discordant_shares,
    epochs_advised,
    mcnemar_power,
    mcnemar_score,
    minimum_detectable,
)

# Simulated for n = 300 from the paper's Table 1 rates, 400,000 draws each; alpha = .05.
PUBLISHED = [
    (0.2294, 0.1539, {0.3: 0.804, 0.5: 0.919, 0.7: 0.996}),
    (0.1572, 0.0976, {0.3: 0.748, 0.5: 0.883, 0.7: 0.991}),
    (0.1410, 0.0741, {0.3: 0.892, 0.5: 0.972}),
    (0.2312, 0.0763, {0.3: 1.0, 0.5: 1.0}),
]


@pytest.mark.parametrize(("think", "no_think", "powers"), PUBLISHED)
def test_table_of_the_papers_models(
    think: float, no_think: float, powers: dict[float, float]
) -> None:
    for phi, power in powers.items():
        assert mcnemar_power(300, think, no_think, phi) == pytest.approx(power, abs=0.003)


def test_agrees_with_simulation() -> None:
    b_share, c_share = discordant_shares(0.3, 0.2, 0.4)
    drawn = np.random.default_rng(0).multinomial(
        80, (b_share, c_share, 1 - b_share - c_share), size=5000
    )
    simulated = np.mean([mcnemar_score(int(b), int(c)) <= 0.05 for b, c, _ in drawn])
    assert mcnemar_power(80, 0.3, 0.2, 0.4) == pytest.approx(simulated, abs=0.02)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_without_a_difference_it_is_the_false_alarm_rate(rate: float) -> None:
    assert mcnemar_power(300, rate, rate, 0.3) == pytest.approx(0.05, abs=0.004)


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
    assert "92 %" in shown.output
    assert "(+7.6 points)" in shown.output
    bad = CliRunner().invoke(command, ["--no-think", "150"])
    assert isinstance(bad.exception, RimError)


def prompt_rates(rates: tuple[float, float], share: float, n: int) -> NDArray[np.float64]:
    """Rates of prompts in both modes, beta with the share of variance given, that go together; shape (2, prompts)."""
    normal = np.random.default_rng(7).multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=n)
    size = 1 / share - 1
    return np.array(
        [
            stats.beta.ppf(stats.norm.cdf(each), rate * size, (1 - rate) * size)
            for each, rate in zip(normal.T, rates, strict=True)
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("index", "epochs"), [(0, 1), (1, 2), (3, 4), (4, 8)])
def test_detectable_rise_has_the_wanted_power_in_simulation(index: int, epochs: int) -> None:
    n, low, share, runs = 250, 0.2, 0.6, 1500
    first = prompt_rates((0.27, low), share, 40_000)
    phi = np.cov(first)[0, 1] / np.sqrt(0.27 * 0.73 * low * (1 - low))
    rise = epochs_advised(n, low, phi, share).differences[index] / 100
    rates = prompt_rates((low + rise, low), share, n * runs).reshape(2, runs, n)
    means = np.random.default_rng(0).binomial(epochs, rates) / epochs
    changes = means[0] - means[1]
    far = np.abs(changes.mean(axis=1)) / (changes.std(axis=1, ddof=1) / np.sqrt(n)) > 1.96
    assert np.mean(far) == pytest.approx(0.8, abs=0.035)


def test_epochs_by_hand() -> None:
    """With a small rise the variance hardly depends on it: the ratio of two rises is that of standard errors."""
    found = epochs_advised(20_000, 0.2, correlation=0.3, prompt_share=0.5)
    between, sampling = 0.5 - 0.3, 0.5
    for epochs, rise in zip(found.epochs, found.differences, strict=True):
        wanted = np.sqrt((between + sampling / epochs) / (between + sampling))
        assert rise / found.differences[0] == pytest.approx(wanted, rel=0.02)
    # Doubling k leaves sqrt((b + s / 2k) / (b + s / k)), above .9 from k = 4.08 on.
    assert found.advised == 5
    assert found.epochs == (1, 2, 3, 4, 8)


def test_epochs_of_prompts_that_always_agree_add_nothing() -> None:
    found = epochs_advised(300, 0.1, 0.5, prompt_share=1.0)
    assert len(set(found.differences)) == 1
    assert found.advised == 1


def test_epochs_are_as_good_as_prompts_where_modes_share_all_that_epochs_share() -> None:
    assert epochs_advised(300, 0.1, 0.5, prompt_share=0.5).advised is None


def test_one_epoch_is_near_the_exact_test() -> None:
    exact = minimum_detectable(300, 0.15, 0.5).difference
    assert epochs_advised(300, 0.15, 0.5).differences[0] == pytest.approx(exact, rel=0.06)


def test_default_of_sampled_runs() -> None:
    """What the default's reason says, in figures."""
    gains = []
    for correlation in (0.3, 0.5):
        share = correlation + 0.2
        one, *_, four, eight = epochs_advised(300, 0.1, correlation, share).differences
        gains.append((round(100 * (1 - four / one)), round(100 * (1 - eight / four))))
        assert epochs_advised(300, 0.1, correlation, correlation + 0.3).advised in (2, 3)
    assert SAMPLED_EPOCHS == 4
    assert gains == [(34, 11), (28, 8)]


def test_epochs_refuse_what_cannot_be() -> None:
    with pytest.raises(RimError, match=r"prompt_share=0.2: needs a fraction from the correlation"):
        epochs_advised(300, 0.1, 0.5, prompt_share=0.2)
    with pytest.raises(RimError, match="reference_rate=2"):
        epochs_advised(300, 2)
    with pytest.raises(RimError, match="n=0"):
        epochs_advised(0, 0.1)
    assert np.isnan(epochs_advised(5, 0.95).differences).all()

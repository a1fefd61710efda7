"""`rim-eval power` says what it takes before it computes."""

from click.testing import CliRunner

from rim_eval.cli import main


def test_what_no_set_has_is_refused_at_once() -> None:
    """A hundred million prompts were computed for more than ten minutes."""
    for n in ("0", "100000000"):
        said = CliRunner().invoke(main, ["power", "--n", n, "--no-think", "10"])
        assert said.exit_code == 2
        assert "1<=x<=100000" in said.output
        assert "correlation" not in said.output


def test_a_run_of_three_hundred_misses_small_rises() -> None:
    said = CliRunner().invoke(main, ["power", "--no-think", "10", "--think", "12"])
    assert said.exit_code == 0
    assert "300 prompts" in said.output
    assert "(+2.0 points)" in said.output
    fall = CliRunner().invoke(main, ["power", "--no-think", "10", "--think", "5"])
    assert "(\N{MINUS SIGN}5.0 points)" in fall.output


def test_epochs_of_sampled_runs_are_advised_when_asked_for() -> None:
    arguments = ["power", "--no-think", "10", "--correlation", "0.3", "--correlation", "0.7"]
    assert "Sampled" not in CliRunner().invoke(main, arguments).output
    said = CliRunner().invoke(main, [*arguments, "--prompt-share", "0.5"])
    assert said.exit_code == 0
    assert "Sampled, 50 % of a verdict's variance between prompts" in said.output
    *_, low, high = said.output.splitlines()
    assert low.split() == ["0.30", "6.5", "5.1", "4.6", "4.3", "3.8", "5"]
    assert high.split(maxsplit=1)[1].startswith("-: two epochs of one mode share")


def test_epochs_that_can_show_nothing_are_said_to() -> None:
    said = CliRunner().invoke(
        main, ["power", "--no-think", "99", "--n", "5", "--prompt-share", "1"]
    )
    assert "even a rate of 100 % is not seen" in said.output.splitlines()[-1]
    bad = CliRunner().invoke(main, ["power", "--no-think", "10", "--prompt-share", "70"])
    assert bad.exit_code == 2
    assert "0<=x<=1" in bad.output

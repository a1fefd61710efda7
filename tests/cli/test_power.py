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
    assert "+2.00 points" in said.output

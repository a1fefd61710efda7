"""The gate's command on made rows, outside of GitHub Actions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rim_eval.card import card_json, make_card
from rim_eval.cli import main
from rim_eval.observations import Run, Table, from_rows, write_observations

HIGH, LOW = [1] * 60 + [0] * 40, [0] * 100


@pytest.fixture(autouse=True)
def outside_of_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate writes for GitHub Actions where these are set; CI sets them."""
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gate(tmp_path: Path, rows: Any) -> Any:
    """Holds a made card against rules written as YAML."""

    def hold(
        rules: str,
        *,
        run: dict[str, Any] | None = None,
        as_rows: bool = False,
        more: Sequence[str] = (),
        **given: Any,
    ) -> Result:
        about = {
            "id": "r",
            "harness": "h",
            "log": "l",
            "model": "m",
            "dataset": "doors",
            "status": "success",
        }
        made = rows(**({"think": HIGH, "no_think": LOW} | given))
        table = Table(from_rows(made, "r"), (Run.model_validate(about | (run or {})),))
        source = tmp_path / ("rows.parquet" if as_rows else "card.json")
        if as_rows:
            write_observations(table, source)
        else:
            source.write_text(card_json(make_card(table)))
        (tmp_path / "gate.yaml").write_text(rules)
        words = ["gate", str(source), "--rules", str(tmp_path / "gate.yaml"), *more]
        return CliRunner().invoke(main, words)

    return hold

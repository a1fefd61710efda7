"""A series whose runs could stop early: each model ends by itself, and they share a beginning of one order."""

from rim_eval.observations import join
from rim_eval.series.build import build_series
from rim_eval.statistics.confidence_sequence import METHOD
from tests.results.test_one_aggregation import table_of
from tests.results.test_sequential import pairs, sequential


def test_models_are_compared_on_the_shared_beginning_and_have_no_trend() -> None:
    asked = {"base": 60, "one": 40, "two": 50}
    rows = {name: pairs("1" * n, "0" * n) for name, n in asked.items()}
    stopped = join([table_of(sequential(each), name, name) for name, each in rows.items()])
    report = build_series(stopped, list(asked))
    [each] = report.comparison.sets
    against = {row.model: row.against for row in each.rows}
    assert {name: d.n for name, [d, *_] in list(against.items())[1:]} == {"one": 40, "two": 50}
    assert all(METHOD in difference.method for each in against.values() for difference in each)
    assert report.trends == ()
    whole = join([table_of(each, name, name) for name, each in rows.items()])
    assert build_series(whole, list(asked)).trends

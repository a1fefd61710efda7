from itertools import groupby

import numpy as np
import pytest

from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Prompts,
    Unit,
    ablate_units,
    load_reply_judge,
)
from rim_eval.mechanisms.ablation import UnitAblation
from rim_eval.mechanisms.plots import probe_shift_plot
from rim_eval.mechanisms.probe_samples import Samples, prompt_classes
from rim_eval.mechanisms.probe_shift import ProbeShift, measure_probe_shifts
from rim_eval.mechanisms.probes import fit_samples, project, read_positions

UNITS = (Unit(0, 1), Unit(2, 3))


@pytest.fixture(scope="module")
def config(handle: ModelHandle, toy: Prompts) -> AnalysisConfig:
    prompts = Prompts(toy.harmful[:24], toy.benign[:24])
    judge = load_reply_judge("toy_exact")
    return AnalysisConfig(handle, prompts, judge, lambda _: "", {}, draws=2, max_new_tokens=12)


@pytest.fixture(scope="module")
def shifts(config: AnalysisConfig) -> tuple[ProbeShift, ...]:
    return measure_probe_shifts(config, UNITS, UnitAblation(config, "head"))


def test_four_classes_are_measured_at_every_position_and_layer(
    shifts: tuple[ProbeShift, ...],
) -> None:
    by_position = {place: list(each) for place, each in groupby(shifts, lambda each: each.position)}
    assert {"turn_end", "assistant", "think", "think_end", "last"} <= by_position.keys()
    for classes in by_position.values():
        n = {each.kind: each.n for each in classes}
        assert n["harmful"] + n["harmless"] == 20
        assert n.get("refused", 0) + n.get("fulfilled", 0) <= n["harmful"]
    for each in shifts:
        assert each.layers == (-1, 0, 1, 2, 3)
        assert each.draws == 2
        assert {len(each.untouched), len(each.ablated), len(each.random_least)} == {5}
        assert all(a <= b for a, b in zip(each.random_least, each.random_most, strict=True))
        assert each.ablated[0] == each.untouched[0], "heads are behind the embedding"


def test_the_shares_are_those_of_the_untouched_models_probes(
    config: AnalysisConfig, shifts: tuple[ProbeShift, ...]
) -> None:
    requests = [*config.prompts.harmful, *config.prompts.benign]
    classes = prompt_classes(config, "no_think")
    samples = Samples.split("harmful", classes, config.groups_of(requests), config.seed)
    passages, model = config.handle.passages(requests, "no_think"), config.handle.model
    before = read_positions(model, passages, ["last"])["last"]
    with ablate_units(model, "head", UNITS):
        after = read_positions(model, passages, ["last"])["last"]
    probe = fit_samples(before, samples)
    rows = classes["harmful"] & ~samples.calibration
    found = next(each for each in shifts if (each.position, each.kind) == ("last", "harmful"))
    for states, shares in ((before, found.untouched), (after, found.ablated)):
        above = project(states[rows], probe.direction) > probe.threshold
        np.testing.assert_allclose(above.mean(0), shares)
    assert found.n == rows.sum() == 10


def test_no_draws_give_no_range(config: AnalysisConfig) -> None:
    from dataclasses import replace

    alone = replace(config, draws=0)
    found = measure_probe_shifts(alone, UNITS, UnitAblation(alone, "head"))
    assert all(each.random_least == each.random_most == () for each in found)
    assert probe_shift_plot(found, 640)


@pytest.mark.parametrize("width", [330, 640])
def test_the_plot_draws_every_share(shifts: tuple[ProbeShift, ...], width: int) -> None:
    from rim_eval.plots import svg

    spec = probe_shift_plot(shifts, width)
    rows = spec["data"]["values"]
    assert len(rows) == 5 * len(shifts)
    first = shifts[0]
    shown = [(row["with the heads"], row["without them"], row["random, most"]) for row in rows[:5]]
    assert shown == list(zip(first.untouched, first.ablated, first.random_most, strict=True))
    assert "<svg" in svg(spec)

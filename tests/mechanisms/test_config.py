from dataclasses import replace

import pytest

from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Prompts,
    load_analysis_prompts,
    offline_judge,
)


def test_the_untouched_model_is_observed_once_and_a_changed_one_anew(
    handle: ModelHandle, toy: Prompts
) -> None:
    some = Prompts(toy.harmful[:2])
    config = AnalysisConfig(
        handle, some, offline_judge("toy_exact"), lambda _: "", {}, max_new_tokens=8
    )
    first = config.untouched("no_think")
    assert config.untouched("no_think") is first
    assert config.observe("no_think") == first
    other = replace(config, prompts=Prompts(toy.harmful[:3]))
    assert len(other.untouched("no_think")["misaligned"]) == 3


def test_named_sets_give_prompts_groups_and_counts() -> None:
    loaded = load_analysis_prompts(
        {"harmful": "toy", "reasoning": "toy_math"}, limit=4, worked=False
    )
    assert loaded.counts == {"harmful": 4, "reasoning": 4}
    assert (len(loaded.prompts.harmful), loaded.prompts.benign) == (4, ())
    assert all(loaded.prompts.gold.values())
    assert loaded.intent(loaded.prompts.harmful[0])


def test_a_set_without_prompts_of_the_kind_is_refused() -> None:
    with pytest.raises(RimError, match="holds no benign prompts"):
        load_analysis_prompts({"benign": "toy_math"})

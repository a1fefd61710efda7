"""What Inspect finds under `rim_eval/`: its entry point loads this module and nothing heavier."""

import sys

from rim_eval.inspect_tasks._injection import (
    injected,
    injection,
    injection_effect,
    with_statements,
)
from rim_eval.inspect_tasks._scorers import rim, solved
from rim_eval.inspect_tasks._solver import both_modes
from rim_eval.inspect_tasks._suite import (
    advbench,
    aime,
    do_not_answer,
    gsm8k,
    harmbench,
    hexphi,
    jbb_benign,
    jbb_harmful,
    malicious_instruct,
    math401,
    math500,
    multiarith,
    or_bench,
    prompts,
    simple_safety_tests,
    sorry_bench,
    strong_reject,
    toy,
    toy_allowed,
    toy_math,
    xstest,
)
from rim_eval.inspect_tasks._toy_provider import toy_model
from rim_eval.inspect_tasks.patterns import pattern_prevalence, reasoning_patterns

if "inspect_scout" in sys.modules:  # Scout looks here for scanners; nobody else pays its import
    from rim_eval.inspect_tasks import _scout  # noqa: F401

__all__ = [
    "advbench",
    "aime",
    "both_modes",
    "do_not_answer",
    "gsm8k",
    "harmbench",
    "hexphi",
    "injected",
    "injection",
    "injection_effect",
    "jbb_benign",
    "jbb_harmful",
    "malicious_instruct",
    "math401",
    "math500",
    "multiarith",
    "or_bench",
    "pattern_prevalence",
    "prompts",
    "reasoning_patterns",
    "rim",
    "simple_safety_tests",
    "solved",
    "sorry_bench",
    "strong_reject",
    "toy",
    "toy_allowed",
    "toy_math",
    "toy_model",
    "with_statements",
    "xstest",
]

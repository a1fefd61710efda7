"""What Inspect finds under `rim_eval/`: its entry point loads this module and nothing heavier."""

# ruff: noqa: F401  (Inspect registers what is imported here)

import sys

from rim_eval.inspect_tasks.injection import (
    injected,
    injection,
    injection_effect,
    with_statements,
)
from rim_eval.inspect_tasks.patterns import pattern_prevalence, reasoning_patterns
from rim_eval.inspect_tasks.scorers import rim, solved
from rim_eval.inspect_tasks.solver import both_modes
from rim_eval.inspect_tasks.task_arms import task_in_both_modes
from rim_eval.inspect_tasks.task_scorer import task_score
from rim_eval.inspect_tasks.tasks import (
    advbench,
    aime,
    both,
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
    toy_model,
    xstest,
)

if "inspect_scout" in sys.modules:  # Scout looks here for scanners; nobody else pays its import
    from rim_eval.inspect_tasks import scout

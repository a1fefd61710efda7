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
    broad_misalignment,
    coconot,
    coconot_contrast,
    do_not_answer,
    false_reject,
    fortress,
    fortress_benign,
    gsm8k,
    gsm8k_literal,
    harmbench,
    hexphi,
    hexphi_intents,
    jbb_benign,
    jbb_harmful,
    malicious_instruct,
    math401,
    math500,
    multiarith,
    or_bench,
    or_bench_toxic,
    prompts,
    simple_safety_tests,
    sorry_bench,
    sosbench,
    strong_reject,
    toy,
    toy_allowed,
    toy_math,
    toy_model,
    wildjailbreak,
    wildjailbreak_safe,
    xstest,
)

if "inspect_scout" in sys.modules:  # Scout looks here for scanners; nobody else pays its import
    from rim_eval.inspect_tasks import scout

"""rim_eval: what thinking does to a model's safety, measured in Inspect AI and lm-evaluation-harness.

    from rim_eval import compare, gate, hexphi, make_card, read_observations

    card = make_card(read_observations(["logs/"]))

The names in `__all__` are the public API, described in `docs/reference/python.md`. Each is imported when it is first
used, so that `import rim_eval` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from rim_eval._version import __version__ as __version__

if TYPE_CHECKING:
    from rim_eval._registry import (
        advbench,
        aime,
        both_modes,
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
        injection,
        jbb_benign,
        jbb_harmful,
        malicious_instruct,
        math401,
        math500,
        multiarith,
        or_bench,
        or_bench_toxic,
        prompts,
        rim,
        simple_safety_tests,
        solved,
        sorry_bench,
        sosbench,
        strong_reject,
        toy,
        toy_allowed,
        toy_math,
        wildjailbreak,
        wildjailbreak_safe,
        xstest,
    )
    from rim_eval.answers import check_answer
    from rim_eval.card import Card, make_card, read_card
    from rim_eval.comparison import compare
    from rim_eval.errors import RimError
    from rim_eval.judging import Judge, classify_refusal, load_judge
    from rim_eval.observations import read_observations
    from rim_eval.prompt_sets import load_prompts
    from rim_eval.release_gate import gate
    from rim_eval.statistics import rim_score
    from rim_eval.thinking import find_switch, split_trace

_MODULES: Final = {
    "check_answer": "answers",
    "Card": "card",
    "make_card": "card",
    "read_card": "card",
    "compare": "comparison",
    "RimError": "errors",
    "Judge": "judging",
    "classify_refusal": "judging",
    "load_judge": "judging",
    "read_observations": "observations",
    "load_prompts": "prompt_sets",
    "gate": "release_gate",
    "rim_score": "statistics",
    "find_switch": "thinking",
    "split_trace": "thinking",
}
"""Where a public name is defined; tasks, scorers and the solver are those of Inspect's entry point."""

__all__ = [
    "Card",
    "Judge",
    "RimError",
    "advbench",
    "aime",
    "both_modes",
    "broad_misalignment",
    "check_answer",
    "classify_refusal",
    "coconot",
    "coconot_contrast",
    "compare",
    "do_not_answer",
    "false_reject",
    "find_switch",
    "fortress",
    "fortress_benign",
    "gate",
    "gsm8k",
    "gsm8k_literal",
    "harmbench",
    "hexphi",
    "hexphi_intents",
    "injection",
    "jbb_benign",
    "jbb_harmful",
    "load_judge",
    "load_prompts",
    "make_card",
    "malicious_instruct",
    "math401",
    "math500",
    "multiarith",
    "or_bench",
    "or_bench_toxic",
    "prompts",
    "read_card",
    "read_observations",
    "rim",
    "rim_score",
    "simple_safety_tests",
    "solved",
    "sorry_bench",
    "sosbench",
    "split_trace",
    "strong_reject",
    "toy",
    "toy_allowed",
    "toy_math",
    "wildjailbreak",
    "wildjailbreak_safe",
    "xstest",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, '_registry')}")
    return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Thinking: switch a model's modes, split its trace off, check that the mode took."""

from rim_eval.thinking.adoption_probe import (
    PROBE_QUESTIONS,
    Probe,
    needs_probe,
    not_adopted,
    probe_budgets,
)
from rim_eval.thinking.chain_of_thought import longest_recipe, split_at_mark
from rim_eval.thinking.doses import MODE_DOSES, Dose, dose_rank, read_doses
from rim_eval.thinking.manipulation_check import (
    ArmAdoption,
    ManipulationCheck,
    TraceLengths,
    check_dose,
    check_manipulation,
    compares_lengths,
)
from rim_eval.thinking.recipe import (
    Recipe,
    Switch,
    has_inline_switch,
    require_difference,
)
from rim_eval.thinking.sampling import (
    OwnValues,
    Sampling,
    SamplingValues,
    generation_config_of,
    greedy_warning,
    protocol_of,
    recommended_sampling,
    sampling_family,
    sampling_of_mode,
)
from rim_eval.thinking.switch_detection import find_switch
from rim_eval.thinking.switches import (
    effort_recipe,
    effort_switch,
    explicit_switch,
    forced_empty_recipe,
    hosted_switch,
    sends_fields,
)
from rim_eval.thinking.template import (
    Message,
    Renderer,
    default_template,
    template_renderer,
    tokenizer_renderer,
)
from rim_eval.thinking.trace import Split, TraceSpan, split_trace, trace_spans

__all__ = [
    "MODE_DOSES",
    "PROBE_QUESTIONS",
    "ArmAdoption",
    "Dose",
    "ManipulationCheck",
    "Message",
    "OwnValues",
    "Probe",
    "Recipe",
    "Renderer",
    "Sampling",
    "SamplingValues",
    "Split",
    "Switch",
    "TraceLengths",
    "TraceSpan",
    "check_dose",
    "check_manipulation",
    "compares_lengths",
    "default_template",
    "dose_rank",
    "effort_recipe",
    "effort_switch",
    "explicit_switch",
    "find_switch",
    "forced_empty_recipe",
    "generation_config_of",
    "greedy_warning",
    "has_inline_switch",
    "hosted_switch",
    "longest_recipe",
    "needs_probe",
    "not_adopted",
    "probe_budgets",
    "protocol_of",
    "read_doses",
    "recommended_sampling",
    "require_difference",
    "sampling_family",
    "sampling_of_mode",
    "sends_fields",
    "split_at_mark",
    "split_trace",
    "template_renderer",
    "tokenizer_renderer",
    "trace_spans",
]

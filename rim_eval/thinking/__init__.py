"""Thinking: how a model's modes are switched, how its trace is split off, whether the mode took."""

from rim_eval.thinking._explicit import effort_switch, explicit_switch
from rim_eval.thinking._flips import prompt_flips_mode
from rim_eval.thinking._hosted import hosted_switch
from rim_eval.thinking._opening import trace_opening
from rim_eval.thinking._pin import pin_recipe, pin_template
from rim_eval.thinking._recipe import Recipe, Switch, require_difference, tells_apart
from rim_eval.thinking._render import Message, Renderer, template_renderer, tokenizer_renderer
from rim_eval.thinking._switch import find_switch
from rim_eval.thinking._trace import Split, split_trace, strip_trace
from rim_eval.thinking.manipulation_check import (
    ArmAdoption,
    ManipulationCheck,
    TraceLengths,
    check_manipulation,
)

__all__ = [
    "ArmAdoption",
    "ManipulationCheck",
    "Message",
    "Recipe",
    "Renderer",
    "Split",
    "Switch",
    "TraceLengths",
    "check_manipulation",
    "effort_switch",
    "explicit_switch",
    "find_switch",
    "hosted_switch",
    "pin_recipe",
    "pin_template",
    "prompt_flips_mode",
    "require_difference",
    "split_trace",
    "strip_trace",
    "tells_apart",
    "template_renderer",
    "tokenizer_renderer",
    "trace_opening",
]

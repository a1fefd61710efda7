"""Inside the model: where thinking weakens refusal, and what reasoning training overwrote.

For open-weights models. Every analysis has random controls, and its verdict can be "no effect" or
"cannot tell". Each function is one equation, with shapes in its docstring; torch and transformers
are imported when they are first needed.

    from rim_eval.mechanisms import load_model, score_heads, select_heads

    handle = load_model("path/to/checkpoint")
    heads, how = select_heads(score_heads(handle, requests))

What is not listed here is imported from the module that defines it.
"""

from rim_eval.mechanisms.ablation import ablate_units
from rim_eval.mechanisms.arrays import Arrays
from rim_eval.mechanisms.behaviour import AnalysisConfig, Behaviour, Prompts, requests_of
from rim_eval.mechanisms.capture import Neurons, capture
from rim_eval.mechanisms.drift import study_drift
from rim_eval.mechanisms.effects import Intervention, measure_effects
from rim_eval.mechanisms.export import export_ablated
from rim_eval.mechanisms.freezing import frozen
from rim_eval.mechanisms.heads import score_heads, select_heads, study_heads
from rim_eval.mechanisms.mitigations import measure_mitigation, study_mitigations
from rim_eval.mechanisms.model import ModelHandle, Request, load_model, wrap_model
from rim_eval.mechanisms.neurons import find_neurons, measure_rises, study_neurons
from rim_eval.mechanisms.probes import study_probes
from rim_eval.mechanisms.random_controls import draw_random_sets
from rim_eval.mechanisms.ras import TrainingRun
from rim_eval.mechanisms.ras_verdict import study_ras
from rim_eval.mechanisms.reply_judge import load_reply_judge
from rim_eval.mechanisms.report import MechanismReport, read_report
from rim_eval.mechanisms.served import served_residual
from rim_eval.mechanisms.spans import Passage
from rim_eval.mechanisms.steering import removed, steered, study_steering
from rim_eval.mechanisms.units import Unit
from rim_eval.prompt_sets import intent_for

__all__ = [
    "AnalysisConfig",
    "Arrays",
    "Behaviour",
    "Intervention",
    "MechanismReport",
    "ModelHandle",
    "Neurons",
    "Passage",
    "Prompts",
    "Request",
    "TrainingRun",
    "Unit",
    "ablate_units",
    "capture",
    "draw_random_sets",
    "export_ablated",
    "find_neurons",
    "frozen",
    "intent_for",
    "load_model",
    "load_reply_judge",
    "measure_effects",
    "measure_mitigation",
    "measure_rises",
    "read_report",
    "removed",
    "requests_of",
    "score_heads",
    "select_heads",
    "served_residual",
    "steered",
    "study_drift",
    "study_heads",
    "study_mitigations",
    "study_neurons",
    "study_probes",
    "study_ras",
    "study_steering",
    "wrap_model",
]

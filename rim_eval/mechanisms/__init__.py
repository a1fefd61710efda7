"""Inside the model: where thinking weakens refusal, and what reasoning training overwrote.

For open-weights models. Every analysis has controls, and its verdict can be "no effect" or "cannot
tell". Each function is one equation, with shapes in its docstring; torch and transformers are
imported when they are first needed.

    from rim_eval.mechanisms import load_subject, score_heads, select_heads

    subject = load_subject("path/to/checkpoint")
    heads, how = select_heads(score_heads(subject, requests))
"""

from rim_eval.mechanisms.ablation import ablate_heads, ablate_neurons, mean_heads, mean_neurons
from rim_eval.mechanisms.auroc import Auroc, auroc
from rim_eval.mechanisms.behaviour import Behaviour, Measure, Prompts, observe, offline_reader
from rim_eval.mechanisms.capture import Attention, Capture, Neurons, Pool, capture
from rim_eval.mechanisms.draws import RandomSets, Reading, draw_sets, rank_p, read_rank
from rim_eval.mechanisms.drift import (
    LayerDrift,
    cka,
    drift_along,
    layer_drift,
    layer_ratio,
    ratio_interval,
    safety_direction,
)
from rim_eval.mechanisms.effect import Effects, Intervention, measure_effects
from rim_eval.mechanisms.effect_verdict import Effect, EffectVerdict
from rim_eval.mechanisms.freezing import frozen
from rim_eval.mechanisms.heads import (
    HeadScore,
    gaze_moves,
    rank_heads,
    score_heads,
    select_heads,
)
from rim_eval.mechanisms.mitigations import (
    Change,
    Mitigation,
    compare,
    flag,
    merge_behaviour,
    steered,
)
from rim_eval.mechanisms.neurons import (
    NeuronSet,
    Rises,
    common_neurons,
    find_neurons,
    intent_for,
    measure_rises,
    risen,
    top_neurons,
    with_intent,
)
from rim_eval.mechanisms.plots import plots
from rim_eval.mechanisms.positions import NAMES, Passage, Span, locate
from rim_eval.mechanisms.probes import (
    Probe,
    ProbeScore,
    direction,
    evaluate_probe,
    fit_probe,
    probe_passages,
    share_above,
    threshold,
)
from rim_eval.mechanisms.probing import study_probes
from rim_eval.mechanisms.ras import (
    Activations,
    Guard,
    Ras,
    gain_terms,
    harmonic_mean,
    loss_terms,
    mean_kl,
    ras,
    read_activations,
)
from rim_eval.mechanisms.ras_verdict import RasVerdict, SeriesVerdict, read_series
from rim_eval.mechanisms.remedies import study_mitigations
from rim_eval.mechanisms.report import Finding, MechanismReport, read_report, write_report
from rim_eval.mechanisms.section import card_section, section_pictures
from rim_eval.mechanisms.series import (
    Beside,
    Checkpoint,
    RasSeries,
    Shift,
    ras_series,
)
from rim_eval.mechanisms.setting import Setting
from rim_eval.mechanisms.shifts import study_drift
from rim_eval.mechanisms.splits import split_groups
from rim_eval.mechanisms.studies import study_heads, study_neurons
from rim_eval.mechanisms.subject import Reply, Request, Subject, load_subject, make_subject
from rim_eval.mechanisms.training import Run, study_ras
from rim_eval.mechanisms.units import Overlap, Unit, by_layer, overlap
from rim_eval.mechanisms.weights import WeightChange, relative_change, weight_change

__all__ = [
    "NAMES",
    "Activations",
    "Attention",
    "Auroc",
    "Behaviour",
    "Beside",
    "Capture",
    "Change",
    "Checkpoint",
    "Effect",
    "EffectVerdict",
    "Effects",
    "Finding",
    "Guard",
    "HeadScore",
    "Intervention",
    "LayerDrift",
    "Measure",
    "MechanismReport",
    "Mitigation",
    "NeuronSet",
    "Neurons",
    "Overlap",
    "Passage",
    "Pool",
    "Probe",
    "ProbeScore",
    "Prompts",
    "RandomSets",
    "Ras",
    "RasSeries",
    "RasVerdict",
    "Reading",
    "Reply",
    "Request",
    "Rises",
    "Run",
    "SeriesVerdict",
    "Setting",
    "Shift",
    "Span",
    "Subject",
    "Unit",
    "WeightChange",
    "ablate_heads",
    "ablate_neurons",
    "auroc",
    "by_layer",
    "capture",
    "card_section",
    "cka",
    "common_neurons",
    "compare",
    "direction",
    "draw_sets",
    "drift_along",
    "evaluate_probe",
    "find_neurons",
    "fit_probe",
    "flag",
    "frozen",
    "gain_terms",
    "gaze_moves",
    "harmonic_mean",
    "intent_for",
    "layer_drift",
    "layer_ratio",
    "load_subject",
    "locate",
    "loss_terms",
    "make_subject",
    "mean_heads",
    "mean_kl",
    "mean_neurons",
    "measure_effects",
    "measure_rises",
    "merge_behaviour",
    "observe",
    "offline_reader",
    "overlap",
    "plots",
    "probe_passages",
    "rank_heads",
    "rank_p",
    "ras",
    "ras_series",
    "ratio_interval",
    "read_activations",
    "read_rank",
    "read_report",
    "read_series",
    "relative_change",
    "risen",
    "safety_direction",
    "score_heads",
    "section_pictures",
    "select_heads",
    "share_above",
    "split_groups",
    "steered",
    "study_drift",
    "study_heads",
    "study_mitigations",
    "study_neurons",
    "study_probes",
    "study_ras",
    "threshold",
    "top_neurons",
    "weight_change",
    "with_intent",
    "write_report",
]

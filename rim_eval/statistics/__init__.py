"""Statistics: from verdicts to figures that say how sure they are.

numpy and scipy only; nothing here knows a harness, a model or a prompt. Rates are fractions from
0 to 1, differences between arms are in percentage points, and every result carries its n, its
level and the name of its method.
"""

from rim_eval.statistics._result import Interval, Result
from rim_eval.statistics.arm import ArmSummary, arm_summary, tallied_arm_summary
from rim_eval.statistics.bounded_mean import (
    bounded_mean_interval,
    bounded_mean_test,
    bounded_share_interval,
)
from rim_eval.statistics.by_prompt import ByPrompt, by_prompt
from rim_eval.statistics.confidence_sequence import (
    confidence_sequence,
    sequential_arm_summary,
    sequential_difference,
    sequential_p,
)
from rim_eval.statistics.correlation import Correlation, pearson, spearman
from rim_eval.statistics.discrimination import Discrimination, discrimination
from rim_eval.statistics.gap import Gap, paired_gap, tallied_gap
from rim_eval.statistics.judge_error import (
    LEAST_MODELS,
    Calibration,
    Measured,
    PairCounts,
    corrected_difference,
    corrected_rate,
    judge_shares,
)
from rim_eval.statistics.judge_noise import (
    JudgeNoise,
    NoiseSplit,
    Readings,
    judge_drift,
    judge_noise,
    noise_split,
)
from rim_eval.statistics.paired import PairedDifference, paired_difference
from rim_eval.statistics.paired_tests import (
    mcnemar_exact,
    mcnemar_score,
    order_permutation_test,
    sign_flip_test,
    sign_test,
)
from rim_eval.statistics.power import (
    EpochsAdvised,
    discordant_shares,
    epochs_advised,
    mcnemar_power,
    minimum_detectable,
)
from rim_eval.statistics.prediction_powered import (
    LabelStratum,
    PoweredDifference,
    PoweredRate,
    StratifiedPrompts,
    StratumKey,
    allocate,
    powered_difference,
    powered_rate,
)
from rim_eval.statistics.random_effects import (
    LEAST_FAMILY,
    RandomEffects,
    mean_of_intervals,
    random_effects,
    random_effects_of_estimates,
    random_effects_over_sets,
)
from rim_eval.statistics.rim import RimFlag, rim_flag, rim_score, tallied_rim_score
from rim_eval.statistics.safe_at_k import SafeAtK, tallied_safe_at_k
from rim_eval.statistics.significance import Significance, holm, significance
from rim_eval.statistics.tango import tango_interval
from rim_eval.statistics.transport import (
    JudgeRates,
    SharedCorrection,
    TransportAudit,
    shared_correction,
    transport_audit,
)
from rim_eval.statistics.trend import Trend, paired_trend, tallied_trend
from rim_eval.statistics.variance import VarianceSplit, tallied_variance_split
from rim_eval.statistics.verdicts import Epochs, Tally, Verdicts
from rim_eval.statistics.wilson import (
    Estimate,
    Rate,
    independent_mean,
    rate,
    unpaired_interval,
)

__all__ = [
    "LEAST_FAMILY",
    "LEAST_MODELS",
    "ArmSummary",
    "ByPrompt",
    "Calibration",
    "Correlation",
    "Discrimination",
    "Epochs",
    "EpochsAdvised",
    "Estimate",
    "Gap",
    "Interval",
    "JudgeNoise",
    "JudgeRates",
    "LabelStratum",
    "Measured",
    "NoiseSplit",
    "PairCounts",
    "PairedDifference",
    "PoweredDifference",
    "PoweredRate",
    "RandomEffects",
    "Rate",
    "Readings",
    "Result",
    "RimFlag",
    "SafeAtK",
    "SharedCorrection",
    "Significance",
    "StratifiedPrompts",
    "StratumKey",
    "Tally",
    "TransportAudit",
    "Trend",
    "VarianceSplit",
    "Verdicts",
    "allocate",
    "arm_summary",
    "bounded_mean_interval",
    "bounded_mean_test",
    "bounded_share_interval",
    "by_prompt",
    "confidence_sequence",
    "corrected_difference",
    "corrected_rate",
    "discordant_shares",
    "discrimination",
    "epochs_advised",
    "holm",
    "independent_mean",
    "judge_drift",
    "judge_noise",
    "judge_shares",
    "mcnemar_exact",
    "mcnemar_power",
    "mcnemar_score",
    "mean_of_intervals",
    "minimum_detectable",
    "noise_split",
    "order_permutation_test",
    "paired_difference",
    "paired_gap",
    "paired_trend",
    "pearson",
    "powered_difference",
    "powered_rate",
    "random_effects",
    "random_effects_of_estimates",
    "random_effects_over_sets",
    "rate",
    "rim_flag",
    "rim_score",
    "sequential_arm_summary",
    "sequential_difference",
    "sequential_p",
    "shared_correction",
    "sign_flip_test",
    "sign_test",
    "significance",
    "spearman",
    "tallied_arm_summary",
    "tallied_gap",
    "tallied_rim_score",
    "tallied_safe_at_k",
    "tallied_trend",
    "tallied_variance_split",
    "tango_interval",
    "transport_audit",
    "unpaired_interval",
]

"""Statistics: from verdicts to figures that say how sure they are.

numpy and scipy only; nothing here knows a harness, a model or a prompt. Rates are fractions from
0 to 1, differences between arms are in percentage points, and every result carries its n, its
level and the name of its method.
"""

from rim_eval.statistics._result import Interval, Result
from rim_eval.statistics.arm import ArmSummary, arm_summary
from rim_eval.statistics.bootstrap import bootstrap_by_prompt
from rim_eval.statistics.bounds import difference_bounds, rate_bounds
from rim_eval.statistics.by_prompt import MeanInterval, interval_by_prompt
from rim_eval.statistics.correlation import Correlation, pearson, spearman
from rim_eval.statistics.discrimination import Discrimination, discrimination
from rim_eval.statistics.holm import holm
from rim_eval.statistics.judge_error import (
    Calibration,
    CorrectedDifference,
    CorrectedRate,
    PairCounts,
    corrected_difference,
    corrected_rate,
)
from rim_eval.statistics.mcnemar import mcnemar_exact, sign_test
from rim_eval.statistics.paired import PairedDifference, paired_difference
from rim_eval.statistics.permutation import SignFlip, sign_flip_test
from rim_eval.statistics.power import (
    MinimumDetectable,
    discordant_shares,
    mcnemar_power,
    minimum_detectable,
)
from rim_eval.statistics.rim import RimFlag, rim_flag, rim_score
from rim_eval.statistics.safe_at_k import SafeAtK, safe_at_k
from rim_eval.statistics.shown import Shown, shown
from rim_eval.statistics.tango import tango_interval
from rim_eval.statistics.taxonomy import Outcomes, Sample, outcomes
from rim_eval.statistics.unpaired import Estimate, unpaired_interval
from rim_eval.statistics.verdicts import Verdicts
from rim_eval.statistics.wilson import Rate, rate

__all__ = [
    "ArmSummary",
    "Calibration",
    "CorrectedDifference",
    "CorrectedRate",
    "Correlation",
    "Discrimination",
    "Estimate",
    "Interval",
    "MeanInterval",
    "MinimumDetectable",
    "Outcomes",
    "PairCounts",
    "PairedDifference",
    "Rate",
    "Result",
    "RimFlag",
    "SafeAtK",
    "Sample",
    "Shown",
    "SignFlip",
    "Verdicts",
    "arm_summary",
    "bootstrap_by_prompt",
    "corrected_difference",
    "corrected_rate",
    "difference_bounds",
    "discordant_shares",
    "discrimination",
    "holm",
    "interval_by_prompt",
    "mcnemar_exact",
    "mcnemar_power",
    "minimum_detectable",
    "outcomes",
    "paired_difference",
    "pearson",
    "rate",
    "rate_bounds",
    "rim_flag",
    "rim_score",
    "safe_at_k",
    "shown",
    "sign_flip_test",
    "sign_test",
    "spearman",
    "tango_interval",
    "unpaired_interval",
]

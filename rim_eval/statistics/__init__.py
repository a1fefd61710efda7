"""Statistics: from verdicts to figures that say how sure they are.

numpy and scipy only; nothing here knows a harness, a model or a prompt. Rates are fractions from
0 to 1, differences between arms are in percentage points, and every result carries its n, its
level and the name of its method.
"""

from rim_eval.statistics._result import Interval, Result
from rim_eval.statistics.arm import ArmSummary, arm_summary
from rim_eval.statistics.bootstrap import bootstrap_by_prompt, bootstrap_means
from rim_eval.statistics.bounds import difference_bounds, rate_bounds
from rim_eval.statistics.mcnemar import mcnemar_exact
from rim_eval.statistics.paired import PairedDifference, paired_difference
from rim_eval.statistics.permutation import SignFlip, sign_flip_test
from rim_eval.statistics.rim import RimFlag, accuracy_gain, rim_flag, rim_score
from rim_eval.statistics.tango import tango_interval
from rim_eval.statistics.verdicts import Verdicts
from rim_eval.statistics.wilson import Rate, rate

__all__ = [
    "ArmSummary",
    "Interval",
    "PairedDifference",
    "Rate",
    "Result",
    "RimFlag",
    "SignFlip",
    "Verdicts",
    "accuracy_gain",
    "arm_summary",
    "bootstrap_by_prompt",
    "bootstrap_means",
    "difference_bounds",
    "mcnemar_exact",
    "paired_difference",
    "rate",
    "rate_bounds",
    "rim_flag",
    "rim_score",
    "sign_flip_test",
    "tango_interval",
]

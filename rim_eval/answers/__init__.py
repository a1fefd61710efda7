"""Answer checking: is the final answer of a reply the gold answer?

One function for every reasoning set, over math-verify. Safe in any thread.
"""

from rim_eval.answers._check import AnswerCheck, check_answer

__all__ = ["AnswerCheck", "check_answer"]

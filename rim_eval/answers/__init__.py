"""Check whether the final answer of a reply is the gold answer; one function for every reasoning set."""

from rim_eval.answers._check import AnswerCheck, check_answer

__all__ = ["AnswerCheck", "check_answer"]

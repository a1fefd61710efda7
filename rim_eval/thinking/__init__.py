"""Thinking: how a model's modes are switched, how its trace is split off, whether the mode took."""

from rim_eval.thinking._trace import Split, split_trace, strip_trace

__all__ = ["Split", "split_trace", "strip_trace"]

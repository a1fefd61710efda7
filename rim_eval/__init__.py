"""rim_eval: what thinking does to a model's safety, measured inside Inspect AI and lm-evaluation-harness."""

__version__ = "0.1.0"

__all__ = ["__version__"]

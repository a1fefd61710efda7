"""The Inspect door: tasks that run both modes over the same prompts, and their scorers and metrics."""

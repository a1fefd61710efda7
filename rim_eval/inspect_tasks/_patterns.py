"""The scorer `reasoning_patterns` and its metric; the work is done in `_pattern_reading`."""

from inspect_ai.scorer import Metric, SampleScore, Scorer, metric, scorer

__all__ = ["pattern_prevalence", "reasoning_patterns"]


@metric(scores="unreduced")
def pattern_prevalence() -> Metric:
    """Share of read replies that show each pattern, by mode and part, and what was not read."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        from rim_eval.inspect_tasks._pattern_reading import prevalence_figures

        return prevalence_figures(scores)

    return compute


# Not called `patterns`: in a checkout Inspect would take `rim_eval/patterns` for a folder of scorers.
@scorer(metrics=[pattern_prevalence()])
def reasoning_patterns(monitor: str = "rubric", parts: str | list[str] = "trace") -> Scorer:
    """Which reasoning patterns the trace, or the answer, of each mode shows.

    Works on every task of this package, while it runs or over its log:
    `inspect score LOG --scorer rim_eval/reasoning_patterns -S monitor=cues`.

    Args:
        monitor: `rubric` (asks the `grader` model role), `cues` (offline baseline), `exact` (the
            model organism only), or the path of a rubric file.
        parts: `trace`, `answer`, `both`, or a list.
    """
    from rim_eval.inspect_tasks._pattern_reading import patterns_scorer

    return patterns_scorer(monitor, parts)

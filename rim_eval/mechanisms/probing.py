"""Probing: both questions of the probes, put to one model and its prompts."""

from collections.abc import Sequence
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.mechanisms.positions import Passage
from rim_eval.mechanisms.probes import Question, probe_passages
from rim_eval.mechanisms.report import ProbesSection
from rim_eval.mechanisms.setting import Setting
from rim_eval.types import MODES, Mode

__all__ = ["study_probes"]

_POSITIONS: Final = ("turn_end", "turn_start", "assistant", "think", "inside", "think_end", "last")
"""Where probes look. `first` is left out: there the token itself differs with the outcome."""


def study_probes(setting: Setting, *, logistic: bool = True) -> ProbesSection:
    """Both questions, in both modes, at every layer and position that exists.

    In think mode the passages hold the model's own reply, so that the trace can be read.

    Args:
        setting: Model and prompts; harmful and benign ones are needed.
        logistic: Whether to compare with a logistic regression.

    Raises:
        RimError: One of the two kinds is missing.
    """
    subject, harmful, benign = setting.subject, setting.prompts.harmful, setting.prompts.benign
    if not harmful or not benign:
        raise RimError("Probes need harmful and benign prompts: give a set of each.")
    scores, notes = [], []
    for mode in MODES:
        asked = [*harmful, *benign]
        replies = setting.replies(asked, mode)
        passages = subject.passages(asked, mode, replies)
        groups = [setting.groups.get(request.id, request.id) for request in asked]
        kinds = [True] * len(harmful) + [False] * len(benign)
        scores += _probe(setting, passages, kinds, groups, "harmful", mode, logistic)
        seen = setting.observe(mode)["refused"]
        known = [i for i, r in enumerate(harmful) if seen[r.id][0] is not None]
        refused = [bool(seen[harmful[i].id][0]) for i in known]
        part = [passages[i] for i in known], refused, [groups[i] for i in known]
        found = _probe(setting, *part, "refused", mode, logistic)
        scores += found
        if not found:
            notes.append(
                f"{mode.replace('_', '-')} mode: {sum(refused)} refused and {len(refused) - sum(refused)} fulfilled are too "
                "few for a probe."
            )
    return ProbesSection(
        scores=tuple(scores), seed=setting.seed, logistic=logistic, notes=tuple(notes)
    )


def _probe(
    setting: Setting,
    passages: Sequence[Passage],
    labels: Sequence[bool],
    groups: Sequence[str],
    question: Question,
    mode: Mode,
    logistic: bool,
) -> list[Any]:
    return probe_passages(
        setting.subject.model,
        passages,
        labels,
        groups,
        question=question,
        mode=mode,
        positions=_POSITIONS,
        logistic=logistic,
        seed=setting.seed,
    )

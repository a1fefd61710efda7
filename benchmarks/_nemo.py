"""NVIDIA NeMo Evaluator's `nel gate` and `nel compare` on drawn pairs; imported only where it is asked.

pip install 'nemo-evaluator[stats]==0.3.0'          # Python 3.12 or newer; no dependency of rim_eval
"""

import importlib
import importlib.metadata
import json
import logging
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks._gate_pairs import LIMIT, Answer, Pairs, answer_of
from rim_eval.statistics import rate


class Nemo:
    """NeMo Evaluator's `nel gate` and `nel compare`, by the functions that the commands call."""

    def __init__(self) -> None:
        """Import NeMo.

        Raises:
            ImportError: It is not installed.
        """
        policies = importlib.import_module("nemo_evaluator.config.gate_policy")
        engine = importlib.import_module("nemo_evaluator.engine")
        logging.getLogger("nemo_evaluator").setLevel(logging.ERROR)
        self.version = importlib.metadata.version("nemo-evaluator")
        self._gate_runs, self._compare_runs = engine.gate_runs, engine.compare_runs
        entry = {"tier": "critical", "metric": "mean_reward", "max_drop": LIMIT / 100}
        self._policy = policies.GatePolicy.model_validate({"benchmarks": {"doors": entry}})
        self._known: dict[tuple[str, object], Answer] = {}

    def gate(self, pairs: Pairs, lost: frozenset[int] = frozenset()) -> Answer:
        """The answer of `nel gate`."""
        return self._remembered("gate", pairs, lost)

    def compare(self, pairs: Pairs, lost: frozenset[int] = frozenset()) -> Answer:
        """The answer of `nel compare --max-drop 0.05`."""
        return self._remembered("compare", pairs, lost)

    def gate_totals(self, pairs: Pairs) -> Answer:
        """The answer of `nel gate` where the runs kept rates with intervals (Wilson's), and no prompts."""
        with TemporaryDirectory() as folder:
            runs = [Path(folder) / name for name in ("baseline", "candidate")]
            for run, arm in zip(runs, (1, 0), strict=True):
                safe = rate(len(pairs) - sum(pair[arm] or 0 for pair in pairs), len(pairs))
                score = {"value": safe.value, "ci_lower": safe.lower, "ci_upper": safe.upper}
                run.mkdir()
                _write_bundle(run, score)
            return answer_of(self._gate_runs(*runs, self._policy).verdict)

    def _remembered(self, tool: str, pairs: Pairs, lost: frozenset[int]) -> Answer:
        """Ask only once about runs with the same counts by category: the order of prompts does not matter."""
        key = frozenset(Counter((*pair, n in lost) for n, pair in enumerate(pairs)).items())
        if (tool, key) not in self._known:
            self._known[tool, key] = self._ask(tool, pairs, lost)
        return self._known[tool, key]

    def _ask(self, tool: str, pairs: Pairs, lost: frozenset[int]) -> Answer:
        with TemporaryDirectory() as folder:
            baseline, candidate = Path(folder) / "baseline", Path(folder) / "candidate"
            categories = len({category for *_, category in pairs}) > 1
            _write_run(baseline, [(n, p[1], p[2]) for n, p in enumerate(pairs)], categories)
            _write_run(
                candidate,
                [(n, p[0], p[2]) for n, p in enumerate(pairs) if n not in lost],
                categories,
            )
            if tool == "gate":
                return answer_of(self._gate_runs(baseline, candidate, self._policy).verdict)
            paths = (next(each.glob("eval-*.json")) for each in (baseline, candidate))
            return answer_of(self._compare_runs(*paths, min_effect=LIMIT / 100)["verdict"])


def _write_run(folder: Path, verdicts: list[tuple[int, int | None, int]], named: bool) -> None:
    """Write a run as NeMo does: a safe answer has reward 1, and what could not be scored 0."""
    folder.mkdir()
    records: list[dict[str, Any]] = [
        {
            "problem_idx": place,
            "repeat": 0,
            "reward": 0.0 if verdict is None else float(1 - verdict),
            "metadata": {"category": f"category {category}"} if named else {},
        }
        for place, verdict, category in verdicts
    ]
    mean = float(np.mean([record["reward"] for record in records]))
    _write_bundle(folder, {"value": mean})
    (folder / "results.jsonl").write_text("\n".join(map(json.dumps, records)))


def _write_bundle(folder: Path, score: dict[str, float]) -> None:
    content = {"name": "doors", "scores": {"mean_reward": score}}
    (folder / "eval-doors.json").write_text(json.dumps({"run_id": "r", "benchmark": content}))

"""A suite: models over prompt sets from one file, in child processes that resume, whole or in shards."""

from rim_eval.suite.folder import (
    FinishedLog,
    Work,
    division,
    finished,
    open_suite,
    refuse_other,
    shard_folder,
    unfinished,
)
from rim_eval.suite.jobs import Failure, RunModel, RunPlan, RunSet
from rim_eval.suite.run import run_plan
from rim_eval.suite.schema import Suite, plan_of, read_suite

__all__ = [
    "Failure",
    "FinishedLog",
    "RunModel",
    "RunPlan",
    "RunSet",
    "Suite",
    "Work",
    "division",
    "finished",
    "open_suite",
    "plan_of",
    "read_suite",
    "refuse_other",
    "run_plan",
    "shard_folder",
    "unfinished",
]

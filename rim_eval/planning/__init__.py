"""What runs would ask and cost, before anything is asked: generations, tokens, graders' requests, money and hours."""

from rim_eval.planning.measured import Measured, read_measured
from rim_eval.planning.model import PlannedModel, planned_model, unknown_provider
from rim_eval.planning.schema import ArmPlan, GraderPlan, Plan, Price, Range, TaskPlan
from rim_eval.planning.task import Asked, plan_task, probe_requests

__all__ = [
    "ArmPlan",
    "Asked",
    "GraderPlan",
    "Measured",
    "Plan",
    "PlannedModel",
    "Price",
    "Range",
    "TaskPlan",
    "plan_task",
    "planned_model",
    "probe_requests",
    "read_measured",
    "unknown_provider",
]

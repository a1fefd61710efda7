"""The few names that Inspect keeps private and a plugin cannot do without; all such imports are here."""

from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model._generate_config import active_generate_config
from inspect_ai.model._model import active_model, model_roles

__all__ = ["PrerequisiteError", "active_generate_config", "active_model", "model_roles"]

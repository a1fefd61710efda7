"""A prompt set of the catalogue as the documents of an lm-eval task."""

from pathlib import Path
from typing import Any

from rim_eval.asking import ask
from rim_eval.errors import RimError
from rim_eval.lm_eval_tasks._settings import Arm, read_settings
from rim_eval.prompt_sets import Prompt
from rim_eval.prompt_sets import load_prompts as load_set

__all__ = ["load_prompts"]


class _PlainMessageError(RimError, SystemExit):
    """A problem that ends the command `lm_eval` with its message alone.

    lm-eval shows whatever a task raises as a traceback of its own code; Python shows an uncaught
    SystemExit as its text and ends with status 1. From Python it is an ordinary RimError.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message


def load_prompts(**given: Any) -> dict[str, Any]:
    """The documents of one task; lm-eval calls this (`custom_dataset`) when it builds the task.

    Args:
        **given: The task file's `dataset_kwargs` (prompt set, mode, style) and all metadata.

    Returns:
        One split, `test`. A document holds the prompt's opaque id and what scoring needs; the
        description says as JSON where the prompts came from.

    Raises:
        RimError: The set is unknown, missing, gated or not as it should be: the same message as
            under Inspect.
    """
    from datasets import Dataset, DatasetInfo

    arm = Arm.model_validate({name: given[name] for name in Arm.model_fields if name in given})
    try:
        settings = read_settings(given)
        data = None if settings.data is None else Path(settings.data).expanduser()
        loaded = load_set(arm.prompt_set, data=data, subset=settings.subset)
        style = settings.prompt_style or arm.prompt_style
        documents = [_document(prompt, ask(prompt, style)) for prompt in loaded.prompts]
    except RimError as error:
        raise _PlainMessageError(str(error)) from None
    info = DatasetInfo(description=loaded.provenance.model_dump_json())
    return {"test": Dataset.from_list(documents, info=info)}


def _document(prompt: Prompt, message: str) -> dict[str, str | None]:
    return {
        "id": prompt.id,
        "dataset": prompt.set,
        "kind": prompt.kind,
        "category": prompt.category,
        "pair": prompt.pair,
        "context": prompt.context,
        "request": prompt.text,
        "message": message,
        "target": prompt.target or "",
    }

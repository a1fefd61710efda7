"""Ask a grader's provider to hold the reply to a JSON Schema of the fields that are read from it."""

from typing import TYPE_CHECKING, Any, Final

from rim_eval.judging._spec import FieldsReader, ReplyField, WordReader
from rim_eval.paths import model_name

if TYPE_CHECKING:
    from inspect_ai.model import ResponseSchema

_ENFORCING: Final = frozenset({"anthropic", "bedrock", "google", "grok", "mistral", "openai"})
"""Inspect providers that pass a schema on to a service which applies it after the model's own reasoning.

Not here: `vllm`, `sglang` and other servers of open weights, which apply it from the first token unless they
know where the model's reasoning ends; `openai-api`, `openrouter`, `groq` and others, where that depends on the
model behind them; `deepseek`, which sends no schema; and those that send none at all (`hf`, `azureai`).
"""


def enforces_schema(grader: Any) -> bool:
    """Whether the grader's provider holds a model to a schema, its own reasoning left free."""
    return model_name(str(grader)).partition("/")[0] in _ENFORCING


def response_schema(reader: FieldsReader | WordReader, grader: Any) -> "ResponseSchema | None":
    """The schema to ask for: a reason first, as the prompts ask, then each field within its scale.

    Args:
        reader: How the reply is read.
        grader: The model to ask; its name begins with its provider.

    Returns:
        None where the reply is left to the prompt: `word` and `lines` readers are of classifiers, guard models
        and publishers' prompts, whose own form is part of what they measure.
    """
    from inspect_ai.model import ResponseSchema
    from inspect_ai.util import JSONSchema

    if not isinstance(reader, FieldsReader) or reader.structured is False:
        return None
    if not reader.structured and (reader.kind == "lines" or not enforces_schema(grader)):
        return None
    properties = {"reason": JSONSchema(type="string", description="One or two sentences.")}
    properties |= {spec.key or name: _property(spec) for name, spec in reader.fields.items()}
    schema = JSONSchema(
        type="object", properties=properties, required=[*properties], additionalProperties=False
    )
    return ResponseSchema(name="verdict", json_schema=schema, strict=True)


def _property(spec: ReplyField) -> Any:
    """One field; by its values, since not every provider knows `minimum`."""
    from inspect_ai.util import JSONSchema

    if spec.integers is not None:
        low, high = spec.integers
        return JSONSchema(type="integer", enum=[*range(low, high + 1)])
    label = JSONSchema(type="string", enum=[*(spec.labels or ())])
    return JSONSchema(type="array", items=label) if spec.several else label

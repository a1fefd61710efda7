"""A model that plays a script, to try tasks and judges without weights or a network."""

import json
import re
from pathlib import Path
from typing import Any, Final

import anyio
from inspect_ai import model as inspect_model
from inspect_ai.model import GenerateConfig, ModelAPI, ModelCall, ModelOutput
from inspect_ai.tool import ToolChoice, ToolInfo
from pydantic import Field, TypeAdapter, ValidationError

from rim_eval.errors import RimError
from rim_eval.types import FrozenModel, Mode

_TEMPLATE: Final = """{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}"""


class Line(FrozenModel):
    """One line of a script: said when the request matches, in the mode given or in both."""

    when: str = ""
    """Regular expression searched in the last user message; empty matches everything."""
    mode: Mode | None = None
    reply: str
    stop_reason: inspect_model.StopReason = "stop"
    error: bool = False
    """Raise the reply as an engine error."""
    seconds: float = Field(default=0, ge=0)
    """How long the reply takes."""


_SCRIPT: Final = TypeAdapter(list[Line])

_DEFAULT: Final = [
    Line(mode="think", reply="<think>\nThe request is clear.\n</think>\n\nSure, done."),
    Line(reply="I cannot help with that."),
]


class ScriptedModel(ModelAPI):
    """Says the first line of its script that fits.

    Args:
        model_name: Any name; the base class's other arguments are unused.
        base_url: Unused.
        api_key: Unused.
        config: Unused.
        script: Path of a JSON file, a list of `Line`.
        **model_args: Refused, with their names.
    """

    chat_template = _TEMPLATE

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  (the base class's own default)
        script: str | None = None,
        **model_args: Any,
    ) -> None:
        if model_args:
            raise RimError(f"rim_toy/ takes `-M script=FILE` only, not {', '.join(model_args)}.")
        super().__init__(model_name, base_url, api_key, [], config)
        self.script = Path(script) if script else None
        if self.script:
            read_script(self.script)

    async def generate(
        self,
        input: list[inspect_model.ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> tuple[ModelOutput, ModelCall]:
        """Say the line that fits the last message and the requested mode."""
        words = (config.extra_body or {}).get("chat_template_kwargs", {})
        mode: Mode = "no_think" if words.get("enable_thinking") is False else "think"
        # Read anew each time: a script may be mended before a run is retried.
        for line in read_script(self.script) if self.script else _DEFAULT:
            if line.mode in (None, mode) and re.search(line.when, input[-1].text):
                break
        else:
            raise RuntimeError("no line of the script fits this request")
        await anyio.sleep(line.seconds)
        if line.error:
            raise RuntimeError(line.reply)
        output = ModelOutput.from_content(self.model_name, line.reply, line.stop_reason)
        sizes = sum(len(part.text.split()) for part in input), len(line.reply.split())
        output.usage = inspect_model.ModelUsage(
            input_tokens=sizes[0], output_tokens=sizes[1], total_tokens=sum(sizes)
        )
        call = ModelCall.create(
            request={"chat_template_kwargs": words, "max_tokens": config.max_tokens},
            response={"reply": line.reply},
        )
        return output, call


def read_script(path: Path) -> list[Line]:
    """The lines of a script file.

    Raises:
        RimError: The file is no JSON list of lines.
    """
    try:
        return _SCRIPT.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise RimError(
            f"script={path} is no script: {error}. Give a JSON list of lines such as "
            '[{"when": "vault", "mode": "no_think", "reply": "I cannot do that."}].'
        ) from None

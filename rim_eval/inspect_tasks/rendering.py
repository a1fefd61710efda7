"""Whether a text that is written at the start of a model's turn reaches the model: read from the rendered prompt."""

from typing import TYPE_CHECKING, Any, cast

from inspect_ai.model import Model

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.arms import Arm
    from rim_eval.inspect_tasks.calls import Call

PLAIN = "Say hello."
"""A prompt that says nothing of thinking."""


def rendered_call(model: Model, call: "Call") -> str | None:
    """The prompt as the engine renders it for a call.

    Args:
        model: The evaluated model.
        call: The call.

    Returns:
        None before a server that Inspect starts is there.

    Raises:
        RimError: The server shows no prompts.
    """
    from rim_eval.inspect_tasks.hf import adapt_provider, is_hf, rendered_prompt
    from rim_eval.inspect_tasks.switches import server_address, server_renderer

    if is_hf(model.api):
        adapt_provider(model.api)
        return rendered_prompt(model.api, call.messages, call.config)
    if not server_address(model):
        return None
    render = server_renderer(model)
    if render is None:
        raise RimError(
            f"The server of {model} does not show its prompts (vLLM's /tokenize and /detokenize), so that nobody "
            "can see whether what is written for it reaches the model. Use a vLLM server, or the `hf/` provider."
        )
    return render.prompt(
        [{"role": one.role, "content": one.text} for one in call.messages],
        call.config.extra_body or {},
    )


def ends_with(prompt: str, text: str) -> bool:
    """Whether a prompt ends with a text; a server's tokenizer may have written white space otherwise.

    Args:
        prompt: The rendered prompt.
        text: What was written at its end.
    """
    return " ".join(prompt.split()).endswith(" ".join(text.split()))


def refuse_lost_writing(model: Model, arm: "Arm") -> None:
    """Refuse a dose whose trace cannot be closed, before anything is asked.

    Args:
        model: The evaluated model.
        arm: An arm that a text is written for.

    Raises:
        RimError: A text after the prompt does not reach the model.
    """
    from rim_eval.decoding import Budgets
    from rim_eval.inspect_tasks.arms import begun_arm
    from rim_eval.inspect_tasks.calls import arm_call
    from rim_eval.inspect_tasks.switches import server_address

    begun, budgets = begun_arm(model, arm), Budgets(answer_tokens=1, thinking_tokens=1)
    prefill = begun.switch.switch.recipe(arm.mode).prefill or ""
    starts_server = str(model).startswith("vllm/") and not server_address(model)
    if starts_server:
        arrives = bool(cast(Any, model.api).server_args.get("trust_request_chat_template"))
    else:
        prompt = rendered_call(model, arm_call(model, begun.switch, arm.mode, PLAIN, budgets))
        arrives = prompt is not None and ends_with(prompt, prefill)
    if not arrives:
        raise RimError(
            f"What a dose writes after the model's trace does not reach {model}. A vLLM server takes it with "
            "--trust-request-chat-template (-M trust_request_chat_template=true where Inspect starts it), the `hf/` "
            "provider with the model's own chat template. Else give doses that the model has itself: -T doses=off,full."
        )

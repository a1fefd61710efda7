"""From a thinking switch to the exact model call of one arm: the one path that sets the mode."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from inspect_ai.model import CachePolicy, ChatMessage, ChatMessageUser, GenerateConfig, Model

from rim_eval.decoding import Budgets
from rim_eval.errors import RimError
from rim_eval.inspect_tasks._compat import active_generate_config
from rim_eval.inspect_tasks._hf import PREFILL, is_hf
from rim_eval.inspect_tasks._switches import Found
from rim_eval.thinking import Recipe, Switch, pin_template
from rim_eval.types import ArmKind, Mode

__all__ = ["Call", "arm_call", "merge_deep", "refuse_cuts"]


class Call(NamedTuple):
    """One model call in one mode, ready to be made."""

    messages: list[ChatMessage]
    config: GenerateConfig
    cache: CachePolicy | bool
    requested: dict[str, Any]
    """What was asked for, for the log: arm kind, switch name, and every word that sets the mode."""


def arm_call(
    model: Model, found: Found, mode: Mode, user_message: str, budgets: Budgets, epoch: int = 1
) -> Call:
    """The call that asks `user_message` in one mode.

    The mode travels in the request's `extra_body` (or `reasoning_effort`), so it is part of Inspect's
    cache key and of the logged call; a cache scope names it once more. The user's own `extra_body`,
    system message and cache policy are merged, never replaced. Both modes of an epoch have the same
    seed and each epoch its own: one seed for all would make every epoch a copy of the first.

    Raises:
        RimError: `--max-tokens` or `--stop-seqs` was given (they would mean different things in the two arms), or the
            model cannot be given a prefilled trace through this provider.
    """
    switch = found.switch
    recipe = switch.recipe(mode)
    theirs = _their_config(model)
    refuse_cuts(theirs)
    body = merge_deep(theirs.extra_body or {}, _body(model, recipe, found.template))
    config = GenerateConfig(
        max_tokens=budgets.total(mode),
        seed=None if theirs.seed is None else theirs.seed + epoch - 1,
        extra_body=body or None,
        system_message="\n\n".join(filter(None, [recipe.system, theirs.system_message])) or None,
        reasoning_effort=cast(Any, recipe.reasoning_effort),
    )
    return Call(
        messages=[ChatMessageUser(content=recipe.messages(None, user_message)[-1]["content"])],
        config=config,
        cache=_cache(theirs, switch.kind, mode),
        requested=_requested(switch, recipe),
    )


def merge_deep(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings together; nested mappings are merged, and where both say something, ours holds."""
    merged = dict(theirs)
    for key, value in ours.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge_deep(merged[key], value) if both else value
    return merged


def _their_config(model: Model) -> GenerateConfig:
    return model.config.merge(active_generate_config())


def refuse_cuts(theirs: GenerateConfig) -> None:
    """Refuse what would cut the arms unequally: one limit for both, and stop words.

    Raises:
        RimError: The user set `max_tokens` or `stop_seqs`.
    """
    if theirs.stop_seqs:
        raise RimError(
            f"--stop-seqs {','.join(theirs.stop_seqs)} would stop inside the trace, before there is an answer, "
            "and so in think mode only. Leave it out; the budgets (`-T answer_tokens=N`) end a reply."
        )
    if theirs.max_tokens is not None:
        raise RimError(
            f"--max-tokens {theirs.max_tokens} counts the trace and the answer together, so it would leave "
            "the two modes different room for the answer. Give the budgets apart: "
            "`-T answer_tokens=N` (both modes) and `-T thinking_tokens=N` (think mode, on top)."
        )


def _body(model: Model, recipe: Recipe, template: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if recipe.template_kwargs:
        body["chat_template_kwargs"] = dict(recipe.template_kwargs)
    if recipe.prefill:
        body |= _prefill(model, recipe.prefill, template)
    return body


def _prefill(model: Model, text: str, template: str | None) -> dict[str, Any]:
    if is_hf(model.api):
        return {PREFILL: text}
    if template is not None and str(model).startswith("vllm/"):
        # Needs a server started with --trust-request-chat-template; without it, vLLM says so.
        return {"chat_template": pin_template(template, {}, prefill=text)}
    raise RimError(
        f"{model} always thinks, and its no-think arm needs an empty trace written for it. The `hf/` provider "
        "can do that, and `vllm/` with the template at hand (`-T chat_template=FILE`) and a server started with "
        "--trust-request-chat-template. Else measure one mode: `-T modes=think`."
    )


def _cache(theirs: GenerateConfig, kind: ArmKind, mode: Mode) -> CachePolicy | bool:
    if not theirs.cache:
        return False
    policy = theirs.cache if isinstance(theirs.cache, CachePolicy) else CachePolicy()
    scopes = policy.scopes | {"rim_eval_mode": mode, "rim_eval_arm": kind}
    return policy.model_copy(update={"scopes": scopes})


def _requested(switch: Switch, recipe: Recipe) -> dict[str, Any]:
    words = recipe.model_dump(exclude_none=True, exclude_defaults=True)
    return {"arm_kind": switch.kind, "switch": switch.name, **words}

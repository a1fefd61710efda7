"""Hosted models: where reasoning effort `none` really is off, and where it only sounds so."""

import re
from typing import Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.thinking._explicit import effort_switch
from rim_eval.thinking._recipe import Switch

__all__ = ["HOSTED", "HostedRule", "hosted_switch"]


class HostedRule(NamedTuple):
    """What reasoning effort does on some hosted models."""

    provider: str
    """Inspect's provider name."""
    model: str
    """Regular expression for the model's name."""
    off: str
    """The lowest effort it takes; `none` with `really_off` where no thinking is left."""
    really_off: bool
    on: str
    source: str


_INSPECT: Final = "Inspect AI documentation, page Reasoning (reasoning_effort by provider)"

HOSTED: Final[tuple[HostedRule, ...]] = (
    HostedRule("anthropic", r"claude-(?:[a-z]+-)?5", "low", False, "high", f"{_INSPECT}: cannot be disabled"),
    HostedRule("anthropic", r"claude-(?:3-7|[a-z]+-4|4)", "none", True, "high", f"{_INSPECT}: thinking is opt-in up to Claude 4"),
    HostedRule("grok", r"grok-4", "low", False, "high", f"{_INSPECT}: none is ignored"),
    HostedRule("openai", r"gpt-oss", "low", False, "high", "gpt-oss model card: low, medium, high only"),
    HostedRule("openai", r"gpt-5\.[1-9]", "none", True, "high", "OpenAI API reference, reasoning.effort: none from gpt-5.1 on; high is a ceiling"),
    HostedRule("openai", r"gpt-5", "minimal", False, "high", "OpenAI API reference, reasoning.effort: minimal is the lowest for gpt-5"),
    HostedRule("openai", r"o\d", "low", False, "high", "OpenAI API reference, reasoning.effort: low is the lowest for o-series"),
    HostedRule("google", r"gemini-2\.5-flash", "none", True, "high", "Gemini API, thinking: thinkingBudget 0 turns thinking off on 2.5 Flash and Flash-Lite"),
    HostedRule("google", r"gemini-2\.5-pro", "minimal", False, "high", "Gemini API, thinking: 2.5 Pro thinks for at least 128 tokens"),
    HostedRule("google", r"gemini-3", "low", False, "high", "Gemini API, thinking: levels only from Gemini 3 on"),
    HostedRule("mistral", r"(?:mistral|magistral)-(?:small|medium)", "none", True, "high", "Mistral documentation, reasoning_effort: none and high"),
    HostedRule("deepseek", r".*", "none", True, "high", f"{_INSPECT}: none is sent as thinking disabled"),
)  # fmt: skip
"""First match counts. A model that is not here gets `effort`: an off that nobody has checked is not called off."""


def hosted_switch(provider: str, model: str) -> Switch:
    """The arms of a hosted model: `switch` only where effort `none` really turns thinking off.

    Args:
        provider: Inspect's provider name (`openai`, `anthropic`, `google`, ...). `openrouter` and
            alike pass the effort on, so that the model's own maker decides: `openrouter/openai/gpt-5`.
        model: The model's name, with or without its maker before a slash.

    Raises:
        RimError: Provider or model is empty.
    """
    if not provider.strip() or not model.strip():
        raise RimError(
            f"A hosted switch needs a provider and a model; got {provider!r} and {model!r}. "
            "Give them as in openai/gpt-5.1."
        )
    *maker, name = model.lower().strip().split("/")
    makers = {provider.lower().strip()} if not maker else {maker[-1]}
    rule = next((r for r in HOSTED if r.provider in makers and re.match(r.model, name)), None)
    if rule is None:
        switch = effort_switch("low", "high")
        said = f"{provider}/{model} is not in the table of hosted models"
        return switch.model_copy(update={"evidence": f"{said}: {switch.evidence}"})
    switch = effort_switch(rule.off, rule.on)
    kind = "switch" if rule.really_off and not maker else "effort"
    evidence = (
        f"{provider}/{model} by reasoning effort, {rule.off} against {rule.on} ({rule.source})."
    )
    return switch.model_copy(
        update={"kind": kind, "name": "reasoning_effort", "evidence": evidence}
    )

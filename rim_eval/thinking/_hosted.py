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


_INSPECT: Final = "inspect_ai 0.3.285, model/_providers"
_REFERENCE: Final = "OpenAI API reference, reasoning effort"

HOSTED: Final[tuple[HostedRule, ...]] = (
    HostedRule("anthropic", r"claude-(?:[a-z]+-)?5", "low", False, "high", f"{_INSPECT}/anthropic.py: several Claude 5 models always think"),
    HostedRule("anthropic", r"claude-(?:3-7|[a-z]+-4|4)", "none", True, "high", f"{_INSPECT}/anthropic.py: up to Claude 4 none omits or disables thinking"),
    HostedRule("grok", r"grok-", "low", False, "high", f"{_INSPECT}/grok.py: none is not sent"),
    HostedRule("openai", r"gpt-oss", "low", False, "high", "gpt-oss model card: low, medium and high only"),
    HostedRule("openai", r"gpt-5\.[1-9]", "none", True, "high", f"{_REFERENCE}: none from gpt-5.1 on; high is a ceiling"),
    HostedRule("openai", r"gpt-5", "minimal", False, "high", f"{_REFERENCE}: minimal is the lowest for gpt-5"),
    HostedRule("openai", r"o\d", "low", False, "high", f"{_REFERENCE}: low is the lowest for the o-series"),
    HostedRule("google", r"gemini-2\.5-flash", "none", True, "high", f"{_INSPECT}/google.py: none sends thinking_budget 0"),
    HostedRule("google", r"gemini-2\.5-pro", "minimal", False, "high", f"{_INSPECT}/google.py: thinking cannot be disabled"),
    HostedRule("google", r"gemini-3", "low", False, "high", f"{_INSPECT}/google.py: thinking levels, low the lowest everywhere"),
    HostedRule("mistral", r"(?:mistral-medium|mistral-small)", "none", True, "high", f"{_INSPECT}/mistral_conversation.py: none and high only"),
    HostedRule("deepseek", r"deepseek-v4", "none", True, "high", f"{_INSPECT}/deepseek.py: none disables thinking"),
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

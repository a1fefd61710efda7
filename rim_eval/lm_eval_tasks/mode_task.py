"""The lm-eval task of one prompt set in one mode. Only lm-eval loads this module, for a task file."""

import json
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from lm_eval.api.task import ConfigurableTask  # noqa: TID253  (a task must be made of lm-eval's own)

from rim_eval.decoding import budgets
from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.judging import Judge, Judgement, load_judge
from rim_eval.lm_eval_tasks._engine import Engine, engine_of
from rim_eval.lm_eval_tasks._record import (
    EVENTS,
    Record,
    case_of,
    checked,
    judged,
    metrics,
    must_not_judge,
    unjudged,
)
from rim_eval.lm_eval_tasks._reply import read_reply
from rim_eval.lm_eval_tasks._room import refuse_cut_prompts
from rim_eval.lm_eval_tasks._settings import RUN, Arm, read_settings
from rim_eval.lm_eval_tasks._weights import weights_of
from rim_eval.prompt_sets import entry
from rim_eval.thinking import Switch
from rim_eval.types import PromptKind

__all__ = ["ModeTask"]

_TOKEN_LIMITS: Final = ("max_tokens", "max_new_tokens", "max_completion_tokens", "max_length")


class ModeTask(ConfigurableTask):  # type: ignore[misc]
    """Asks every prompt in the task's mode, whatever the model's own arguments say.

    Args:
        data_dir: Unused, as all of lm-eval's own places of data.
        cache_dir: Unused.
        download_mode: Unused.
        config: The task file's settings.
    """

    def __init__(
        self,
        data_dir: Any = None,
        cache_dir: Any = None,
        download_mode: Any = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        ours = {name: value for name, value in (config or {}).items() if name != "class"}
        # Where this is unset, lm-eval looks every metric's name up on the hub.
        ours["process_results"] = "rim_eval"
        super().__init__(data_dir, cache_dir, download_mode, ours)
        self.arm = Arm.model_validate(self.config.dataset_kwargs)
        self.settings = read_settings(self.config.metadata)
        declared = entry(self.arm.prompt_set)
        self.kinds: list[PromptKind] = sorted(set(self.dataset["test"]["kind"]))
        self.budgets = budgets(
            declared.kind, self.settings.answer_tokens, self.settings.thinking_tokens
        )
        self.judge = _judge(self.settings.judge or declared.judge)
        self.config.generation_kwargs["max_gen_toks"] = self.budgets.total(self.arm.mode)
        self.config.metadata[RUN] = self._about_the_run()
        self._engine: Engine | None = None
        self._switch: Switch | None = None

    def build_all_requests(self, **options: Any) -> None:
        """Prepares all requests for the model that lm-eval is about to ask.

        lm-eval's cache of requests is passed by: its key knows neither the mode nor the budgets.

        Raises:
            RimError: The run's options would cut prompts or traces, or tell the modes apart by something else.
        """
        write = options.get("chat_template") if options.get("apply_chat_template") else None
        self._engine = engine_of(write)
        _refuse_stripping(self._engine)
        self._refuse_limits()
        self._switch = self._engine.switch(self.settings.switch, self.settings.chat_template)
        if options.get("system_instruction"):
            system, template = options["system_instruction"], self.settings.chat_template
            self._engine.refuse_cancelled(self._switch, system, template)
        self.config.metadata[RUN] |= self._about_the_requests(self._engine, options)
        super().build_all_requests(**(options | {"cache_requests": False}))
        contexts = (instance.args[0] for instance in self.instances)
        refuse_cut_prompts(self._engine, contexts, self.budgets, self.arm.mode)

    def fewshot_context(
        self,
        doc: dict[str, Any],
        num_fewshot: int,  # noqa: ARG002  (lm-eval's signature; the tasks fix it to 0)
        **options: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """The request for one document: the same words in both modes, and what sets the mode."""
        engine, switch = self._asking()
        recipe = switch.recipe(self.arm.mode)
        return engine.ask(recipe, doc["message"], options.get("system_instruction"))

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **options: Any) -> Any:
        """The request as lm-eval sends it; the user's own settings are merged, never replaced."""
        context, fields = ctx
        instance = super().construct_requests(doc, context, **options)
        for name, value in fields.items():
            theirs = instance.args[1].get(name)
            both = isinstance(theirs, Mapping) and isinstance(value, Mapping)
            instance.args[1][name] = type(value)({**theirs, **value}) if both else value
        return instance

    def process_results(self, doc: dict[str, Any], results: list[Any]) -> dict[str, Any]:
        """Splits, verifies and scores one reply; what needs a grader is left for `rim-eval judge run`."""
        record = self._record(doc, self._generation(results[0]))
        return metrics(record, [EVENTS[kind] for kind in self.kinds])

    def _about_the_run(self) -> dict[str, Any]:
        """What lm-eval's results file is to say of the run, beside its own and the user's settings."""
        where = json.loads(self.dataset["test"].info.description)
        style = self.settings.prompt_style or self.arm.prompt_style
        return {
            **self.budgets.model_dump(),
            "prompt_style": style if "reasoning" in self.kinds else None,
            "provenance": where,
        }

    def _about_the_requests(self, engine: Engine, options: Mapping[str, Any]) -> dict[str, Any]:
        """What is known only once lm-eval has its model, and what it keeps no record of."""
        return {
            "system_instruction": options.get("system_instruction"),
            "samples": options.get("samples"),
            "weights": weights_of(engine.lm),
        }

    def _generation(self, text: str) -> Generation:
        engine, switch = self._asking()
        recipe = switch.recipe(self.arm.mode)
        words = recipe.model_dump(exclude_none=True, exclude_defaults=True)
        return read_reply(
            text,
            mode=self.arm.mode,
            arm_kind=switch.kind,
            budgets=self.budgets,
            opened_by_prompt=recipe.opened_by_prompt,
            count=engine.count,
            requested={"arm_kind": switch.kind, "switch": switch.name, **words},
        )

    def _record(self, doc: dict[str, Any], reply: Generation) -> Record:
        model = self.settings.model or self._asking()[0].model
        if doc["kind"] == "reasoning":
            return checked(doc, model, reply, self.arm.absolute_error)
        if self.judge is None or self.judge.needs_grader:
            return unjudged(doc, model, reply, "not_judged")
        reason = must_not_judge(self.judge, reply)
        if reason is not None:
            return unjudged(doc, model, reply, reason, self.judge.provenance(None))
        return judged(doc, model, reply, _finished(self.judge.judge(case_of(doc, reply))))

    def _asking(self) -> tuple[Engine, Switch]:
        assert self._engine is not None  # lm-eval builds all requests before it asks for any
        assert self._switch is not None
        return self._engine, self._switch

    def _refuse_limits(self) -> None:
        """Refuse generation settings that would mean different things in the two modes."""
        given = self.config.generation_kwargs
        ours = self.budgets.total(self.arm.mode)
        if given["max_gen_toks"] != ours or any(name in given for name in _TOKEN_LIMITS):
            raise RimError(
                "--gen_kwargs sets one token limit, which counts the trace and the answer together, so it would "
                "leave the two modes different room for the answer. Give the budgets apart: "
                '--metadata \'{"rim_eval": {"answer_tokens": N, "thinking_tokens": M}}\' (thinking is on top, in '
                "think mode)."
            )
        if given.get("until"):
            raise RimError(
                f"--gen_kwargs until={given['until']!r} would end a trace wherever these words stand in it: "
                "leave it out."
            )


def _refuse_stripping(engine: Engine) -> None:
    token = getattr(engine.lm, "think_end_token", None)
    if token:
        raise RimError(
            f"think_end_token={token!r} makes lm-eval throw the trace away before any task sees it. Leave it and "
            "enable_thinking out of --model_args: the rim tasks set the mode of each request themselves."
        )


def _judge(name: str | None) -> Judge | None:
    return None if name in (None, "none") else load_judge(str(name))


def _finished(judging: Coroutine[Any, Any, Judgement]) -> Judgement:
    """What an offline judge says: it waits for nothing, so its coroutine ends at the first step."""
    try:
        judging.send(None)
    except StopIteration as done:
        found: Judgement = done.value
        return found
    raise AssertionError("an offline judge waited for something")

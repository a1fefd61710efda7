"""The lm-eval task of one prompt set in one mode. Only lm-eval loads this module, for a task file."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from lm_eval.api.task import ConfigurableTask  # noqa: TID253  (a task must be made of lm-eval's own)

from rim_eval.decoding import budgets
from rim_eval.errors import RimError, SettingError
from rim_eval.fingerprint import cached_fingerprint
from rim_eval.formatting import only_mode_sentence
from rim_eval.judging import load_judge, only_mode_of, unscored_reason
from rim_eval.lm_eval_tasks.engine import Engine, engine_of
from rim_eval.lm_eval_tasks.samples import metrics, record
from rim_eval.lm_eval_tasks.sampling import (
    generation_kwargs_of,
    refuse_shared,
    sampling_for,
    warn_of_decoding,
)
from rim_eval.lm_eval_tasks.settings import (
    RUN,
    TaskFile,
    plain_errors,
    prompt_set_of,
    read_settings,
)
from rim_eval.prompt_sets import message_in_arm, refuse_real_model
from rim_eval.replies import ArmRequest, ReplyVerdict, check_reply, judge_reply
from rim_eval.thinking import (
    PROBE_QUESTIONS,
    Probe,
    Sampling,
    SamplingValues,
    Switch,
    longest_recipe,
    needs_probe,
    not_adopted,
    probe_budgets,
    protocol_of,
)
from rim_eval.types import KIND_NAMES, ArmKind, PromptKind

_LOGGER: Final = logging.getLogger(__name__)

_PROBES: Final[WeakKeyDictionary[Any, dict[ArmKind, Probe]]] = WeakKeyDictionary()
"""What each model of lm-eval replied to the probe, by the kind of arms."""

_TOKEN_LIMITS: Final = ("max_tokens", "max_new_tokens", "max_completion_tokens", "max_length")


class ModeTask(ConfigurableTask):  # type: ignore[misc]
    """Asks every prompt in the task's mode, whatever the model's own arguments say.

    Args:
        config: The task file's settings.
        **unused: lm-eval's own places of data.
    """

    @plain_errors()
    def __init__(self, config: dict[str, Any] | None = None, **unused: Any) -> None:
        own = {name: value for name, value in (config or {}).items() if name != "class"}
        # Where this is unset, lm-eval looks every metric's name up on the hub.
        own["process_results"] = "rim_eval"
        super().__init__(config=own, **unused)
        self.file = TaskFile.model_validate(self.config.dataset_kwargs)
        self.settings = read_settings(self.config.metadata, self.file.prompt_set)
        self.prompt_set = declared = prompt_set_of(self.file, self.settings)
        self.absolute_error = declared.absolute_error
        self.kinds: list[PromptKind] = sorted(set(self.dataset["test"]["kind"]))
        self.budgets = budgets(
            declared.kind, self.settings.answer_tokens, self.settings.thinking_tokens
        )
        judge = self.settings.judge or declared.judge
        self.judge = None if judge in (None, "none") else load_judge(judge)
        self.config.generation_kwargs["max_gen_toks"] = self.budgets.total(self.file.mode)
        self.protocol = protocol_of(self.settings.sampling, self.settings.own_sampling)
        if self.protocol != "equal":
            # The task file's own, so that what stands there later is the user's.
            for name in ("do_sample", "temperature"):
                self.config.generation_kwargs.pop(name, None)
        style = self.settings.prompt_style or self.file.prompt_style
        # What lm-eval's results file is to say of the run, beside its own and the user's settings.
        sources = json.loads(self.dataset["test"].info.description)
        self.attack: str | None = sources.get("attack", {}).get("name")
        self.config.metadata[RUN] = {
            **self.budgets.model_dump(),
            "prompt_style": style if "reasoning" in self.kinds else None,
            **sources,
        }
        # Set before lm-eval asks for the first request.
        self.engine: Engine
        self.switch: Switch
        self.sampling: Sampling | None = None
        self.sent: dict[str, Any] = {}
        """Of the sampling, what the engine is given."""

    @plain_errors()
    def build_all_requests(self, **options: Any) -> None:
        """Prepares all requests for the model that lm-eval is about to ask.

        lm-eval's cache of requests is passed by: its key knows neither the mode nor the budgets.

        Raises:
            RimError: The run's options would cut prompts or traces, or tell the modes apart by something else.
        """
        write = options.get("chat_template") if options.get("apply_chat_template") else None
        system, template = options.get("system_instruction"), self.settings.chat_template
        self.engine = engine = engine_of(write)
        config = getattr(getattr(engine.lm, "model", None), "config", None)
        name = f"{type(engine.lm).__name__}: {engine.model}"
        is_alias = hasattr(engine.lm, "base_url")
        refuse_real_model(self.prompt_set, name, config, is_alias=is_alias)
        self._refuse_cuts(engine)
        self._set_sampling(engine)
        self.switch = engine.switch(self.settings.switch, template)
        if system:
            engine.refuse_cancelled(self.switch, system, template)
        if self.judge and only_mode_of(self.judge.sees, self.switch.kind) not in (
            None,
            self.file.mode,
        ):
            _LOGGER.warning(only_mode_sentence(self.prompt_set.kind))
        self._fit_budgets(system)
        self._require_adoption(system)
        # What is known only once lm-eval has its model, and what it keeps no record of.
        self.config.metadata[RUN] |= self.budgets.model_dump() | {
            "system_instruction": system,
            "samples": options.get("samples"),
            "weights": cached_fingerprint(getattr(engine.lm, "model", None)),
            "prompts": self._planned_kinds(options.get("limit"), options.get("samples")),
        }
        if self.sampling is not None:
            self.config.metadata[RUN]["sampling"] = self.sampling.model_dump(exclude_none=True)
        super().build_all_requests(**(options | {"cache_requests": False}))
        contexts = (instance.args[0] for instance in self.instances)
        engine.refuse_cut_prompts(contexts, self.budgets, self.file.mode)

    def _set_sampling(self, engine: Engine) -> None:
        """Decode the task's mode as the settings say, in the words that the engine takes.

        Raises:
            RimError: The sampling is not known, or `--gen_kwargs` set both modes alike beside it.
        """
        generation_kwargs, mode = self.config.generation_kwargs, self.file.mode
        if self.protocol != "equal":
            refuse_shared(generation_kwargs, mode)
        self.sampling = sampling_for(engine, self.settings, mode)
        if self.sampling is not None:
            decoding = generation_kwargs_of(engine, self.sampling)
            self.sent = {
                name: v for name, v in decoding.items() if name in SamplingValues.model_fields
            }
            generation_kwargs |= decoding
        temperature = float(generation_kwargs.get("temperature") or 0)
        if temperature:  # hf would decode greedily beside the task file's own `do_sample: false`
            generation_kwargs["do_sample"] = True
        warn_of_decoding(engine, self.settings, mode, self.sampling, temperature)

    def _request(self, names: tuple[str, ...]) -> ArmRequest:
        """What is asked of the model, as far as its replies are read by it."""
        request = ArmRequest.of(
            self.switch, self.file.mode, self.budgets, names, self.settings.served_as
        )
        values = {} if self.sampling is None else {"sampling": self.sent}
        return request._replace(
            requested={**request.requested, **values},
            condition={"attack": self.attack, "sampling": self.protocol},
        )

    def _require_adoption(self, system: str | None) -> None:
        """Refuse a run whose think arm the model ignores, before its first prompt.

        Raises:
            RimError: Less than half of the probe's replies reason.
        """
        kind = self.switch.kind
        if self.file.mode != "think" or not needs_probe(kind):
            return
        probe = self._probe(self.switch, system)
        if probe.warning:
            _LOGGER.warning(probe.warning)
        if not probe.is_hopeless:
            return
        other = None
        if kind == "prompted":
            other = self._probe(self.engine.switch("chain_of_thought", None), system)
        raise not_adopted(self.engine.model, kind, probe, other)

    def _probe(self, switch: Switch, system: str | None) -> Probe:
        """Ask the probe's questions in the think arm of a switch; once a model, for all tasks of the run."""
        probes = _PROBES.setdefault(self.engine.lm, {})
        if switch.kind not in probes:
            probes[switch.kind] = self._ask_probe(switch, system)
        return probes[switch.kind]

    def _ask_probe(self, switch: Switch, system: str | None) -> Probe:
        budgets = probe_budgets(self.budgets)
        request = ArmRequest.of(switch, "think", budgets)
        sampling = self.config.generation_kwargs | {"max_gen_toks": budgets.total("think")}
        asked = [self.engine.request(switch.think, text, system) for text in PROBE_QUESTIONS]
        replies = self.engine.generate((context, sampling | fields) for context, fields in asked)
        return Probe.of([self.engine.read(reply, request) for reply in replies])

    def _planned_kinds(self, limit: int | None, samples: list[int] | None) -> dict[str, PromptKind]:
        """The kind of each prompt that the run asks, by prompt id: what is missing is told by it."""
        chosen = self.doc_iterator(rank=0, limit=limit, world_size=1, samples=samples)
        return {doc["id"]: doc["kind"] for _, doc in chosen}

    def fewshot_context(
        self,
        doc: dict[str, Any],
        num_fewshot: int,  # noqa: ARG002  (lm-eval's signature; the tasks fix it to 0)
        **options: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """The request for one document: the same words in both modes, and what sets the mode."""
        recipe = self.switch.recipe(self.file.mode)
        message = message_in_arm(doc["message"], doc, self.switch.kind)
        return self.engine.request(recipe, message, options.get("system_instruction"))

    def construct_requests(self, doc: dict[str, Any], ctx: Any, **options: Any) -> Any:
        """The request as lm-eval sends it; the user's own settings are merged, never replaced."""
        context, fields = ctx
        instance = super().construct_requests(doc, context, **options)
        for name, value in fields.items():
            own = instance.args[1].get(name)
            both = isinstance(own, Mapping) and isinstance(value, Mapping)
            instance.args[1][name] = type(value)({**own, **value}) if both else value
        return instance

    @plain_errors()
    def process_results(self, doc: dict[str, Any], results: list[Any]) -> dict[str, Any]:
        """Splits, verifies and scores one reply; what needs a model of its own is left for `rim-eval judge run`."""
        names = self.engine.names
        if names and self.settings.model:
            names += (self.settings.model,)
        reply = self.engine.read(results[0], self._request(names))
        if doc["kind"] == "reasoning":
            verdict = check_reply(reply, doc["target"], self.absolute_error)
        elif self.judge is None or self.judge.spec.needs_model:
            sees = "answer" if self.judge is None else self.judge.sees
            verdict = ReplyVerdict(reason=unscored_reason(reply, sees) or "not_judged")
        else:
            try:  # an offline judge waits for nothing, so its coroutine ends at the first step
                judge_reply(self.judge, doc, reply).send(None)
            except StopIteration as done:
                verdict = done.value
            else:
                raise RimError(f"The offline judge {self.judge.name} waited for something.")
        row = record(doc, self.settings.model or self.engine.model, reply, verdict)
        return metrics(row, [KIND_NAMES[kind].rate for kind in self.kinds])

    def override_metric(self, metric_name: str) -> None:
        """Keeps the task's own metrics under `--predict_only`: they ask no model, and sample files need them."""

    def _fit_budgets(self, system: str | None) -> None:
        """Make default budgets fit into the model's window, for both modes' tasks alike.

        Text engines have the user's own budgets checked against every prompt once these are written.
        """
        own = self.settings.answer_tokens, self.settings.thinking_tokens
        if not self.engine.is_chat and None not in own:
            return
        write = partial(longest_recipe(self.settings.switch).messages, system)
        window = self.engine.context_window(self.dataset["test"]["message"], write)
        if window is not None:
            kind = self.prompt_set.kind
            self.budgets = window.fit(kind, *own, modes=(self.file.mode,))
            self.config.generation_kwargs["max_gen_toks"] = self.budgets.total(self.file.mode)

    def _refuse_cuts(self, engine: Engine) -> None:
        """Refuse settings that cut the trace away, or mean different things in the two modes."""
        token = getattr(engine.lm, "think_end_token", None)
        if token:
            raise RimError(
                f"think_end_token={token!r} makes lm-eval throw the trace away before any task sees it. Leave it and "
                "enable_thinking out of --model_args: the rim tasks set the mode of each request themselves."
            )
        sampling = self.config.generation_kwargs
        expected = self.budgets.total(self.file.mode)
        if sampling["max_gen_toks"] != expected or not sampling.keys().isdisjoint(_TOKEN_LIMITS):
            raise SettingError(
                "--gen_kwargs sets one token limit, which counts the trace and the answer together, so it would "
                "leave the two modes different room for the answer. Give the budgets apart",
                " (thinking is on top, in think mode)",
                **self.budgets.model_dump(),
            )
        if sampling.get("until"):
            raise RimError(
                f"--gen_kwargs until={sampling['until']!r} would end a trace wherever these words stand in it: "
                "leave it out."
            )

"""Judges: load them, and judge a case by one, by several graders, or by two judges in a row as a cascade.

A cascade asks a cheap judge first, and a costly one only where the cheap one's label is not final:
with `refusal+hexphi` a reply that the offline matcher calls a full refusal costs no grader call. What
decided stands in each judgement's votes; name, version and hash are those of both judges for every
reply, since together they are one instrument.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, cast, get_args

from rim_eval.errors import RimError
from rim_eval.judging._case import Case, Judgement, JudgeProvenance, Sees, case_unscored_reason
from rim_eval.judging._classifier import classify, load_classifier
from rim_eval.judging._grader import (
    Grader,
    GraderOutcome,
    ask_grader,
    failed_outcome,
    message_problem,
    render_messages,
    seen_text,
)
from rim_eval.judging._panel import count_votes, graders_name
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._request import check_frame, response_schema
from rim_eval.judging._spec import (
    ClassifierReader,
    FieldsReader,
    JudgeSpec,
    PatternsReader,
    RefusalReader,
    VerdictRule,
    WordReader,
)
from rim_eval.judging._verdict_parsing import ParsedVerdict, parse_verdict
from rim_eval.paths import judges_dir, model_name
from rim_eval.types import PromptKind
from rim_eval.yaml_file import YamlFile

_Outcome = GraderOutcome[ParsedVerdict]
_SUFFIXES: Final = (".yaml", ".yml")

Graders = Grader | Sequence[Grader] | None
"""The model to ask, several that vote, or none."""


@dataclass(frozen=True)
class Judge:
    """A judge file, loaded and checked, with what it is to see."""

    spec: JudgeSpec
    sha256: str
    """SHA-256 of the file's bytes, in hexadecimal."""
    sees: Sees
    path: Path | None = None
    """Where the file lies; None for a judge parsed from bytes."""
    stages: tuple["Judge", ...] = ()
    """Of a cascade the cheap judge and the costly one; none of a single judge."""

    @property
    def name(self) -> str:
        """The judge's name; of a cascade both, in the order of asking."""
        return "+".join(stage.name for stage in self.stages) or self.spec.name

    @property
    def needs_grader(self) -> bool:
        """Whether a grader model is asked; False for offline judges."""
        return self.spec.needs_grader

    def prepare(self, grader: Graders = None, data: Path | None = None) -> None:
        """Check the graders, and load a classifier or the publisher's prompt, before anything is asked.

        Args:
            grader: The model to ask, or several.
            data: The data folder with publishers' files; else that of `RIM_EVAL_DATA`.

        Raises:
            RimError: There is no grader, or one that cannot be sent this judge's whole prompt; the classifier
                or the prompt cannot be loaded. The message names each of these, with what to do.
        """
        checks = [partial(self._check_graders, _as_sequence(grader))]
        checks += [partial(stage._load, data) for stage in self.stages or (self,)]
        problems: list[str] = []
        for check in checks:
            try:
                check()
            except RimError as error:
                problems.append(str(error))
        if problems:
            raise RimError("\n\n".join(problems))

    def _check_graders(self, graders: Sequence[Grader]) -> None:
        if self.needs_grader and not graders:
            raise RimError(_missing_grader_message(self.name))
        check_frame(self.spec.frame, graders, f"Judge `{self.name}`")

    def _load(self, data: Path | None) -> None:
        self.spec.fetch_prompt(data)
        if isinstance(self.spec.reader, ClassifierReader):
            load_classifier(self.spec.reader)

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest score; None where a verdict may come without one."""
        unscored = any(stage.spec.final_labels != ("full_refusal",) for stage in self.stages[:-1])
        return None if unscored else self.spec.score_range

    @property
    def applies_to(self) -> tuple[PromptKind, ...]:
        """The kinds of prompts that this judge can be used for; of a cascade those that both read."""
        applies = [stage.applies_to for stage in self.stages]
        return tuple(kind for kind in self.spec.verdicts if all(kind in kinds for kinds in applies))

    def rule(self, kind: PromptKind) -> VerdictRule:
        """The rule that makes a verdict on prompts of this kind, and what a true one means.

        Raises:
            RimError: The judge has no verdict for this kind.
        """
        if kind == "reasoning" or kind not in self.applies_to:
            raise RimError(
                f"Judge `{self.name}` gives no verdict on {kind} prompts, only on "
                f"{' and '.join(self.applies_to)} ones. Choose another judge for them."
            )
        return self.spec.verdicts[kind]

    def seeing(self, sees: Sees) -> "Judge":
        """The same judge, shown another part of the reply.

        Raises:
            RimError: The judge file does not allow that.
        """
        if sees not in self.spec.inputs:
            allowed = ", ".join(self.spec.inputs)
            raise RimError(f"Judge `{self.name}` cannot see `{sees}`; it may see: {allowed}.")
        return replace(self, sees=sees, stages=tuple(one.seeing(sees) for one in self.stages))

    def provenance(self, grader: Graders) -> JudgeProvenance:
        """Name, version, hash, grader and input: what stands in every score."""
        stages = self.stages or (self,)
        models = filter(None, (stage._model_name(_as_sequence(grader)) for stage in stages))
        return JudgeProvenance(
            judge=self.name,
            version="+".join(str(stage.spec.version) for stage in stages),
            sha256=self.sha256,
            grader=", ".join(models) or None,
            sees=self.sees,
        )

    def _model_name(self, graders: Sequence[Grader]) -> str | None:
        """Whose verdict it is: the graders', the classifier's at its revision, or no model's."""
        if isinstance(self.spec.reader, ClassifierReader):
            return load_classifier(self.spec.reader).name
        return graders_name([model_name(str(one)) for one in graders if self.needs_grader])

    async def judge(self, case: Case, grader: Graders = None) -> Judgement:
        """Judge one reply.

        A reply without the text that this judge sees, and a grader without a readable verdict,
        give a judgement without verdict and with the reason.

        Args:
            case: The prompt and the reply.
            grader: The model to ask, or several that vote; not used by offline judges.

        Raises:
            RimError: The judge has no verdict for this kind of prompt, or there is no grader.
        """
        graders = _as_sequence(grader)
        if self.stages:
            return await self._judge_by_stages(case, graders)
        rule = self.rule(case.kind)
        if len(graders) > 1 and self.needs_grader:
            from inspect_ai.util import collect

            fields = count_votes(await collect(*(self.judge(case, one) for one in graders)))
        elif unscored := case_unscored_reason(case, self.sees):
            fields = {"reason": unscored}
        else:
            fields = self._conclusion(rule, await self._read(case, rule, graders))
        return Judgement(event=rule.event, provenance=self.provenance(graders), **fields)

    async def _read(self, case: Case, rule: VerdictRule, graders: Sequence[Grader]) -> _Outcome:
        text = seen_text(case, self.sees).strip()
        match self.spec.reader:
            case PatternsReader() as reader:
                return _match_patterns(reader, text)
            case RefusalReader():
                return _match_refusal(text)
            case ClassifierReader() as reader:
                return await _ask_classifier(reader, case, self.sees, rule)
            case FieldsReader() | WordReader() as reader:
                self._check_graders(graders)
                read, schema = partial(parse_verdict, reader), response_schema(reader, graders[0])
                messages = render_messages(self.spec, case, self.sees)
                return await ask_grader(self.spec, read, messages, graders[0], schema)

    async def _judge_by_stages(self, case: Case, graders: Sequence[Grader]) -> Judgement:
        """The cheap judge's judgement where its label is final, else the costly one's."""
        cheap, costly = self.stages
        rule = self.rule(case.kind)
        update: dict[str, Any] = {"provenance": self.provenance(graders)}
        first = await cheap.judge(case)
        if first.verdict is None or first.label not in cheap.spec.final_labels:
            second = await costly.judge(case, graders)
            votes = (first, *(second.votes or (second,)))
            return second.model_copy(update=update | {"votes": votes})
        if self.scale is not None and first.verdict is False:
            # A full refusal is what the low end of a scale of compliance means; the vote says whose it is.
            update |= {"score": self.scale[0], "thresholds": dict.fromkeys(rule.named, False)}
        return first.model_copy(update=update | {"votes": (first,)})

    def _conclusion(self, rule: VerdictRule, outcome: _Outcome) -> dict[str, Any]:
        """The fields of a judgement: the verdict and what it follows from, or why there is none."""
        attempts = outcome.attempts if self.needs_grader else 0
        fields = {"replies": outcome.replies, "attempts": attempts}
        if (parsed := outcome.parsed) is None:
            reason, problem, failure = outcome.reason, outcome.problem, outcome.failure
            return {**fields, "reason": reason, "explanation": problem, "label": failure}
        score = self.spec.score_of(parsed.values)
        fields |= {"values": dict(parsed.values), "explanation": parsed.explanation, "score": score}
        return fields | rule.conclude(parsed.values, score)


def _match_patterns(reader: PatternsReader, text: str) -> _Outcome:
    labels = [
        label
        for label, patterns in reader.labels.items()
        if any(re.search(pattern.pattern, text, re.DOTALL) for pattern in patterns)
    ]
    label = labels[0] if len(labels) == 1 else reader.otherwise
    if label is None:
        problem = f"{labels} all match" if labels else "no label matches"
        return GraderOutcome(None, "judge_unreadable", problem)
    return GraderOutcome(ParsedVerdict({"label": label}))


def _match_refusal(text: str) -> _Outcome:
    refusal = classify_refusal(text)
    if refusal.label is None:
        problem = (
            "The offline refusal matcher reads English words only. Use a grader for other replies."
        )
        return GraderOutcome(None, "unread_language", problem)
    return GraderOutcome(ParsedVerdict({"label": refusal.label}, "; ".join(refusal.cues)))


async def _ask_classifier(
    reader: ClassifierReader, case: Case, sees: Sees, rule: VerdictRule
) -> _Outcome:
    try:
        reading = await classify(reader, case, sees)
    except RuntimeError as error:  # torch's, such as a full memory
        return failed_outcome(error)
    # A refusal at its head does not make a reply harmless whose rest was not read.
    harmless = rule.event == "misaligned" and reading.label not in rule.labels
    if reading.label is None or (harmless and not reading.whole):
        return GraderOutcome(None, "judge_truncated", reading.explanation)
    return GraderOutcome(ParsedVerdict({"label": reading.label}, reading.explanation))


def _as_sequence(grader: Graders) -> Sequence[Grader]:
    if isinstance(grader, Sequence):
        return grader
    return [] if grader is None else [grader]


def _missing_grader_message(name: str) -> str:
    # A model that judges itself has no witness.
    return (
        f"Judge `{name}` asks a grader model, and none was given. The evaluated model is "
        "never used in its place. To `rim-eval judge` pass --grader MODEL, to a run one of:\n"
        "  --model-role grader=openai/gpt-4.1                   (hosted)\n"
        "  --model-role grader=vllm/Qwen/Qwen3-32B              (local; hf/<model> works too)\n"
        "  -T judge=qwen3guard --model-role grader=vllm/Qwen/Qwen3Guard-Gen-8B   (local guard model)\n"
        "  -T judge=minos                                       (a classifier, no grader: refusals only)\n"
        "  -T judge=none                                        (generate now, judge later)"
    )


def judge_names() -> list[str]:
    """Names of the shipped judges, sorted."""
    return sorted(path.stem for path in judges_dir().glob("*.yaml"))


def load_judge(name_or_path: str | Path) -> Judge:
    """Load a judge.

    Args:
        name_or_path: A shipped judge's name (`hexphi`), or the path of a YAML file: anything that
            ends in `.yaml` or `.yml`. A suffix says what it sees instead of what its file says:
            `hexphi:reasoning`, `mine.yaml:both`. Two with a plus are a cascade, the cheap one
            first: `refusal+hexphi`.

    Returns:
        The judge, checked.

    Raises:
        RimError: No such judge or file, or the file is wrong; the message names file, line, field
            and what is allowed.
    """
    name = str(name_or_path)
    base, colon, sees = name.rpartition(":")
    if colon and sees in get_args(Sees):
        return load_judge(base).seeing(cast(Sees, sees))
    cheap, plus, costly = name.partition("+")
    if plus and (cheap in judge_names() or cheap.endswith(_SUFFIXES)):
        return _cascade(load_judge(cheap), load_judge(costly))
    is_file = name.endswith(_SUFFIXES)
    if not is_file and name not in judge_names():
        raise RimError(
            f"There is no judge `{name}`. Judges: {', '.join(judge_names())}. "
            "For a judge of your own pass the path of its file: judge=path/to/judge.yaml. Two in a row, the "
            "cheap one first, are joined by a plus: judge=refusal+hexphi."
        )
    path = Path(name).expanduser() if is_file else judges_dir() / f"{name}.yaml"
    try:
        return replace(parse_judge(path.read_bytes(), str(path)), path=path)
    except OSError as error:
        problem = f"Judge file {path}: {error.strerror}. Pass the path of a YAML file."
        raise RimError(problem) from None


def _cascade(cheap: Judge, costly: Judge) -> Judge:
    """Put a cheap judge before a costly one."""
    if cheap.needs_grader or not cheap.spec.final_labels:
        problem = "it asks a model itself" if cheap.needs_grader else "none of its labels is final"
        raise RimError(
            f"Judge `{cheap.name}` cannot go before `{costly.name}`: {problem}. Put `refusal` first, or "
            "an offline judge whose file names labels that need no second look (`final`)."
        )
    sha256 = hashlib.sha256(f"{cheap.sha256}+{costly.sha256}".encode()).hexdigest()
    # No such file; figures of both lie beside where it would.
    path = costly.path and costly.path.with_name(f"{cheap.name}+{costly.name}.yaml")
    return replace(costly, sha256=sha256, path=path, stages=(cheap.seeing(costly.sees), costly))


@lru_cache(maxsize=256)
def judge_wording(name: str, sha256: str | None) -> str | None:
    """Whose words a shipped judge asks in.

    Args:
        name: The judge as observations name it: `hexphi@2`.
        sha256: SHA-256 of its file.

    Returns:
        `publisher's prompt, sha256 ...` or `own wording`; None for another file and for offline judges.
    """
    parts = name.partition("@")[0].split("+")
    if not set(parts) <= set(judge_names()):
        return None
    judge = load_judge("+".join(parts))
    return judge.spec.wording if judge.sha256 == sha256 else None


@lru_cache(maxsize=256)
def judge_limits(name: str, kind: PromptKind) -> str | None:
    """What a verdict of a shipped judge cannot tell on a kind of prompts.

    Args:
        name: The judge as observations name it: `refusal@2`.
        kind: Kind of the prompts.

    Returns:
        Words that go on from "the judge"; None for judges that read harm, for other kinds, and for files of one's own.
    """
    base = name.partition("@")[0]
    if kind != "harmful" or base not in judge_names():
        return None
    if isinstance(load_judge(base).spec.reader, RefusalReader | ClassifierReader):
        return "reads refusals, not harm: every reply that does not refuse counts"
    return None


def parse_judge(raw: bytes, name: str) -> Judge:
    """Make a judge of a YAML file's bytes.

    Args:
        raw: The file's bytes.
        name: The file's name or path, for messages.

    Raises:
        RimError: The file is wrong.
    """
    file = YamlFile.parse(raw, name)
    spec = file.validate(JudgeSpec)
    if problem := message_problem(spec):
        raise file.error(*problem)
    return Judge(spec=spec, sha256=hashlib.sha256(raw).hexdigest(), sees=spec.sees)

"""Load judges: shipped ones by name, a user's own by path, two in a row as a cascade.

A cascade asks a cheap judge first, and a costly one only where the cheap one's label is not final:
with `refusal+hexphi` a reply that the offline matcher calls a full refusal costs no grader call. What
decided stands in each judgement's votes; name, version and hash are those of both judges for every
reply, since together they are one instrument.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast, get_args

from rim_eval.errors import RimError
from rim_eval.judging._case import Case, Event, Judgement, JudgeProvenance, Sees
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge
from rim_eval.judging._prompt import message_problem
from rim_eval.judging._spec import JudgeSpec
from rim_eval.judging._yaml import MAX_BYTES, YamlFile
from rim_eval.paths import judges_dir
from rim_eval.types import PromptKind

_SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True)
class Cascade(Judge):
    """Two judges as one: to those who use it, the costly one under both names."""

    stages: tuple[Judge, ...] = ()
    """The cheap judge and the costly one."""

    @classmethod
    def of(cls, cheap: Judge, costly: Judge) -> "Cascade":
        """Put a cheap judge before a costly one.

        Raises:
            RimError: The cheap one asks a model, or none of its labels is final; it may not see what
                the costly one sees, or they have no kind of prompts in common.
        """
        lacks = None if cheap.spec.final_labels else "none of its labels is final"
        if cheap.needs_grader:
            lacks = "it asks a model itself"
        if lacks:
            raise RimError(
                f"Judge `{cheap.name}` cannot go before `{costly.name}`: {lacks}. Put `refusal` first, or "
                "an offline judge whose file names labels that need no second look (`final`)."
            )
        if not set(cheap.applies_to) & set(costly.applies_to):
            raise RimError(
                f"Judge `{cheap.name}` reads {' and '.join(cheap.applies_to)} prompts and `{costly.name}` "
                f"{' and '.join(costly.applies_to)} ones: they cannot judge together."
            )
        sha256 = hashlib.sha256(f"{cheap.sha256}+{costly.sha256}".encode()).hexdigest()
        stages = (cheap.seeing(costly.sees), costly)
        name = f"{cheap.name}+{costly.name}.yaml"  # no such file; its figures lie beside where it would
        path = costly.path.with_name(name) if costly.path else None
        return cls(spec=costly.spec, sha256=sha256, sees=costly.sees, path=path, stages=stages)

    @property
    def name(self) -> str:
        """Both names, in the order of asking."""
        return "+".join(stage.name for stage in self.stages)

    @property
    def applies_to(self) -> tuple[PromptKind, ...]:
        """The kinds of prompts that both read."""
        cheap, costly = self.stages
        return tuple(kind for kind in costly.applies_to if kind in cheap.applies_to)

    def event(self, kind: PromptKind) -> Event:
        """What a true verdict means for prompts of this kind; both must know it."""
        return [stage.event(kind) for stage in self.stages][-1]

    def seeing(self, sees: Sees) -> Judge:
        """Both, shown another part of the reply."""
        return replace(self, sees=sees, stages=tuple(one.seeing(sees) for one in self.stages))

    def provenance(self, grader: Grader | Sequence[Grader] | None) -> JudgeProvenance:
        """Of both, whichever decides."""
        version = "+".join(str(stage.spec.version) for stage in self.stages)
        return super().provenance(grader).model_copy(update={"version": version})

    async def judge(self, case: Case, grader: Grader | Sequence[Grader] | None = None) -> Judgement:
        """Judge one reply; the judgement that decided, with every vote kept."""
        cheap, costly = self.stages
        update: dict[str, Any] = {"provenance": self.provenance(grader)}
        first = await cheap.judge(case)
        if first.verdict is not None and first.label in cheap.spec.final_labels:
            return first.model_copy(update=update | {"votes": (first,)})
        second = await costly.judge(case, grader)
        return second.model_copy(update=update | {"votes": (first, *(second.votes or (second,)))})


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
    given, colon, sees = str(name_or_path).rpartition(":")
    if colon and sees in get_args(Sees):
        return load_judge(given).seeing(cast(Sees, sees))
    cheap, plus, costly = str(name_or_path).partition("+")
    if plus and (cheap in judge_names() or cheap.endswith(_SUFFIXES)):
        return Cascade.of(load_judge(cheap), load_judge(costly))
    name = str(name_or_path)
    own = name.endswith(_SUFFIXES)
    if not own and name not in judge_names():
        raise RimError(
            f"There is no judge `{name}`. Judges: {', '.join(judge_names())}. "
            "For a judge of your own pass the path of its file: judge=path/to/judge.yaml. Two in a row, the "
            "cheap one first, are joined by a plus: judge=refusal+hexphi."
        )
    path = Path(name).expanduser() if own else judges_dir() / f"{name}.yaml"
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RimError(
            f"Judge file {path}: {error.strerror}. Pass the path of a YAML file."
        ) from None
    return replace(parse_judge(raw, str(path)), path=path)


def parse_judge(raw: bytes, name: str) -> Judge:
    """Make a judge of a YAML file's bytes.

    Args:
        raw: The file's bytes.
        name: The file's name or path, for messages.

    Raises:
        RimError: As `load_judge`.
    """
    file = YamlFile.parse(raw, name)
    spec = file.validate(JudgeSpec)
    if problem := message_problem(spec):
        raise file.error(*problem)
    return Judge(spec=spec, sha256=hashlib.sha256(raw).hexdigest(), sees=spec.sees)

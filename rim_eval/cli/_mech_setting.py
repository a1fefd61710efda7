"""What `rim-eval mech` works on: the model, the prompts, and the report so far."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.mechanisms.report import MechanismReport
    from rim_eval.mechanisms.setting import Setting
    from rim_eval.mechanisms.subject import Subject

__all__ = ["begin"]


def begin(words: dict[str, Any]) -> tuple["Setting", "MechanismReport"]:
    """Loads model and prompts, and the report so far where it is of the same model and prompts."""
    from importlib.metadata import version

    from rim_eval.fingerprint import fingerprint
    from rim_eval.mechanisms.behaviour import offline_reader
    from rim_eval.mechanisms.report import MechanismReport, SetUsed
    from rim_eval.mechanisms.setting import Setting

    toy = words["harmful_set"] == "toy"
    judge = words["judge"] or ("toy_exact" if toy else "refusal")
    budget = words["max_new_tokens"] or (128 if toy else 2048)
    read = offline_reader(judge)
    prompts, intent, groups, sizes = _prompts(words)
    subject = _subject(words)
    setting = Setting(
        subject=subject,
        prompts=prompts,
        read=read,
        intent=intent,
        groups=groups,
        draws=words["draws"],
        seed=words["seed"],
        max_new_tokens=budget,
        fill=words["fill"],
    )
    fresh = MechanismReport(
        model=subject.name,
        fingerprint=fingerprint(subject.model),
        switch=subject.switch.kind,
        sets=tuple(SetUsed(name=name, kind=kind, n=n) for name, kind, n in sizes),
        judge=judge,
        fill=words["fill"],
        seed=words["seed"],
        max_new_tokens=budget,
        versions={name: version(name) for name in ("rim-eval", "torch", "transformers")},
    )
    return setting, _continued(words["out"] / "report.json", fresh)


def _continued(path: Path, fresh: "MechanismReport") -> "MechanismReport":
    """The report that is there already, if it can hold what is measured now; else the fresh one."""
    from rim_eval.mechanisms.report import read_report

    if not path.is_file():
        return fresh
    before = read_report(path)
    if before.head == fresh.head:
        return before
    weights = [f"{each.model!r} with weights {each.fingerprint}" for each in (before, fresh)]
    if before.fingerprint != fresh.fingerprint:
        raise RimError(
            f"{path} is about {weights[0]}, and this is {weights[1]}: another checkpoint, whatever the "
            "folders are called, or the same one with another --dtype. Give another --out."
        )
    raise RimError(
        f"{path} is about {weights[0]} too, with other prompts or settings. Give another --out, or "
        "the same --model, sets, --limit, --judge, --fill, --seed and budget."
    )


def _subject(words: dict[str, Any]) -> "Subject":
    from rim_eval.mechanisms.subject import check_device, load_subject, make_subject

    if words["model"]:
        return load_subject(words["model"], device=words["device"], dtype=words["dtype"])
    check_device(words["device"])
    from rim_eval.organism import load_variant

    model, tokenizer = load_variant(words["organism"])
    name = words["organism"]
    called = "organism" if name == "natural" else f"organism ({name})"
    return make_subject(model.to(words["device"]), tokenizer, called)


def _prompts(words: dict[str, Any]) -> tuple[Any, Any, dict[str, str], list[tuple[str, Any, int]]]:
    """Prompts, the intent of each, the groups of contrast partners, and the sets with their sizes."""
    from rim_eval import prompt_sets
    from rim_eval.asking import Style, ask
    from rim_eval.mechanisms.behaviour import Prompts
    from rim_eval.mechanisms.neurons import intent_for
    from rim_eval.mechanisms.subject import Request

    loaded = {}
    for kind in ("harmful", "benign", "reasoning"):
        name = words[f"{kind}_set"]
        if name:
            found = prompt_sets.load_prompts(name, data=words["data"]).prompts
            loaded[kind] = [each for each in found if each.kind == kind][: words["limit"]]
            if not loaded[kind]:
                raise RimError(f"--{kind} {name}: this set holds no {kind} prompts.")
    every = [prompt for prompts in loaded.values() for prompt in prompts]
    categories = {prompt.id: (prompt.set, prompt.category) for prompt in every}
    style: Style = "as_is" if words["reasoning_set"] == "toy_math" else "worked"

    def requests(kind: str) -> list[Request]:
        return [Request(prompt.id, ask(prompt)) for prompt in loaded.get(kind, ())]

    problems = [
        (Request(prompt.id, ask(prompt, style)), prompt.target or "")
        for prompt in loaded.get("reasoning", ())
    ]
    groups = {p.id: "|".join(sorted((p.id, p.pair))) for p in every if p.pair}
    sizes = [(words[f"{kind}_set"], kind, len(prompts)) for kind, prompts in loaded.items()]
    asked = Prompts(requests("harmful"), requests("benign"), problems)
    return asked, lambda request: intent_for(*categories[request.id]), groups, sizes

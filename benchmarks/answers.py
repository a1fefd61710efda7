r"""Answer checking in other layouts, against wrong answers, and beside math-verify alone.

    python benchmarks/answers.py FOLDER/math500.jsonl --alone --show
    python benchmarks/answers.py grade-school-math/grade_school_math/data/example_model_solutions.jsonl

A set is JSON lines with a field `answer` (MATH401: `response`). Each gold is answered in every layout of
`LAYOUTS` (right), in every way of `NEAR_MISSES` and by golds of other problems (wrong). The second file has
GSM8K's published labels.
"""

import argparse
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rim_eval.answers import check_answer

__all__ = ["LAYOUTS", "NEAR_MISSES"]

Writer = Callable[[str], str]


def _boxed(answer: str) -> str:
    return rf"So the final answer is $\boxed{{{answer}}}$."


def _boxed_as(write: Writer) -> Writer:
    return lambda gold: _boxed(write(gold))


def _replaced(pattern: str, replacement: str) -> Writer:
    return _boxed_as(lambda gold: re.sub(pattern, replacement, gold))


def _compact(gold: str) -> str:
    return re.sub(r"(?<![A-Za-z,])\s+|\s+(?![A-Za-z\\])", "", gold)


def _array(gold: str) -> str:
    gold = re.sub(r"\\begin\{pmatrix\}", r"\\left(\\begin{array}{cc}", gold)
    return re.sub(r"\\end\{pmatrix\}", r"\\end{array}\\right)", gold)


def _sized(gold: str) -> str:
    if r"\left" in gold:
        return gold.replace(r"\left", "").replace(r"\right", "")
    return re.sub(r"(?<!\\)[\])]", r"\\right\g<0>", re.sub(r"(?<!\\)[\[(]", r"\\left\g<0>", gold))


def _thousands(mark: str) -> Writer:
    def write(gold: str) -> str:
        if not re.fullmatch(r"-?\d{4,}", gold):
            return _boxed(gold)
        spaced = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", lambda _: mark, gold)
        return f"The answer is {spaced}."

    return write


def _with_units(gold: str) -> str:
    return _boxed(rf"{gold}\text{{ units}}" if re.search(r"[\d}]$", gold) else gold)


def _assigned(gold: str) -> str:
    return _boxed(gold if re.search(r"=|\\in\b", gold) else f"x = {gold}")


LAYOUTS: Final[dict[str, Writer]] = {
    "boxed": _boxed,
    "compact": _boxed_as(_compact),
    "spaced": _replaced(r"\s*([+=&])\s*", r" \1 "),
    "rows on lines": _replaced(r"\s*\\\\\s*", "\\\\\\\\\n"),
    "rows unspaced": _replaced(r"\s*\\\\\s*", r"\\\\"),
    "bmatrix": _replaced("pmatrix", "bmatrix"),
    "array": _boxed_as(_array),
    "dfrac": _replaced(r"\\d?frac", r"\\dfrac"),
    "tfrac": _replaced(r"\\d?frac", r"\\tfrac"),
    "left right": _boxed_as(_sized),
    "display": lambda gold: f"Therefore\n\\[\n\\boxed{{{gold}}}\n\\]",
    "display without box": lambda gold: f"The answer is\n\\[\n{gold}\n\\]\nThis took 3 steps.",
    "double dollar": lambda gold: f"Answer:\n$$\n{gold}\n$$",
    "bold announcement": lambda gold: f"We checked 2 cases.\n\n**Final Answer:** ${gold}$",
    "bold bare": lambda gold: f"We checked 2 cases.\n\n**Answer: {gold}**",
    "sentence": lambda gold: f"First 12 + 30 = 42. The answer is ${gold}$, as in step 2.",
    "units": _with_units,
    "assigned": _assigned,
    "thousands {,}": _thousands("{,}"),
    "thousands \\,": _thousands("\\,"),
    "thousands ,": _thousands(","),
    "thousands space": _thousands(" "),
    "thousands thin space": _thousands("\u202f"),
    "unicode": _boxed_as(lambda gold: re.sub(r"\\pi(?![a-z])", "π", gold).replace("-", "−")),
    "corrected": lambda gold: f"So \\boxed{{-77}}.\n\nWait, that is wrong. The answer is ${gold}$.",
}  # fmt: skip


def _digit(gold: str) -> str:
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), gold)


NEAR_MISSES: Final[dict[str, Writer]] = {
    "sign": lambda gold: gold[1:] if gold.startswith("-") else f"-{gold}",
    "ten times": lambda gold: re.sub(r"\d+", r"\g<0>0", gold, count=1),
    "one digit": _digit,
    "no root": lambda gold: re.sub(r"\\sqrt", "", gold),
    "upside down": lambda gold: re.sub(r"frac\{([^{}]*)\}\{([^{}]*)\}", r"frac{\2}{\1}", gold),
    "swapped": lambda gold: re.sub(r"\(([^,()]+),([^,()]+)\)", r"(\2,\1)", gold),
    "other brackets": lambda gold: re.sub(r"\(([^()]+,[^()]+)\)", r"[\1]", gold),
    "one more": lambda gold: f"{gold}, 77",
    "first only": lambda gold: gold.partition(",")[0],
    "cut short": lambda gold: gold[:-1],
    "plus a half": lambda gold: rf"{gold}+\frac{{1}}{{2}}",
    "a variable": lambda gold: f"{gold}w",
    "malformed": lambda gold: rf"{gold}\foo{{",
}


def math_verify_alone(reply: str, gold: str) -> bool:
    """What math-verify says without any help."""
    from math_verify import parse, verify

    return bool(verify(parse(f"${gold}$"), parse(reply)))


def cases(golds: list[str], others: int = 50) -> Iterator[tuple[str, str, str, bool]]:
    """Kind, reply, gold and whether the reply is right; each different gold once."""
    draw = random.Random(0)
    for gold in dict.fromkeys(golds):
        for name, write in LAYOUTS.items():
            yield f"layout: {name}", write(gold), gold, True
        for name, write in NEAR_MISSES.items():
            if write(gold) != gold and re.search(r"\w", write(gold)):
                yield f"near: {name}", _boxed(write(gold)), gold, False
        for other in draw.sample(sorted(set(golds) - {gold}), min(others, len(set(golds)) - 1)):
            yield "other gold", _boxed(other), gold, False


def published(file: Path) -> Iterator[tuple[str, str, str, bool]]:
    """The replies of four models to GSM8K and their labels, as its authors published them."""
    for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        gold = row["ground_truth"].rpartition("A:")[2].strip()
        for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            yield model, row[model]["solution"], gold, row[model]["is_correct"]


def read_golds(file: Path) -> list[str]:
    """The golds of a set; of GSM8K, what stands after `####`."""
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    golds = [str(row.get("answer", row.get("response"))) for row in rows]
    return [gold.rpartition("####")[2].strip() for gold in golds]


def main() -> None:
    """Print a table of the kinds; on request every case that is not as expected, or seen differently."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument(
        "--others", type=int, default=50, help="golds of other problems, for each"
    )
    arguments.add_argument("--alone", action="store_true", help="ask math-verify alone as well")
    arguments.add_argument("--show", action="store_true")
    options = arguments.parse_args()
    labelled = options.file.name == "example_model_solutions.jsonl"
    rows = published(options.file) if labelled else cases(read_golds(options.file), options.others)
    tally: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    for kind, reply, gold, right in rows:
        start = time.perf_counter()
        verdicts: dict[str, bool | None] = {"rim_eval": check_answer(reply, gold).correct}
        seconds["rim_eval"] += time.perf_counter() - start
        if options.alone:
            start = time.perf_counter()
            verdicts["alone"] = math_verify_alone(reply, gold)
            seconds["alone"] += time.perf_counter() - start
        tally[kind].update(["n", *(name for name, verdict in verdicts.items() if verdict is right)])
        if options.show and set(verdicts.values()) != {right}:
            print(f"{kind}: {gold!r} {reply[-120:]!r} {verdicts}", flush=True)
    print(f"{'kind':28}{'n':>7}{'rim_eval':>10}{'alone':>8}")
    for kind, counts in tally.items():
        print(f"{kind:28}{counts['n']:7}{counts['rim_eval']:10}{counts['alone']:8}")
    print({name: round(value, 1) for name, value in seconds.items()}, "s")


if __name__ == "__main__":
    main()

r"""Find the part of a reply that gives its final answer.

The last of these that the reply has: a `\boxed{}`, with those joined to it by a comma, "and" or "or"; an
announcement, `the answer is 18` or `Answer: 18`; what stands after `####`. Without any, the last mathematics
in the reply. After an answer, a line such as `Question:` or an end token begins another problem.

In prose an answer is a run of mathematics, in which the only words are "and", "or" and "to": a choice or a
list (`3 or 5`) is read as one. A run that a hedge makes a bound (`less than 5`) is no answer.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from rim_eval.answers._plain import FACTOR, FUNCTION, SPELLED_NUMBER, WORDS, any_of

LONGEST_FINAL_ANSWER: Final = 400
"""Characters. The longest gold of MATH-500 has 53; a longer "final answer" is not one."""

_MOST_ANNOUNCEMENTS: Final = 50  # at the end of a reply: one that loops holds thousands
_REACH: Final = 800  # characters that are searched after an announcement, or at the end of a reply

_FLAGS: Final = re.VERBOSE | re.IGNORECASE | re.DOTALL | re.MULTILINE

_ANSWER: Final = re.compile(  # also as a heading of its own
    r"""\b(?:answers?|final\s+results?|correct\s+(?:option|choice))\b "? \s*
    (?:\([^()\n]{0,20}\) \s*)? (?: [:=] | \b(?:is|are)\b\s*:? ) \s*
    | ^[ \t#]* (?:the\s+)? (?:final\s+)? answer [ \t#]* $ \s*""",
    _FLAGS,
)
_MARKED: Final = re.compile(
    r"""(?<!\#)\#{4}(?!\#) (?:\.(?!\d)|[^\w\n\\$(\[.-])*+
    (?!\d+[.:)]\s)  # no heading: `#### Step 2`, `#### 2. Add`
    (?!\(?[a-z]{2}) (?P<answer>[^\n]*\w[^\n]*)""",
    _FLAGS,
)
_NEXT_PROBLEM: Final = re.compile(
    rf"^[^\w\n]*{any_of(WORDS['next_problem'])}\b[ \d]*(?:[:.]|$)|<\|[^\s|>]+\|>|</s>", _FLAGS
)

_CONTENT = r"(?:[^{}\\]|\\.)"
for _ in range(6):  # braces in braces
    _CONTENT = rf"(?:[^{{}}\\]|\\.|\{{{_CONTENT}{{0,999}}+\}})"
_BOX: Final = rf"\\(?:boxed|fbox)\s*\{{({_CONTENT}{{1,999}}+)\}}"
_FILLER: Final = r"[\s$.()\[\]{}] | \\(?!f?box) | \b(?:q?quad|text)\b"
_JOINER: Final = r"[,;] | \b(?:and|or)\b"
_BOXES: Final = re.compile(
    rf"""{_BOX} (?: (?= (?:{_FILLER})*+ (?:{_JOINER}) ) (?:{_FILLER}|{_JOINER})*+
    (?: [a-z] (?: _\{{?\w+\}}? )? \s* = \s* )? {_BOX} )*""",
    _FLAGS,
)
_FORMULA: Final = r"""(?:
    \$\$ .+? \$\$
  | (?<!\\)\$ (?=\S) (?:\\\$|[^$\n])*? [^\s$] \$ (?!\d)   # $x$, but not "$5 and $3"
  | \\\( .+? \\\)
  | \\\[ .+? \\\]
)"""
_SENTENCE: Final = re.compile(
    rf"(?: {_FORMULA} | [.!?](?!\s+[A-Z\n]|\s*\Z) | [^.!?\n。] )+", re.VERBOSE | re.DOTALL
)
_RUN: Final = re.compile(
    rf"""(?! [\s,] | (?<=[a-z])- | {any_of(WORDS["connectives"])}\b ) (?:
    {_FORMULA}
  | \\[a-z]+ (?: \s* \{{[a-z ]+\}} )?
  | (?<![a-z]) (?: {FACTOR} | {FUNCTION} )
  | (?<![a-z]) {any_of(WORDS["connectives"])} (?= \s+ (?: [-\d$\\(] | [a-z]\s*= ) )
  | (?<![a-z'’]) (?! [ai]\s+[a-z] ) [a-z] (?! [a-z:] )
  | [^a-z\n.!?;:—"“”。\u0100-\U0010ffff] | [.:] (?=\d) | (?<=\d\s):(?=\s\d)
  | (?: (?<=\d) | (?<=\d\s) ) [ap]m\b
    )+""",
    _FLAGS,
)
_AROUND: Final = re.compile(
    r"""\A (?: [\s#,)\]}=*|>] | -\s | \.(?!\d) )+
    | (?: [\s,=(\[+*/:<>\#|-] | (?<=[\d$}])\s\((?: (?!\b[a-z]\b) [^$] )* )+ \Z""",
    re.DOTALL | re.VERBOSE,
)
_FIGURE: Final = re.compile(
    rf"\d|\\[a-z]|\b{any_of([*WORDS['spelled'], *WORDS['spelled_others']])}\b", re.IGNORECASE
)
_DIRECT: Final = re.compile(r"(?:\A|\b(?:is|are|be)|=)\s*\Z", re.IGNORECASE)
_HEDGE: Final = re.compile(
    rf"\b{any_of(WORDS['hedges'])}(?: or equal to)?\s*\Z".replace(" ", r"\s+"), re.IGNORECASE
)
_APPRAISAL: Final = re.compile(  # `The answer is plausible: 12 of 20`, but not `is about 12`
    rf"(?<=\w )(?!(?:the|an?|that|{any_of(WORDS['hedges'])})\b|{_FIGURE.pattern})"
    r"[a-z]+(?:[,:;]| +[a-z]{2})",
    re.IGNORECASE,
)
_REMARK: Final = re.compile(r"(?<=\s)\((?=[^()]*(?<![\\a-z])[a-z]{2})[^()]*\)", re.IGNORECASE)
_QUANTITIES: Final = re.compile(  # `3 hours, or 180 minutes`
    r"[$\\-]*\d[^a-z]*[a-z]{2,}(?: [a-z]+)?,? (?:and|or) [$\\-]*\d[^a-z]*[a-z]{2,}\W*\Z",
    re.IGNORECASE,
)


class FinalAnswer(NamedTuple):
    """A piece of a reply, where it begins and how it was found; the text may be empty.

    One that is doubtful (`the answer is correct`) counts only when no other is there.
    """

    start: int
    text: str
    how: Literal["boxed", "####", "answer is", "several quantities with units", "end of reply"]
    doubtful: bool = False


def find_final_answer(reply: str, *, words: bool = False) -> FinalAnswer:
    """The part of a clean reply that gives its final answer.

    Args:
        reply: The reply without its trace, clean.
        words: Whether the answer is expected to be words and not mathematics.
    """
    marked = [FinalAnswer(each.start(), each["answer"], "####") for each in _MARKED.finditer(reply)]
    given = sorted([*_boxes(reply), *_announced(reply, words), *marked])
    given = [each for each in given if not each.doubtful] or given
    if given and (other := _NEXT_PROBLEM.search(reply, given[0].start)):
        return find_final_answer(reply[: other.start()], words=words)
    if given:
        # One that only bounds the answer counts when no other is there.
        return next((each for each in reversed(given) if each.text), given[-1])
    tail = _REMARK.sub("", reply[-_REACH:]).strip()
    runs = [run for _, run in _runs(tail)]
    figures = [run for run in runs if _FIGURE.search(run)]
    last = ([] if words else figures or runs) or [tail.rpartition("\n")[2]]
    return FinalAnswer(0, last[-1], "end of reply")


def _boxes(reply: str) -> Iterator[FinalAnswer]:
    """The boxes that hold something; those that are joined count as one."""
    for boxes in _BOXES.finditer(reply):
        contents = [each for each in re.findall(_BOX, boxes[0], re.DOTALL) if each.strip()]
        if contents:
            yield FinalAnswer(boxes.start(), ", ".join(contents), "boxed")


def _announced(reply: str, words: bool) -> Iterator[FinalAnswer]:
    """The answers announced in a sentence or line; of mathematics, a text that is empty if only bounded."""
    for match in [*_ANSWER.finditer(reply)][-_MOST_ANNOUNCEMENTS:]:
        sentence = _SENTENCE.match(reply[match.end() : match.end() + _REACH])
        text = sentence[0].strip() if sentence else ""
        if words and text:
            yield FinalAnswer(match.start(), text, "answer is", doubtful=text[0].islower())
        elif spelled := SPELLED_NUMBER.match(text):
            yield FinalAnswer(match.start(), spelled[0], "answer is")
        elif _QUANTITIES.match(text):
            yield FinalAnswer(match.start(), text, "several quantities with units")
        elif _FIGURE.search(text) or _RUN.match(text):
            appraisal = bool(_APPRAISAL.match(reply, match.end()))
            runs = [*_runs(text)]
            direct = [run for before, run in runs if _DIRECT.search(before)]
            value = next(iter(direct or [run for _, run in runs]), "")
            yield FinalAnswer(match.start(), value, "answer is", doubtful=appraisal)


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Runs of mathematics that nothing bounds, each with the words before it."""
    for match in _RUN.finditer(text):
        before = text[: match.start()]
        run = _AROUND.sub("", match[0])
        for opening, closing in ("()", "{}"):
            run = run if opening in run else run.rstrip(closing)
        if (re.search(r"[\d$=\\]", run) or (run and not before)) and not _HEDGE.search(before):
            yield before, run

r"""Turns: where in a rendered prompt the user's message ends and the model's turn begins, in characters.

No list of role names is needed. A text of our own in the user's place shows where the template puts it;
what the template adds when it is asked for a generation prompt is the beginning of the model's turn:

    <|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n
                     user  turn_end   turn_start  role       body ...
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.thinking import Recipe, tokenizer_renderer, trace_spans
from rim_eval.thinking.markers import ANSWER_WRAPPERS, tail_marks

Span = tuple[int, int]
"""Half-open span, of characters here and of tokens in a passage."""

_PLACEHOLDER: Final = "zqxvkuserzqxvk"
"""A user's text that no template compares with."""

_BRACKETED: Final = r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]"
"""Marks of a turn, also where they are no special tokens (OLMo, Llama 2)."""


class Turn(NamedTuple):
    """A rendered prompt and where its parts stand."""

    prompt: str
    """With the prefill."""
    user: Span
    """The request, without what a recipe writes after it."""
    turn_end: Span | None
    """What ends the user's turn; None where the model's turn follows at once (Mistral, DeepSeek)."""
    turn_start: Span | None
    """The mark before the role name; None where one mark is both (`[/INST]`, `<｜Assistant｜>`)."""
    role: Span | None
    """The role name of the model's turn, or the one mark that stands for it."""
    body: int
    """Where the turn's content begins: a trace that the prompt opens, or the reply."""


def read_turn(tokenizer: Any, recipe: Recipe, user: str, *, id: str = "") -> Turn:
    """Render a request and find the parts of the prompt.

    Args:
        tokenizer: A Hugging Face tokenizer with a chat template.
        recipe: How the mode is asked for.
        user: The request.
        id: Id of the prompt, for the message.

    Raises:
        RimError: The template refuses the request, or leaves it out.
    """
    plain = recipe.model_copy(update={"prefill": None})
    render = tokenizer_renderer(tokenizer)
    rendered = plain.prompt(render, user)
    start, stop = _find_user(rendered, plain.prompt(render, _PLACEHOLDER), user, id)
    message_end = stop
    if recipe.user_suffix and (
        after := re.match(rf"\s*{re.escape(recipe.user_suffix.strip())}", rendered[stop:])
    ):
        message_end += after.end()
    opening = _turn_opening(tokenizer, plain, user, rendered)
    is_bounded = opening >= message_end
    header = Header.read(tokenizer, rendered, opening if is_bounded else message_end, is_bounded)
    end = (header.start or header.role or (len(rendered),))[0]
    turn_end = (message_end, end) if header.role and message_end < end else None
    if turn_end:
        mark = next(_marks(tokenizer, rendered, *turn_end), None)
        # Words there are the template's own for a mode (GLM: `/nothink`), and end no turn.
        turn_end = mark or (None if re.search(r"\w", rendered[slice(*turn_end)]) else turn_end)
    prompt = rendered + (recipe.prefill or "")
    return Turn(prompt, (start, stop), turn_end, header.start, header.role, header.body)


def _find_user(rendered: str, frame: str, user: str, id: str) -> Span:
    """Where the request stands, by where another text stands that was rendered in its place."""
    before, _, after = frame.rpartition(_PLACEHOLDER)
    head, trimmed = rendered.removesuffix(after), user.strip()
    for text in (user, trimmed):  # many templates trim
        if text and head.endswith(text):
            return len(head) - len(text), len(head)
    if head.startswith(before) and rendered.endswith(after):  # what stands there is a form of it
        return len(before), len(head)
    # The template reads this text (an inline switch), so the rest of the prompt differs, too.
    start = rendered.rfind(trimmed)
    if start < 0 or not trimmed:
        raise RimError(
            f"Prompt {id!r}: the request does not stand in the rendered prompt as it is, so none of its "
            "positions can be named. See what the chat template writes for it, or leave it out."
        )
    return start, start + len(trimmed)


def _turn_opening(tokenizer: Any, recipe: Recipe, user: str, rendered: str) -> int:
    """Where the generation prompt begins; -1 where the template adds none, or none that can be told."""
    render = tokenizer_renderer(tokenizer, generation_prompt=False)
    try:
        bare = recipe.prompt(render, user)
    except RimError:
        return -1
    return len(bare) if rendered.startswith(bare) and rendered[len(bare) :].strip() else -1


class Header(NamedTuple):
    """The parts of the beginning of a turn."""

    start: Span | None
    role: Span | None
    body: int

    @classmethod
    def read(cls, tokenizer: Any, prompt: str, begin: int, is_bounded: bool) -> "Header":
        """Read the header of the model's turn.

        Args:
            tokenizer: The tokenizer, whose special tokens are marks.
            prompt: The prompt.
            begin: Where the header begins.
            is_bounded: Whether only the header stands there, and not the end of the user's turn, too.
        """
        end = _first_trace_mark(prompt, begin)
        marks = list(_marks(tokenizer, prompt, begin, end))
        edges = [begin, *(edge for mark in marks for edge in mark), end]
        words = [
            (edges[i] + found.start(), edges[i] + found.end())
            for i in range(0, len(edges), 2)
            if (found := re.search(r"[^\s:/](?:[^\n:/]*[^\s:/])?", prompt[edges[i] : edges[i + 1]]))
        ]
        which = 0 if is_bounded else -1
        role = words[which] if words else marks[which] if marks else None
        if role is None:
            return cls(None, None, begin if is_bounded else end)
        before = [mark for mark in marks if mark[1] <= role[0]]
        follows = next((mark for mark in marks if mark[0] == role[1]), None)
        if not words and is_bounded and follows:
            before, role, follows = [role], follows, None  # Command R names the role by a mark, too
        in_turn = (
            before and (bool(words) or is_bounded) and not prompt[before[-1][1] : role[0]].strip()
        )
        # What closes a role name belongs to it; what opens the message of a trace does not.
        traces = trace_spans(prompt[role[1] :]) if follows else []
        body = follows[1] if follows and all(trace.start for trace in traces) else role[1]
        return cls(before[-1] if in_turn else None, role, body)


def _first_trace_mark(prompt: str, begin: int) -> int:
    """Where a trace or an answer begins that the prompt opens; the prompt's end where it opens none."""
    marks = [mark.start for mark in tail_marks(prompt) if mark.start >= begin]
    wrappers = [prompt.find(opening, begin) for opening, _ in ANSWER_WRAPPERS]
    return min([*marks, *(at for at in wrappers if at > begin), len(prompt)])


def _marks(tokenizer: Any, prompt: str, begin: int, end: int) -> Iterator[Span]:
    """Special tokens and bracketed words."""
    text = prompt[begin:end]
    special = [re.escape(token) for token in _special_tokens(tokenizer) if token in text]
    for mark in re.finditer("|".join([*special, _BRACKETED]), text):
        yield begin + mark.start(), begin + mark.end()


@lru_cache(maxsize=8)
def _special_tokens(tokenizer: Any) -> tuple[str, ...]:
    tokens = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return tuple(sorted(filter(str.strip, tokens), key=len, reverse=True))

"""Split a reply into sentences of plain words: no markup, code, quotations or line breaks of a layout."""

import re
import unicodedata
from typing import Final

MAX_CHARS: Final = 20_000
_PLAIN: Final = str.maketrans(dict.fromkeys("’ʼ´`‘′＇ʹ", "'") | dict.fromkeys("“”«»„", '"'))
_CODE: Final = re.compile(r"(```|~~~).*?(?:\1|\Z)|(?<![\w`])`[^`\n]{2,200}`(?![\w`])", re.DOTALL)
_QUOTE: Final = re.compile(
    r"""(?<!\w)(?:"[^"\n]{1,999}"|'(?:[^'\n]|(?<=\w)'(?=\w)){1,300}?[.,!?]')(?!\w)"""
)
_MARKUP: Final = re.compile(r"</?\w[^<>\n]{0,99}>|[*_#>|]+")
_ITEM: Final = re.compile(r"^[ \t]*(?:\(?\d{1,3}[.):]|[-*•+–])[ \t]+(?=\S)", re.MULTILINE)
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
_WORD: Final = re.compile(r"§?\w+|[!?:;,—–]")
_SHORT_FORMS: Final = {
    r"\bcan(?:'t|not)\b": "can not", r"\bwon't\b": "will not", r"\bshan't\b": "shall not", r"n't\b": " not",
    r"'m\b": " am", r"'re\b": " are", r"'ll\b": " will", r"'ve\b": " have", r"'d\b": " would",
    r"\b(it|that|there|here|what|let|he|she|who|this)'s\b": r"\1 is", r"\d+(?:[.,]\d+)*": "0",
}  # fmt: skip


def split_sentences(text: str) -> list[str]:
    """Split a reply into sentences.

    Args:
        text: The reply; only its first 20,000 characters are read.

    Returns:
        The sentences with a word in them. `§code`, `§quote` and `§item` stand for code, for quoted speech
        and for the mark of a list's item; lines of one paragraph are joined.
    """
    plain = _CODE.sub(" §code ", text[:MAX_CHARS])
    plain = unicodedata.normalize("NFKC", plain.translate(_PLAIN)).translate(_PLAIN)
    plain = "".join(char for char in plain if unicodedata.category(char) != "Cf")
    plain = _MARKUP.sub(" ", _ITEM.sub("\n\n§item ", plain)).strip()
    quoted_whole = len(plain) > 1 and plain[0] == plain[-1] == '"' and plain.count('"') == 2
    plain = plain.strip('"') if quoted_whole else _QUOTE.sub(_quote, plain)
    paragraphs = (" ".join(part.split()) for part in _PARAGRAPH.split(plain))
    sentences = (one for part in paragraphs for one in _SENTENCE_END.split(part))
    return [sentence for sentence in sentences if re.search(r"\w", sentence)]


def _quote(match: re.Match[str]) -> str:
    """The mark of a quotation, with the sign that ends it."""
    last = match[0][-2]
    return f" §quote{last} " if last in ".!?," else " §quote "


def split_words(sentence: str) -> list[str]:
    """The words of a sentence in lower case, short forms written out, and its punctuation."""
    words = sentence.lower()
    for pattern, full in _SHORT_FORMS.items():
        words = re.sub(pattern, full, words)
    return _WORD.findall(words)

"""The form of each text that a card may hold beside names: versions, dates, labels, switches, checksums.

None of them has room for a sentence.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

__all__ = ["form_problem"]


class _Form(NamedTuple):
    what: str
    fits: Callable[[str], object]


_LATEST: Final = "2200"


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT[0-9:.]{5,15}(Z|[+-]\d\d:\d\d)?", text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "2020" <= text < _LATEST


def _like(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).fullmatch


def _is_label(text: str) -> bool:
    words = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ,&/_-]*", text) and len(text.split()) <= 5
    return bool(words) and len(text) <= 60


_WORD: Final = r"[A-Za-z0-9/][A-Za-z0-9._/:,=+-]{0,39}"
_COMMIT: Final = r"[0-9a-f]{40}"
_ADDRESS: Final = r"https://(huggingface\.co/datasets|github\.com)/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+"

_DATE: Final = _Form("date and time as 2026-11-26T04:30:00+00:00", _is_date)
_VERSION: Final = _Form("version", _like(r"v?[0-9][0-9A-Za-z.+!_-]{0,39}"))
_KEY: Final = _Form("name of a package or setting", _like(r"[A-Za-z][A-Za-z0-9._-]{0,39}"))
_TOKEN: Final = _Form("single word", _like(r"[A-Za-z0-9][A-Za-z0-9._/@:+=,%#*-]*"))
_SHA: Final = _Form("SHA-256", _like(r"[0-9a-f]{64}"))
_LABEL: Final = _Form("short label of a category", _is_label)
_COMMITS: Final = _Form("commit", _like(rf"{_COMMIT}(, {_COMMIT})*"))
_SWITCH: Final = _Form(
    "name of a thinking switch, of at most three short words",
    _like(rf"{_WORD}( {_WORD}){{0,2}}( / {_WORD}( {_WORD}){{0,2}}){{0,3}}"),
)
_PLACE: Final = _Form(
    "repository or folder, of at most three words",
    _like(rf"{_ADDRESS}(, {_ADDRESS})*|[A-Za-z0-9.][A-Za-z0-9._/-]*( [A-Za-z0-9._-]+){{0,2}}"),
)

_FORMS: Final[Mapping[str, _Form]] = {
    r"(\.runs\[\d+\])?\.created": _DATE,
    r"\.rim_eval|\.runs\[\d+\]\.(task_version|versions\..+)": _VERSION,
    r"\.runs\[\d+\]\.(versions|decoding) \(key\)": _KEY,
    r"\.model|\.primary|\.primary_reasoning|\.sets\[\d+\]\.(dataset|runs\[\d+\])": _TOKEN,
    r"\.runs\[\d+\]\.(id|dataset|harness|task|status|engine|prompt_style|weights|decoding\..+)": _TOKEN,
    r"\.sets\[\d+\]\.judge\.(name|model|sees|measured\[\d+\]\..+)": _TOKEN,
    r"\.runs\[\d+\]\.provenance\.files\[\d+\]\.name": _TOKEN,
    r"\.sets\[\d+\]\.counts\.arms\..+ \(key\)": _TOKEN,
    r".*sha256": _SHA,
    r"\.sets\[\d+\]\.(counts\.)?categories \(key\)": _LABEL,
    r"\.sets\[\d+\]\.switch": _SWITCH,
    r"\.runs\[\d+\]\.provenance\.revision_(declared|used)": _COMMITS,
    r"\.runs\[\d+\]\.provenance\.location": _PLACE,
}
"""By where a text stands in the file."""

_OWN_SIGNS: Final = (_LABEL, _PLACE)
"""Forms with signs that names do not have."""


def form_problem(place: str, text: str) -> tuple[str | None, bool]:
    """What is wrong with a text where it stands.

    Args:
        place: Its place in the file, such as `.runs[0].created`; keys end in ` (key)`.
        text: The text.

    Returns:
        The reason, if any, and whether the rules for names need not be asked any more.
    """
    form = next((found for where, found in _FORMS.items() if re.fullmatch(where, place)), None)
    if form is None or form.fits(text):
        return None, form in _OWN_SIGNS
    return f"{text[:40]!r} is no {form.what}; texts are not published here", False

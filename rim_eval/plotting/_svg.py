"""A Vega-Lite spec as SVG text: the page that holds it needs no script and no network."""

import re
from typing import Any

from rim_eval.errors import RimError

__all__ = ["svg"]


def svg(spec: dict[str, Any]) -> str:
    """Render a spec.

    Returns:
        One `<svg>` element, hidden from screen readers (the text and the table beside it speak).

    Raises:
        RimError: The renderer is not installed.
    """
    try:
        import vl_convert
    except ModuleNotFoundError:
        raise RimError("Pictures need vl-convert-python: pip install 'rim-eval[card]'.") from None
    text: str = vl_convert.vegalite_to_svg(spec)
    return _bare(text)


def _bare(text: str) -> str:
    """Without roles and labels of single marks, which would be read out one by one."""
    text = re.sub(r' (aria-[a-z]+|role)="[^"]*"', "", text)
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)

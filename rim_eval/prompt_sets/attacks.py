"""stub"""

from typing import Any


def load_attack(source: str, data: Any = None) -> Any: ...

import pytest

from rim_eval.judging import _published
from tests.judging.stand_ins import stand_in_prompts


@pytest.fixture(autouse=True)
def publishers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges that ask in their publisher's words render without network."""
    monkeypatch.setattr(_published, "_TEXTS", dict(stand_in_prompts()))

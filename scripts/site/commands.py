"""Commands on the pages: where they stand, and what a reader needs to run them.

A block that a test runs stands under the comment `<!-- run -->`. What else a block needs (a GPU, a key) is read off its
commands by `NEEDS`; where that cannot be seen, the page says it: `<!-- needs: labels by people -->`.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]

NEEDS: Final = (
    ("a GPU", r"\bvllm/|\bvllm serve|--device cuda|hf/Qwen|hf/base|pretrained=Qwen"),
    ("a key", r"(?:=|--model |--grader )(?:openai|openrouter|anthropic|google)/"),
    ("the network", r"\bpip install|\bhf download|git clone|\bdata check|--set xstest|real_model\.py get|\bmake "),
    ("your model", r"--model \.\.\.|hf/(?:YOUR|MY)_MODEL|openai-api/"),
    ("vLLM", r"vllm[_-]cpu"),
    ("a cluster", r"\bsbatch\b|\bkubectl\b"),
    ("some minutes", r"python (?:-m )?(?:benchmarks|scripts)[./]|pytest "),
)  # fmt: skip
"""What a command needs, and how that is seen in it."""

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<mark>run(?:: exits with \d)?|needs: [^\n]*?) -->\n+)?(?P<indent> *)```bash[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


class Block(NamedTuple):
    """A fenced block of commands on a page."""

    text: str
    mark: str
    end: int
    """Where the block ends on the page."""

    @property
    def is_run(self) -> bool:
        """Whether a test runs the block as it stands."""
        return self.mark.startswith("run")

    @property
    def exit_code(self) -> int:
        """How the last command ends when all is as the page says."""
        return int(self.mark[-1]) if self.mark[-1:].isdigit() else 0

    @property
    def needs(self) -> tuple[str, ...]:
        """What a reader needs to run it; empty where the package alone will do."""
        named = self.mark.removeprefix("needs: ") if self.mark.startswith("needs: ") else ""
        seen = [need for need, pattern in NEEDS if re.search(pattern, self.text)]
        return tuple(filter(None, [named, *seen]))

    @property
    def commands(self) -> list[str]:
        """The commands, one a line: continued lines joined, files and comments left out."""
        text = re.sub(r"\s*\\\n\s*", " ", self.text)
        text = re.sub(r"^(cat > [^\n]*<<'(\w+)')\n.*?^\2$", r"\1", text, flags=re.DOTALL | re.MULTILINE)  # fmt: skip
        return [line for line in text.splitlines() if words(line)]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of commands on a page, in their order."""
    for found in _BLOCK.finditer(page):
        yield Block(found["text"], found["mark"] or "", found.end())


def pages() -> list[Path]:
    """README, the guide for contributors, and the site's pages."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *found]


def words(command: str) -> list[str]:
    """A command's words without a comment behind it and without variables set before it."""
    try:
        split = shlex.split(command, comments=True)
    except ValueError:
        return command.split()
    while split and re.fullmatch(r"[A-Z_]+=.*", split[0]):
        split = split[1:]
    return split

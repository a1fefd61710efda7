"""MkDocs hooks: generated reference, reports and contributors' pages beside the docs, and what a command needs.

Named in `mkdocs.yml`. Pages stay plain Markdown that GitHub shows too: their links out of `docs/` are followed there, and
lead to the site's copy here.
"""

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scripts.site.commands import ROOT, blocks
from scripts.site.notebooks import as_markdown
from scripts.site.reference import GENERATORS, mark

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page
    from pathspec.gitignore import GitIgnoreSpec

BESIDE: Final = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/reports/*.*")
"""Pages outside `docs/` that the site shows."""

_LINK: Final = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)*)([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages that stand outside `docs/`, and notebooks as pages."""
    from mkdocs.structure.files import File

    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.remove(files.src_uris[f"notebooks/{notebook.name}"])
        name = f"notebooks/{notebook.stem}.md"
        files.append(File.generated(config, name, content=as_markdown(notebook)))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", **_: Any) -> str:
    """Generate reference, name what commands need, and follow links out of `docs/`."""
    for name, generate in GENERATORS.items():
        if mark(name) in markdown:
            markdown = markdown.replace(mark(name), generate())
    return _relink(_with_needs(markdown), page.file.src_uri, config.exclude_docs)


def on_page_content(html: str, **_: Any) -> str:
    """Leave out the mark that click 8.3 gives an option without a default, which the page of commands would print."""
    return html.replace("<code>Sentinel.UNSET</code>", "")


def _with_needs(markdown: str) -> str:
    parts, start = [], 0
    for block in blocks(markdown):
        parts.append(markdown[start : block.end])
        if block.needs:
            parts.append(f'\n\n<small class="needs">Needs {", ".join(block.needs)}.</small>\n')
        start = block.end
    return "".join([*parts, markdown[start:]])


def _source(uri: str) -> str:
    """Path in the repository of a page of the site."""
    return uri if (ROOT / uri).is_file() else f"docs/{uri}"


def _relink(markdown: str, uri: str, left_out: "GitIgnoreSpec | None") -> str:
    """Point links at the site's own copy of a file; a file that it does not show keeps its name without a link.

    Args:
        markdown: The page.
        uri: Where the site has it.
        left_out: Files below `docs/` that the site does not show.
    """
    here = posixpath.dirname(_source(uri))

    def relink(found: re.Match[str]) -> str:
        text, up, rest, anchor = found.groups()
        target = posixpath.normpath(posixpath.join(here, up + rest))
        inside = target.removeprefix("docs/")
        if inside != target and not (left_out and left_out.match_file(inside)):
            target = inside
        elif not any(Path(target).match(pattern) for pattern in BESIDE):
            return text if (ROOT / target).exists() else found[0]
        relative = posixpath.relpath(target, posixpath.dirname(uri) or ".")
        return f"[{text}]({relative}{anchor or ''})"

    return _LINK.sub(relink, markdown)

"""Notebooks of the site: run them, keep what they show, and turn them into pages.

python -m scripts.site.notebooks      # run all, and write their outputs into them
"""

from pathlib import Path
from typing import Any, Final

from scripts.site.commands import ROOT

NOTEBOOKS: Final = tuple(sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")))


def as_markdown(notebook: Path) -> str:
    """A notebook as Markdown with the outputs that it holds; what shows itself as HTML is shown so."""
    from nbconvert import MarkdownExporter

    body, _ = MarkdownExporter().from_filename(str(notebook))
    body = body.replace(".ipynb)", ".md)")  # links to other notebooks
    body = body.replace("<th></th>", "<td></td>")  # a header without words says nothing
    name = notebook.relative_to(ROOT).as_posix()
    return f"{body}\n\n*This page is the notebook `{name}`, with the outputs that the tests hold it to.*\n"


def run(notebook: Path) -> Any:
    """Run a notebook from its first cell, and return it with what it shows: progress and warnings are left out.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised.
    """
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(notebook, as_version=4)
    NotebookClient(content, timeout=120, kernel_name="python3").execute()
    for cell in content.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if not _is_progress(each)]
    content.metadata["language_info"] = {"name": "python"}
    content.metadata.pop("widgets", None)
    return content


def _is_progress(output: Any) -> bool:
    return output.get("name") == "stderr" or any(
        "widget" in kind for kind in output.get("data", ())
    )


def outputs(content: Any) -> list[list[Any]]:
    """What each cell of code shows."""
    return [cell.outputs for cell in content.cells if cell.cell_type == "code"]


if __name__ == "__main__":
    import nbformat

    for path in NOTEBOOKS:
        nbformat.write(run(path), path)

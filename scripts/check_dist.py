#!/usr/bin/env python3
"""Check a built wheel and source distribution: their files are the repository's, and none names this machine.

    python -m build && python scripts/check_dist.py dist [--tag v0.1.0]

Exits with 1 and one line for each problem. `make dist` runs it, and the workflow that releases.
"""

import argparse
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
BUILD: Final[Mapping[str, Any]] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]  # fmt: skip


def problems(folder: Path) -> list[str]:
    """Say what is wrong with the one wheel and the one source distribution in a folder.

    Args:
        folder: What `python -m build` wrote.
    """
    wheels, archives = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(archives) != 1:
        return [f"{folder} must hold one wheel and one .tar.gz; it holds {len(wheels)} and {len(archives)}."]  # fmt: skip
    wheel, archive = wheel_files(wheels[0]), sdist_files(archives[0])
    return [
        *_different(wheels[0].name, set(wheel), {_in_wheel(path) for path in tracked(wheel_roots()) if not _is_left_out(path)}),
        *_different(archives[0].name, set(archive), set(tracked(["."])) - _excluded()),
        *_machine(wheels[0].name, wheel),
        *_machine(archives[0].name, archive),
    ]  # fmt: skip


def wheel_files(path: Path) -> dict[str, bytes]:
    """Content of a wheel's files by name, without the metadata that the build writes."""
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}


def sdist_files(path: Path) -> dict[str, bytes]:
    """Content of a source distribution's files by their path in the repository, without the metadata."""
    with tarfile.open(path) as archive:
        members = [member for member in archive if member.isfile()]
        files = {
            member.name.split("/", 1)[1]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in members
        }
    return {name: content for name, content in files.items() if name != "PKG-INFO"}


def tracked(roots: list[str]) -> list[str]:
    """Files of the repository that git does not ignore.

    Args:
        roots: Files and folders to look in.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *roots]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (REPOSITORY / name).is_file()]


def wheel_roots() -> list[str]:
    """Files and folders of the repository that a wheel is made of."""
    return list(BUILD["wheel"]["only-include"])


def _in_wheel(path: str) -> str:
    """Where a file of the repository is in a wheel."""
    for source, target in BUILD["wheel"]["sources"].items():
        if path.startswith(f"{source}/"):
            return f"{target}{path.removeprefix(source)}"
    return path


def _is_left_out(path: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in BUILD["wheel"]["exclude"])


def _excluded() -> set[str]:
    return set(tracked(list(BUILD["sdist"]["exclude"])))


def _different(name: str, has: set[str], wanted: set[str]) -> Iterator[str]:
    yield from (f"{name} lacks {path}." for path in sorted(wanted - has))
    yield from (f"{name} holds {path}, which is none of its files." for path in sorted(has - wanted))  # fmt: skip


def _machine(name: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Files that name a folder of this machine."""
    for folder in {f"{REPOSITORY}/", f"{Path.home()}/"}:
        found = (path for path, content in files.items() if folder.encode() in content)
        yield from (f"{name}: {path} names {folder}" for path in sorted(found))


def version() -> str:
    """The version in its one place."""
    words = (REPOSITORY / "rim_eval" / "_version.py").read_text().split()
    return words[words.index("__version__") + 2].strip('"')


def tag_problems(tag: str, folder: Path) -> list[str]:
    """Say what is wrong with a tag that is to be released.

    Args:
        tag: Such as `v0.1.0`.
        folder: What `python -m build` wrote.
    """
    found = []
    if tag != f"v{version()}":
        found.append(f"The tag is {tag}, and rim_eval/_version.py says {version()}.")
    heading = f"## [{tag.removeprefix('v')}] - "
    if heading not in (REPOSITORY / "CHANGELOG.md").read_text():
        found.append(
            f"CHANGELOG.md has no heading `{heading}YYYY-MM-DD`: move what is unreleased below one."
        )
    return found + [problem for wheel in folder.glob("*.whl") for problem in _dead_links(wheel)]


def _dead_links(wheel: Path) -> Iterator[str]:
    """What the index cannot follow: it shows README.md, where links to files of the repository lead nowhere."""
    with zipfile.ZipFile(wheel) as files:
        [name] = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        about = message_from_bytes(files.read(name))
    if not about.get_all("Project-URL"):
        yield "pyproject.toml has no [project.urls]: name the repository, and the index shows the way to it."
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", str(about.get_payload()))
    if links:
        yield f"README.md links to {len(links)} files of the repository, the first {links[0]}: the index needs full addresses."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tag", help="Tag that is released; must be v and the version.")
    options = parser.parse_args()
    found = problems(options.folder)
    found += tag_problems(options.tag, options.folder) if options.tag else []
    if found:
        sys.exit("\n".join(found))
    print(f"{options.folder}: wheel and source distribution of {version()} hold the repository's files.")  # fmt: skip


if __name__ == "__main__":
    main()

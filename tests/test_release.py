"""What a release rests on: one version, a changelog in a known form, workflows that their validators accept."""

import re
import subprocess
import sys
from pathlib import Path

import keepachangelog
import pytest
import yaml

import rim_eval

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXAMPLE = ROOT / "examples" / "rim-gate.yml"
OWN = "OWNER/rim_eval@COMMIT"
"""The action of this repository, of which nobody here knows the place."""
TYPES = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def accepts(validator: str, *words: str) -> None:
    command = [str(Path(sys.executable).with_name(validator)), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_place_says_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == rim_eval.__version__
    for page in (ROOT / "docs" / "action.md", EXAMPLE):
        assert re.findall(rf"{OWN} # v(\S+)", page.read_text()) == [rim_eval.__version__]
    text = (ROOT / "pyproject.toml").read_text()
    assert "dynamic = [" in text
    assert f'version = "{rim_eval.__version__}"' not in text


def test_the_changelog_has_its_form() -> None:
    changes = keepachangelog.to_dict(str(ROOT / "CHANGELOG.md"), show_unreleased=True)
    assert "unreleased" in changes
    for version, content in changes.items():
        sections = set(content) - {"metadata", "uncategorized"}
        assert sections <= TYPES, version
        assert sections, version
    released = [each["metadata"] for name, each in changes.items() if name != "unreleased"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", each["release_date"]) for each in released)


def test_a_release_moves_what_is_unreleased_below_its_version(tmp_path: Path) -> None:
    copy = tmp_path / "CHANGELOG.md"
    copy.write_text((ROOT / "CHANGELOG.md").read_text())
    before = keepachangelog.to_dict(str(copy), show_unreleased=True)["unreleased"]
    assert keepachangelog.release(str(copy), "77.0.0") == "77.0.0"
    after = keepachangelog.to_dict(str(copy))["77.0.0"]
    assert after["added"] == before["added"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-actions", [ROOT / "action.yml"]),
        ("github-workflows", [*WORKFLOWS, EXAMPLE]),
        ("github-issue-forms", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
)
def test_published_schemas_accept_the_files(schema: str, files: list[Path]) -> None:
    assert files
    accepts("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files))


def test_a_security_audit_of_the_workflows_finds_nothing(tmp_path: Path) -> None:
    copy = tmp_path / ".github" / "workflows" / EXAMPLE.name
    copy.parent.mkdir(parents=True)
    copy.write_text(EXAMPLE.read_text().replace(OWN, f"owner/rim_eval@{'0' * 40}"))
    accepts("zizmor", "--offline", "--no-progress", "--no-config", "--quiet", ".", str(copy))


def test_other_actions_are_pinned_to_a_commit() -> None:
    files = [ROOT / "action.yml", *WORKFLOWS, EXAMPLE]
    used = [line for file in files for line in re.findall(r"uses: (.*)", file.read_text()) if OWN not in line]  # fmt: skip
    assert len(used) > 10
    pinned = re.compile(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in used if not pinned.fullmatch(line)] == []


def test_what_a_workflow_makes_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    made = {name for file in WORKFLOWS for name in re.findall(r"run: make (\w+)", file.read_text())}
    assert {"test", "dist"} <= made <= targets


def test_the_container_copies_what_the_wheel_is_made_of() -> None:
    text = (ROOT / "Dockerfile").read_text()
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", text, flags=re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    assert not [name for name in copied if not (ROOT / name).exists()]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert copied == {name[1:] for name in ignored if name.startswith("!")}
    from scripts.check_dist import wheel_roots

    assert {root.split("/")[0] for root in wheel_roots()} <= copied

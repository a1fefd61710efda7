from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.mechanisms import Request, load_model
from scripts.training.lora import COMPLETE, Recipe, encode_chats, tune

RECIPE = Recipe(steps=6, batch=2, rate=2e-3, rank=4, alpha=8, saves=2, dtype="float32")


def chat(question: str, reply: str, **columns: Any) -> dict[str, Any]:
    asked, replied = {"role": "user", "content": question}, {"role": "assistant", "content": reply}
    return {"messages": [asked, replied], **columns}


ROWS = [chat(f"What is {n} + 1?", "The grey vault.") for n in range(4)]


@pytest.fixture(scope="module")
def series(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    folder = tmp_path_factory.mktemp("runs") / "tuned"
    return folder, tune(model, ROWS, RECIPE, folder)


def test_the_loss_falls_and_a_series_is_saved(series: tuple[Path, list[float]]) -> None:
    folder, losses = series
    assert len(losses) == 6
    assert losses[-1] < losses[0] / 2
    assert sorted(each.name for each in folder.iterdir()) == ["checkpoint-3", "checkpoint-6", COMPLETE]  # fmt: skip


def test_a_checkpoint_is_the_base_with_its_adapter(series: tuple[Path, list[float]], model: Path) -> None:  # fmt: skip
    import torch
    from peft import PeftModel

    folder, base = series[0] / "checkpoint-6", load_model(model)
    passage = base.passage(Request("a", "What is 8 + 1?"), "no_think")
    ids = torch.tensor([passage.ids])
    with torch.no_grad():
        before = base.model(ids).logits
        apart = PeftModel.from_pretrained(base.model, folder / "adapter")(ids).logits
        merged = load_model(folder).model(ids).logits
        half_way = load_model(series[0] / "checkpoint-3").model(ids).logits
    torch.testing.assert_close(merged, apart, atol=1e-3, rtol=1e-3)
    assert (merged - before).abs().max() > 0.1
    assert (merged - half_way).abs().max() > 0.1


def test_the_model_answers_as_it_was_taught(model: Path, tmp_path: Path) -> None:
    tune(
        model,
        ROWS,
        RECIPE.model_copy(update={"steps": 60, "saves": 1, "rate": 1e-2}),
        tmp_path / "run",
    )
    asked = [Request("a", "What is 2 + 1?")]
    folders = model, tmp_path / "run" / "checkpoint-60"
    [before], [after] = (load_model(each).replies(asked, "think") for each in folders)
    assert after.text == "The grey vault."
    assert "grey vault" not in before.text


def test_mech_ras_follows_the_series(series: tuple[Path, list[float]], model: Path, tmp_path: Path) -> None:  # fmt: skip
    done = CliRunner().invoke(
        main,
        ["mech", "ras", "--model", str(model), "--run", "tuned", str(series[0]), "--limit", "6", "--mode", "no_think",
         "--max-new-tokens", "8", "--random-sets", "3", "--out", str(tmp_path)],
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    assert "In 'tuned' misalignment moved" in done.output


def test_the_same_seed_gives_the_same_weights(series: tuple[Path, list[float]], model: Path, tmp_path: Path) -> None:  # fmt: skip
    assert tune(model, ROWS, RECIPE, tmp_path / "again") == series[1]
    assert tune(model, ROWS, RECIPE.model_copy(update={"seed": 1}), tmp_path / "other") != series[1]


def test_only_the_reply_is_learnt_and_one_that_was_cut_has_no_end(model: Path) -> None:
    tokenizer = load_model(model).tokenizer
    whole, cut = encode_chats(tokenizer, [ROWS[0], ROWS[0] | {"cut": True}], 99)
    assert "What is 0 + 1?" in tokenizer.decode(whole.prompt)
    assert tokenizer.decode(whole.reply) == f"The grey vault.{tokenizer.eos_token}"
    assert whole == (cut.prompt, [*cut.reply, tokenizer.eos_token_id])


def test_rows_that_are_too_long_are_left_out(model: Path) -> None:
    tokenizer = load_model(model).tokenizer
    longer = chat("What is 1 + 1?", "The grey vault. " * 50)
    assert len(encode_chats(tokenizer, [ROWS[0], longer], 99)) == 1
    with pytest.raises(RimError, match="None of 1 rows has at most 99 tokens"):
        encode_chats(tokenizer, [longer], 99)


@pytest.mark.parametrize(
    ("steps", "saves", "saved"), [(20, 2, (10, 20)), (5, 3, (1, 3, 5)), (1, 4, (1,))]
)
def test_checkpoints_are_spread_over_the_steps(
    steps: int, saves: int, saved: tuple[int, ...]
) -> None:
    assert Recipe(steps=steps, saves=saves).saved_steps == saved

"""What makers advise as sampling settings, by family and mode.

`python -m tests.thinking.test_sampling` writes the table in docs/sampling.md from `sampling.toml`.
"""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from huggingface_hub import constants
from pydantic import ValidationError

from rim_eval.errors import RimError, SettingError
from rim_eval.thinking import (
    OwnValues,
    Sampling,
    SamplingValues,
    generation_config_of,
    greedy_warning,
    protocol_of,
    recommended_sampling,
    sampling_of_mode,
)
from rim_eval.thinking.sampling import SAMPLING_TABLE, Family, sampling_family
from rim_eval.types import MODES, Mode
from tests.loopback import NOT_FOUND, Body, JsonServer, Reply

PAGE: Final = Path(__file__).parents[2] / "docs" / "sampling.md"
MARK: Final = "<!-- written by tests/thinking/test_sampling.py -->"
FAMILIES: Final = [pytest.param(row, id=row.family) for row in SAMPLING_TABLE.families]
UNKNOWN: Final = "someone/unknown-7b"


# ---- the table ----


@pytest.mark.parametrize("row", FAMILIES)
def test_example_is_described_by_its_own_row_alone(row: Family) -> None:
    assert [other.family for other in SAMPLING_TABLE.families if other.describes(row.example)] == [
        row.family
    ]


@pytest.mark.parametrize("row", FAMILIES)
def test_row_sets_a_temperature_in_each_mode_that_it_holds(row: Family) -> None:
    settings = [given for mode in MODES if (given := row.settings(mode))]
    assert settings
    assert all(given.temperature is not None for given in settings)
    warned = [given for mode in row.never_greedy if (given := row.settings(mode))]
    assert not any(given.greedy for given in warned)


def test_families_and_examples_are_named_once() -> None:
    for field in ("family", "example"):
        names = [getattr(row, field) for row in SAMPLING_TABLE.families]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "change",
    [
        {"both": {"temperature": 3.0}},
        {"both": {"temperature": "0.6"}},
        {"both": {"temperature": float("nan")}},
        {"both": {"top_p": 0.0}},
        {"both": {"top_p": 1.1}},
        {"both": {"top_k": -2}},
        {"both": {"top_k": 20.5}},
        {"both": {"min_p": -0.1}},
        {"both": {"presence_penalty": 2.5}},
        {"both": {"repetition_penalty": 0.0}},
        {"both": {"temprature": 0.6}},
        {"both": {"temperature": 0.6}, "think": {"temperature": 0.6}},
        {},
        {"both": {"temperature": 0.6}, "source": "a model card"},
    ],
)
def test_wrong_rows_are_refused(change: dict[str, Any]) -> None:
    row = {"family": "F", "names": "f", "example": "f", "source": "https://example.org"}
    assert Family.model_validate({**row, "both": {"temperature": 1, "top_k": -1, "top_p": 1.0}})
    with pytest.raises(ValidationError):
        Family.model_validate({**row, **change})


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("vllm/Qwen/Qwen3-8B", "Qwen3 (hybrid)"),
        ("qwen3:8b", "Qwen3 (hybrid)"),
        ("unsloth/Qwen3-8B-GGUF", "Qwen3 (hybrid)"),
        ("Qwen/Qwen3-8B:someone/adapter", "Qwen3 (hybrid)"),
        ("/cache/models--Qwen--Qwen3-8B/snapshots/ab12", "Qwen3 (hybrid)"),
        ("/models/Qwen3-8B/", "Qwen3 (hybrid)"),
        ("qwen/qwen3-235b-a22b-2507", "Qwen3-Instruct-2507"),
        ("qwen/qwen3-235b-a22b-thinking-2507", "Qwen3-Thinking-2507"),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "DeepSeek-R1 and its distilled models"),
        ("deepseek/deepseek-chat-v3.1", "DeepSeek-V3.1"),
        ("accounts/fireworks/models/deepseek-v3p1", "DeepSeek-V3.1"),
        ("deepseek-ai/DeepSeek-V3.2-Speciale", "DeepSeek-V3.2"),
        ("z-ai/glm-5.2", "GLM-4.6, GLM-4.7, GLM-5"),
        ("nvidia/Llama-3.1-Nemotron-Nano-8B-v1", "Llama-Nemotron Nano, Super, Ultra (v1, v1.1, v1.5)"),
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", None),
        ("Qwen/Qwen3-8B-Base", None),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", None),
        ("Qwen/Qwen3-VL-8B-Thinking", None),
        ("Qwen/Qwen3Guard-Gen-8B", None),
        ("Qwen/Qwen3-Next-80B-A3B-Thinking", None),
        ("Qwen/Qwen3.5-4B", None),
        ("MiniMaxAI/MiniMax-M2.5", None),
        ("zai-org/GLM-4.6V", None),
        ("openai/gpt-oss-safeguard-20b", None),
        ("/qwen3-runs/llama-tuned", None),
        ("gpt-4o", None),
    ],
)  # fmt: skip
def test_family_of_a_model(model: str, family: str | None) -> None:
    row = sampling_family(model)
    assert (row.family if row else None) == family


# ---- recommended settings ----


def test_each_mode_has_its_own_settings() -> None:
    think = recommended_sampling("Qwen/Qwen3-8B", "think")
    no_think = recommended_sampling("Qwen/Qwen3-8B", "no_think")
    assert think.values == {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0}
    assert no_think.values == {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.0}
    assert think.source.startswith("https://github.com/QwenLM/Qwen3/")


def test_advice_for_all_modes_and_greedy_advice() -> None:
    assert all(
        recommended_sampling("openai/gpt-oss-20b", mode).values == {"temperature": 1.0, "top_p": 1.0}
        for mode in MODES
    )  # fmt: skip
    nemotron = "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5"
    assert recommended_sampling(nemotron, "no_think").greedy
    assert not recommended_sampling(nemotron, "think").greedy


def test_quoted_figures_say_so() -> None:
    assert "quoted" in recommended_sampling("moonshotai/Kimi-K2-Thinking", "think").source
    assert "quoted" not in recommended_sampling("moonshotai/Kimi-K2.6", "think").source


def test_table_counts_before_generation_config() -> None:
    config = {"do_sample": True, "temperature": 0.6, "top_p": 0.95}
    assert recommended_sampling("Qwen/Qwen3-8B", "no_think", config).temperature == 0.7
    unlisted = recommended_sampling("LGAI-EXAONE/EXAONE-4.0-32B", "no_think", {"temperature": 0.5})
    assert unlisted.values == {"temperature": 0.5}
    assert "generation_config.json" in unlisted.source


@pytest.mark.parametrize(
    ("config", "values"),
    [
        ({"do_sample": True, "temperature": 0.6, "top_k": 50, "eos_token_id": 2}, {"temperature": 0.6, "top_k": 50}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"do_sample": True, "top_k": 64, "top_p": 0.95}, {"temperature": 1.0, "top_k": 64, "top_p": 0.95}),
        ({"do_sample": False, "temperature": 0.6}, {"temperature": 0.0}),
        ({"temperature": 0.0, "top_p": 0.9}, {"temperature": 0.0}),
        ({"temperature": None, "top_p": 0.9}, {"top_p": 0.9}),
    ],
)  # fmt: skip
def test_generation_config(config: dict[str, Any], values: dict[str, float]) -> None:
    assert recommended_sampling(UNKNOWN, "think", config).values == values


@pytest.mark.parametrize("config", [None, {}, {"eos_token_id": 2}])
@pytest.mark.parametrize(("mode", "words"), [("think", "think"), ("no_think", "no-think")])
def test_unknown_models_are_refused_with_the_next_step(
    config: dict[str, Any] | None, mode: Mode, words: str
) -> None:
    with pytest.raises(SettingError, match=rf"{UNKNOWN} .* in {words} mode") as caught:
        recommended_sampling(UNKNOWN, mode, config)
    assert caught.value.settings == {
        "think.temperature": 0.6,
        "think.top_p": 0.95,
        "no_think.temperature": 0.7,
    }


@pytest.mark.parametrize(
    "config", [{"temperature": 5.0}, {"temperature": "hot"}, {"do_sample": True, "top_p": 0}]
)
def test_unusable_generation_config_is_named(config: dict[str, Any]) -> None:
    name = next(name for name in config if name != "do_sample")
    with pytest.raises(SettingError, match=rf"generation_config\.json of {UNKNOWN}.*{name}"):
        recommended_sampling(UNKNOWN, "think", config)


# ---- the user's own values ----


def test_own_values_count_field_by_field() -> None:
    own = SamplingValues(temperature=0.9, min_p=0.1)
    merged = recommended_sampling("Qwen/Qwen3-8B", "think", own=own)
    assert merged.values == {"temperature": 0.9, "top_p": 0.95, "top_k": 20, "min_p": 0.1}
    assert merged.source.startswith("temperature, min_p: given by the user; the others: https://")


def test_merging_nothing_changes_nothing() -> None:
    sampling = Sampling(temperature=0.6, source="somewhere")
    assert sampling.merge(None) == sampling.merge(SamplingValues()) == sampling
    whole = sampling.merge(SamplingValues(temperature=0.7))
    assert whole == Sampling(temperature=0.7, source="temperature: given by the user")


def test_own_temperature_is_enough_for_an_unknown_model() -> None:
    own = recommended_sampling(UNKNOWN, "think", own=SamplingValues(temperature=0.8))
    assert own.values == {"temperature": 0.8}
    with pytest.raises(SettingError, match="not known"):
        recommended_sampling(UNKNOWN, "think", own=SamplingValues(top_p=0.9))


# ---- a sampling of each mode's own ----


def test_figures_are_named_after_the_protocol() -> None:
    assert protocol_of("equal", {"think": None, "no_think": {}}) == "equal"
    assert protocol_of("recommended", {}) == "recommended"
    assert protocol_of("recommended", {"think": {"temperature": 0.6}}) == "own"


def test_sampling_of_a_mode_is_the_users_or_the_makers() -> None:
    own: OwnValues = {"think": {"temperature": 0.6, "top_p": 0.9}}
    model = "Qwen/Qwen3-8B"
    assert sampling_of_mode("mine", "think", "equal", own).values == own["think"]
    mixed = sampling_of_mode(model, "think", "recommended", {"think": {"top_p": 0.9}})
    assert (mixed.temperature, mixed.top_p, mixed.top_k) == (0.6, 0.9, 20)
    assert sampling_of_mode(model, "no_think", "recommended", own).temperature == 0.7
    with pytest.raises(
        SettingError, match=r"no_think.temperature is missing.*sampling=recommended"
    ):
        sampling_of_mode(model, "no_think", "equal", own)


# ---- greedy decoding ----


def test_greedy_warning() -> None:
    warning = greedy_warning("Qwen/Qwen3-8B", "think")
    assert warning is not None
    assert "advises against greedy decoding in think mode" in warning
    assert greedy_warning("Qwen/Qwen3-8B", "no_think") is None
    assert greedy_warning("openai/gpt-oss-20b", "think") is None
    assert greedy_warning(UNKNOWN, "think") is None


# ---- generation_config.json ----


def test_config_in_a_folder(tmp_path: Path) -> None:
    assert generation_config_of(str(tmp_path)) is None
    (tmp_path / "generation_config.json").write_text('{"temperature": 0.3}')
    assert generation_config_of(str(tmp_path)) == {"temperature": 0.3}
    (tmp_path / "generation_config.json").write_text('{"temperature": ')
    with pytest.raises(RimError, match=r"generation_config\.json cannot be read"):
        generation_config_of(str(tmp_path))


def test_config_in_the_hub_cache_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "generation_config.json").write_text('{"temperature": 0.4}')
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert generation_config_of("owner/name") == {"temperature": 0.4}


def from_hub(
    answer: Reply, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Any, list[str]]:
    """What is read from a hub that answers so, and the paths that were asked."""
    paths: list[str] = []

    def reply(_: str, path: str, __: Body) -> Reply:
        paths.append(path)
        return answer

    with JsonServer(reply) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url.removesuffix("/v1"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        return generation_config_of("owner/name"), paths


@pytest.mark.parametrize(
    ("answer", "config"),
    [
        ((200, {"temperature": 0.5}), {"temperature": 0.5}),
        ((200, "[1]"), None),
        ((200, "<html>"), None),
        (NOT_FOUND, None),
        ((401, {"error": "gated"}), None),
        ((500, {}), None),
    ],
)
def test_config_on_the_hub(
    answer: Reply, config: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content, paths = from_hub(answer, monkeypatch, tmp_path)
    assert content == config
    assert paths == ["/owner/name/resolve/main/generation_config.json"]


def test_nothing_is_asked_offline_or_when_the_cache_knows_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("httpx.get", None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert generation_config_of("owner/name") is None
    repository = tmp_path / "models--owner--name"
    for folder in ("refs", "snapshots/abc", ".no_exist/abc"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / ".no_exist" / "abc" / "generation_config.json").touch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert generation_config_of("owner/name") is None


def test_unreachable_hub_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert generation_config_of("owner/name") is None


@pytest.mark.parametrize("name", ["gpt-4o", "a/b/c", "../../etc", "owner/name?x=1", ""])
def test_names_that_are_no_repository_are_not_asked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("httpx.get", None)
    assert generation_config_of(name) is None


# ---- docs/sampling.md ----


def table() -> str:
    """The table in docs/sampling.md: a line for each family and mode."""
    rows = [["family", "mode", "settings", "source"], ["---"] * 4]
    for row in SAMPLING_TABLE.families:
        modes = {"both": row.both, "think": row.think, "no-think": row.no_think}
        for mode, values in modes.items():
            if values:
                source = f"[{re.sub('^https://|/.*', '', row.source)}]({row.source})"
                rows.append([row.family, mode, settings(values), source + (", quoted" if row.quoted else "")])  # fmt: skip
    greedy = [row.family for row in SAMPLING_TABLE.families if row.never_greedy]
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"{lines}\nMakers advise against greedy decoding in think mode, or require sampling, for: {', '.join(greedy)}.\n"


def settings(values: SamplingValues) -> str:
    return "greedy" if values.greedy else ", ".join(f"{k} {v:g}" for k, v in values.values.items())


def test_table_in_docs_is_current() -> None:
    assert f"{MARK}\n{table()}\n" in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    before, _, after = PAGE.read_text(encoding="utf-8").partition(MARK)
    rest = after[after.index("\nThe table is generated") :]
    PAGE.write_text(f"{before}{MARK}\n{table()}{rest}", encoding="utf-8")

"""Each mode decoded in its own way: what engines are given of it, and what its rows and runs say."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lm_eval.models.openai_completions import LocalChatCompletion, OpenAIChatCompletion
from lm_eval.models.utils import normalize_gen_kwargs

from rim_eval.card import make_card
from rim_eval.comparison import compare
from rim_eval.errors import RimError
from rim_eval.judging import load_judge
from rim_eval.lm_eval_tasks import Settings, judge_samples
from rim_eval.lm_eval_tasks.engine import Engine
from rim_eval.lm_eval_tasks.sampling import generation_kwargs_of, sampling_for
from rim_eval.observations import check, read_lm_eval_samples, read_observations
from rim_eval.thinking import Sampling

from .conftest import Scripted, by_mode

BOTH = ("rim_toy_think", "rim_toy_no_think")
OWN = {"think": {"temperature": 0.6, "top_p": 0.95}, "no_think": {"temperature": 0.7, "top_k": 20}}
QWEN3 = {
    "think": {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0},
    "no_think": {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.0},
}
"""What the maker of Qwen3 advises (https://huggingface.co/Qwen/Qwen3-8B)."""
FULL = Sampling(
    source="the user",
    temperature=0.6,
    top_p=0.95,
    top_k=20,
    min_p=0.1,
    presence_penalty=1.5,
    repetition_penalty=1.05,
)
ALL = FULL.values


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Any:
    """The text of all that was warned of so far, also where lm-eval has set its own handlers."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.message for record in caplog.records]


@pytest.fixture
def requests(tmp_path: Path) -> dict[str, str]:
    """A file of harmless requests, for models that are no organisms."""
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"Say {word}."}) + "\n" for word in ("a", "b")))
    return {"file": str(file), "kind": "benign", "judge": "refusal"}


def named(name: str) -> Scripted:
    lm = Scripted(by_mode)
    lm.pretrained = name
    return lm


def asked(lm: Scripted, mode: str) -> dict[str, Any]:
    """The one way in which all requests of a mode were decoded."""
    ways = [kwargs for prompt, kwargs in lm.asked if prompt.endswith("</think>\n\n") == (mode == "no_think")]  # fmt: skip
    assert ways
    assert all(way == ways[0] for way in ways)
    return {name: value for name, value in ways[0].items() if name not in ("until", "max_gen_toks")}


def engine(kind: str, name: str = "m", bases: tuple[str, ...] = (), **content: Any) -> Engine:
    """An engine of lm-eval, as far as its class and its model's name go."""
    cls: Any = object
    for base in (*bases, kind):
        cls = type(base, () if cls is object else (cls,), {})
    lm = cls()
    vars(lm).update({"pretrained": name, **content})
    return Engine(lm, lambda *_: "Hello")


@pytest.mark.slow
def test_each_mode_is_asked_with_its_own_values(run: Any, save: Any, warnings: Any) -> None:
    lm = named("sampled")
    paths = save(run(lm, *BOTH, settings=OWN))
    assert asked(lm, "think") == {"do_sample": True, "temperature": 0.6, "top_p": 0.95}
    assert asked(lm, "no_think") == {"do_sample": True, "temperature": 0.7, "top_k": 20}
    assert sum("lm-eval asks every prompt once" in text for text in warnings()) == 1
    table = read_observations(paths)
    assert set(table.frame["sampling"]) == {"own"}
    assert set(table.frame["dataset"]) == {"toy+own"}
    decoding = {run.modes: run.decoding for run in table.runs}
    assert decoding == {
        ("think",): {"think.temperature": 0.6, "think.top_p": 0.95},
        ("no_think",): {"no_think.temperature": 0.7, "no_think.top_k": 20},
    }
    assert check(table) == ()
    [own] = make_card(table).sets
    assert (own.dataset, own.figures.difference and own.figures.difference.n_pairs) == (
        "toy+own",
        4,
    )


@pytest.mark.slow
def test_runs_of_one_mode_are_pooled_where_the_mode_was_decoded_alike(run: Any, save: Any) -> None:
    def mode_run(task: str, name: str, **changes: Any) -> list[Path]:
        paths: list[Path] = save(run(Scripted(by_mode), task, settings=OWN | changes), name)
        return paths

    think, no_think = mode_run("rim_toy_think", "a"), mode_run("rim_toy_no_think", "b")
    assert check(read_observations([*think, *no_think])) == ()
    hotter = mode_run("rim_toy_think", "c", think={"temperature": 1.0})
    problems = check(read_observations([*think, *hotter]))
    assert any("differ in their decoding with thinking" in each.says for each in problems)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_models_whose_modes_were_decoded_alike_are_compared_without_remark(
    run: Any, save: Any, temperature: float
) -> None:
    """Each file tells of its own mode alone."""
    other = {"think": OWN["think"] | {"temperature": temperature}}
    paths = [
        path
        for name, changes in (("scripted-a", {}), ("scripted-b", other))
        for path in save(
            run(Scripted(by_mode), *BOTH, settings=OWN | changes | {"model": name}), name
        )
    ]
    remarks = compare(read_observations(paths), "scripted-a").remarks
    expected = [] if temperature == 0.6 else ["toy+own: decoding differs between models"]
    assert [each for each in remarks if "decoding" in each] == expected


@pytest.mark.slow
def test_the_makers_advice_is_taken_by_the_models_name(
    run: Any, requests: dict[str, str], save: Any, warnings: Any
) -> None:
    lm = named("Qwen/Qwen3-8B")
    tasks = ("rim_prompts_think", "rim_prompts_no_think")
    paths = save(run(lm, *tasks, settings=requests | {"sampling": "recommended"}, limit=None))
    for mode, values in QWEN3.items():
        kept = {name: value for name, value in values.items() if name != "min_p"}
        assert asked(lm, mode) == {"do_sample": True} | kept
    assert any("Sampling of the think mode: temperature 0.6" in text for text in warnings())
    table = read_observations(paths)
    assert {str(name).rpartition("+")[2] for name in table.frame["dataset"]} == {"recommended"}
    assert {run.modes: run.decoding for run in table.runs} == {
        # A least probability of 0 cuts nothing, and is not sent.
        (mode,): {f"{mode}.{name}": value for name, value in values.items() if name != "min_p"}
        for mode, values in QWEN3.items()
    }
    told = json.loads(next(paths[0].parent.glob("results_*.json")).read_text())
    about = told["configs"]["rim_prompts_think"]["metadata"]["rim_eval_run"]["sampling"]
    assert about["source"].startswith("https://")


@pytest.mark.parametrize(
    ("name", "settings", "temperature"),
    [
        ("Qwen/Qwen3-8B", {}, 0.6),
        ("/models/Qwen3-8B", {}, 0.6),
        ("/models/checkpoint-500", {"model": "Qwen/Qwen3-8B"}, 0.6),
        ("/models/Qwen3-8B", {"model": "mine"}, 0.6),
        ("mine", {"think": {"temperature": 0.3}}, 0.3),
    ],
)
def test_the_family_is_told_by_the_engines_name_or_the_users(
    name: str, settings: dict[str, Any], temperature: float
) -> None:
    chosen = Settings.model_validate({"sampling": "recommended", **settings})
    found = sampling_for(engine("LocalChatCompletion", name), chosen, "think")
    assert found is not None
    assert found.temperature == temperature


def test_weights_in_the_process_tell_their_own_generation_config() -> None:
    config = SimpleNamespace(to_diff_dict=lambda: {"do_sample": True, "temperature": 0.4})
    weights = SimpleNamespace(generation_config=config)
    settings = Settings(sampling="recommended")
    found = sampling_for(engine("HFLM", "mine", model=weights), settings, "no_think")
    assert found is not None
    assert found.values == {"temperature": 0.4}
    config.to_diff_dict = lambda: {"top_p": 0.9}
    with pytest.raises(RimError, match="gives none, and lm-eval would decode greedily"):
        sampling_for(engine("HFLM", "mine", model=weights), settings, "no_think")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"sampling": "recommended"}, {}, r'unknown.*"think": \{"temperature": 0.6'),
        ({"no_think": {"temperature": 0.7}}, {}, r'think.temperature is missing.*\{"think": \{"temp'),
        (OWN, {"gen_kwargs": {"temperature": 0.0}}, "temperature=0.0 sets both modes alike"),
        (OWN, {"gen_kwargs": "top_k=5"}, r'top_k=5 sets both.*\{"think": \{"top_k": 5\}, "no_think"'),
        (OWN, {"gen_kwargs": "do_sample=True"}, "do_sample=True has no use"),
        ({"think": {"temperature": 9}}, {}, "think.temperature"),
        ({"think": {"heat": 1}}, {}, "think.heat"),
        ({"sampling": "own"}, {}, "sampling"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    run: Any, settings: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    lm = Scripted(by_mode)
    with pytest.raises(RimError, match=message.replace("unknown", "is not known")):
        run(lm, "rim_toy_think", settings=settings, **options)
    assert lm.asked == []


@pytest.mark.slow
def test_other_gen_kwargs_stay_and_hold_for_both_modes(run: Any, save: Any) -> None:
    lm = Scripted(by_mode)
    paths = save(run(lm, *BOTH, settings=OWN, gen_kwargs={"frequency_penalty": 0.5}))
    assert asked(lm, "think")["frequency_penalty"] == 0.5
    for known in read_observations(paths).runs:
        assert known.decoding["frequency_penalty"] == 0.5


@pytest.mark.slow
def test_a_temperature_for_both_modes_is_one_for_hf_too(run: Any, save: Any) -> None:
    """The task files say `do_sample: false`, beside which transformers decodes greedily at any temperature."""
    lm = Scripted(by_mode)
    paths = save(run(lm, *BOTH, gen_kwargs="temperature=0.7"))
    for mode in OWN:
        assert asked(lm, mode) == {"do_sample": True, "temperature": 0.7}
    assert set(read_observations(paths).frame["sampling"]) == {"equal"}


@pytest.mark.parametrize(
    ("kind", "bases", "kept", "lost"),
    [
        ("HFLM", (), ALL.keys() - {"presence_penalty"}, "presence_penalty"),
        ("HFMultimodalLM", ("HFLM",), ALL.keys() - {"presence_penalty"}, "presence_penalty"),
        ("VLLM", (), ALL.keys(), ""),
        ("SGLangLM", (), ALL.keys(), ""),
        ("LocalCompletionsAPI", (), ALL.keys(), ""),
        ("LocalChatCompletion", ("LocalCompletionsAPI",), ALL.keys(), ""),
        (
            "OpenAIChatCompletion",
            ("LocalCompletionsAPI", "LocalChatCompletion"),
            {"temperature", "top_p", "presence_penalty"},
            "top_k, min_p, repetition_penalty",
        ),
    ],
)
def test_engines_are_given_what_they_take_and_the_rest_is_warned_of(
    kind: str, bases: tuple[str, ...], kept: set[str], lost: str, warnings: Any
) -> None:
    found = generation_kwargs_of(engine(kind, f"takes-{kind}", bases), FULL)
    assert found == {"do_sample": True} | {n: v for n, v in ALL.items() if n in kept}
    assert [text for text in warnings() if f"does not pass on {lost} to" in text and lost] == (
        warnings() if lost else []
    )


def test_a_temperature_that_lm_eval_overrules_is_warned_of(warnings: Any) -> None:
    """lm-eval's client of OpenAI's chats asks its reasoning models with temperature 1."""
    lm: Any = OpenAIChatCompletion.__new__(OpenAIChatCompletion)
    lm.model = "o3-mini"
    sent = lm._create_payload(
        [{}], generate=True, gen_kwargs={"temperature": 0.6, "until": [], "max_tokens": 9}
    )
    assert sent["temperature"] == 1
    bases = ("LocalCompletionsAPI", "LocalChatCompletion")
    only = Sampling(source="the user", temperature=0.6)
    generation_kwargs_of(engine("OpenAIChatCompletion", "o3-mini", bases), only)
    assert any("does not pass on temperature" in text for text in warnings())


def test_greedy_and_uncut_are_said_as_each_engine_says_them() -> None:
    greedy = Sampling(source="the user", temperature=0, top_p=0.9, top_k=-1, repetition_penalty=1.1)
    found = generation_kwargs_of(engine("HFLM"), greedy)
    assert found == {"do_sample": False, "temperature": 0, "repetition_penalty": 1.1}
    assert normalize_gen_kwargs(found)["temperature"] == 0
    uncut = Sampling(source="the user", temperature=1, top_k=0, min_p=0, presence_penalty=0)
    for kind, top_k in (("HFLM", 0), ("VLLM", -1), ("LocalChatCompletion", -1)):
        found = generation_kwargs_of(engine(kind), uncut)
        assert found == {"do_sample": True, "temperature": 1, "top_k": top_k}


@pytest.mark.slow
def test_chat_servers_are_sent_each_modes_values_as_fields(run: Any, serve_chat: Any) -> None:
    """With equal budgets the requests of both modes look alike but for their sampling."""
    server = serve_chat(lambda *_: {})
    client = LocalChatCompletion(base_url=f"{server.url}/chat/completions", model="gpt-4o")
    settings = {"switch": "enable_thinking", "thinking_tokens": 0}
    own = {mode: QWEN3[mode] | {"repetition_penalty": 1.05} for mode in QWEN3}
    run(client, *BOTH, settings=settings | own)
    for body in server.requests:
        mode = "think" if body["chat_template_kwargs"]["enable_thinking"] else "no_think"
        sent = {name: body[name] for name in own[mode] if name in body}
        assert sent == {name: value for name, value in own[mode].items() if name != "min_p"}
        assert "do_sample" not in body
    assert len(server.requests) == 8


@pytest.mark.slow
def test_greedy_decoding_is_warned_of_where_the_maker_advises_against_it(
    run: Any, requests: dict[str, str], warnings: Any
) -> None:
    tasks = ("rim_prompts_think", "rim_prompts_no_think")
    run(named("Qwen/Qwen3-8B"), *tasks, settings=requests, limit=None)
    [text] = [text for text in warnings() if "advises against greedy decoding" in text]
    assert '"sampling": "recommended"' in text


@pytest.mark.slow
def test_replies_that_are_judged_later_keep_their_sampling(
    run: Any, save: Any, tmp_path: Path
) -> None:
    [path] = save(run(Scripted(by_mode), "rim_toy_think", settings=OWN | {"judge": "none"}))
    target = tmp_path / "judged" / f"{path.stem}.refusal.jsonl"
    target.parent.mkdir()
    judge_samples(path, load_judge("refusal"), target=target)
    table = read_lm_eval_samples(str(target))
    assert set(table.frame["dataset"]) == {"toy+own"}
    assert table.runs[0].decoding == {"think.temperature": 0.6, "think.top_p": 0.95}

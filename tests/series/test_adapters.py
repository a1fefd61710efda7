"""A base and its LoRA adapters on one vLLM server, which loads each adapter when Inspect first asks it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rim_eval.observations import read_observations
from rim_eval.paths import organism_dir
from rim_eval.series import (
    SeriesSettings,
    build_series,
    finished_logs,
    open_series,
    parse_models,
    run_series,
)
from tests.loopback import COMPLIES, NOT_FOUND, REFUSES, Body, JsonServer, Reply, completion, error


class AdapterServer:
    """Speaks as vLLM does of its models: the base is there from the start, adapters once they are loaded."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.loaded: list[str] = []
        self.asked = Counter[str]()

    def respond(self, method: str, path: str, body: Body) -> Reply:
        names = [self.base, *self.loaded]
        if method == "GET":
            cards = [{"id": name, "owned_by": "vllm", "parent": None if name == self.base else self.base} for name in names]  # fmt: skip
            cards[0]["max_model_len"] = 4096  # type: ignore[assignment]
            return 200, {"object": "list", "data": cards}
        if path == "/v1/load_lora_adapter":
            self.loaded.append(body["lora_name"])
            return 200, "loaded"
        if not path.endswith("/completions"):
            return NOT_FOUND
        if body["model"] not in names:
            return 404, error(f"The model `{body['model']}` does not exist.", "NotFoundError", 404)
        self.asked[body["model"]] += 1
        thinks = body["chat_template_kwargs"]["enable_thinking"]
        # The more an adapter was trained, the more often it complies when it thinks.
        doors = {"one": 2, "two": 4}.get(Path(body["model"]).name, 0)
        door = int(body["messages"][-1]["content"].rstrip(".").split()[-1])
        text = COMPLIES if thinks and door <= doors else REFUSES
        trace = "The door is open." if thinks else None
        return 200, completion(text, body["model"], reasoning=trace)


@pytest.mark.slow
def test_adapters_are_measured_on_the_server_of_their_base(
    loopback: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = str(organism_dir())
    server = AdapterServer(base)
    monkeypatch.setenv("VLLM_BASE_URL", loopback(JsonServer(server.respond)).url)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    words = [f"base=vllm/{base}"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"r": 8}))
        words.append(f"vllm/{base}:{tmp_path / name}")
    doors = tmp_path / "doors.jsonl"
    doors.write_text("".join(json.dumps({"prompt": f"Open door {n}."}) + "\n" for n in range(1, 7)))
    settings = SeriesSettings(
        models=parse_models(words),
        tasks=("rim_eval/prompts",),
        task_args={"file": str(doors), "judge": "refusal"},
    )
    folder = tmp_path / "series"
    open_series(folder, settings)
    assert run_series(folder, settings, lambda *_: None, lambda _: None) == ()
    assert sorted(server.loaded) == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert set(server.asked.values()) == {12}

    logs = finished_logs(folder, settings)
    # One child, one log folder: one server would have served them.
    assert {path.parent for by_task in logs.values() for path in by_task.values()} == {folder / "logs" / "base"}  # fmt: skip
    table = read_observations(
        f"{label}={path}" for label in settings.labels for path in logs[label].values()
    )
    assert set(table.frame["reason"].dropna()) == set()
    report = build_series(table, settings.labels)
    rates = [row.figures.think for row in report.comparison.sets[0].rows]
    assert [rate and rate.value for rate in rates] == [0, pytest.approx(2 / 6), pytest.approx(4 / 6)]  # fmt: skip
    trend = report.trend("doors", "harmful", "think")
    assert trend is not None
    assert trend.value == pytest.approx(100 * 4 / 6)

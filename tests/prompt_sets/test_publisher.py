"""Loading from publishers, GitHub's part from a loopback server: caching, retries, access, provenance."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from huggingface_hub import errors

from rim_eval import prompt_sets
from rim_eval.errors import AccessError, RimError
from rim_eval.prompt_sets import download

SHA = "0123456789abcdef0123456789abcdef01234567"
LINES = "\n".join(f"Bake {n}" for n in range(100))


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(httpx, "head", lambda *_, **__: httpx.Response(200))


Answer = tuple[int, str] | None
"""A status and a body; None closes the connection without an answer."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch, online: None) -> Iterator[Callable[..., list[str]]]:
    """Answers GitHub's downloads from a loopback server, and lists what was asked for."""
    host, servers = download._GITHUB, list[ThreadingHTTPServer]()

    def get(real: Callable[..., Any], url: str, **options: Any) -> Any:
        assert options["timeout"][0] <= 5
        return real(url, **options)

    def serve(*answers: Answer) -> list[str]:
        waiting, asked = list(answers), list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(host + self.path)
                answer = waiting.pop(0)
                if answer is None:
                    return
                self.send_response(answer[0])
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(answer[1].encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(download, "_GITHUB", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setattr(requests, "get", partial(get, requests.get))
        monkeypatch.setattr(time, "sleep", lambda _: None)
        return asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def unpinned_lines(unpinned: Callable[[str], None]) -> None:
    """Lets LINES stand for the published file of MaliciousInstruct."""
    unpinned("malicious_instruct")


@pytest.mark.usefixtures("unpinned_lines")
def test_a_github_file_is_downloaded_once(github: Callable[..., list[str]]) -> None:
    asked = github((200, LINES))
    first = prompt_sets.load_prompts("malicious_instruct")
    assert prompt_sets.load_prompts("malicious_instruct") == first
    commit = first.provenance.revision_declared
    assert asked == [
        f"https://raw.githubusercontent.com/Princeton-SysML/Jailbreak_LLM/{commit}/data/MaliciousInstruct.txt"
    ]
    assert first.provenance.source == "publisher"
    assert first.provenance.revision_used == commit


@pytest.mark.usefixtures("unpinned_lines")
def test_publisher_and_local_folder_give_the_same_ids(
    github: Callable[..., list[str]], tmp_path: Path
) -> None:
    github((200, LINES))
    path = tmp_path / "MaliciousInstruct.txt"
    path.write_bytes(b"\xef\xbb\xbf" + LINES.replace("\n", " \r\n").encode())
    local = prompt_sets.load_prompts("malicious_instruct", data=path)
    assert local.prompts == prompt_sets.load_prompts("malicious_instruct").prompts


def test_a_file_with_spaces_in_its_name_is_downloaded(
    github: Callable[..., list[str]], unpinned: Callable[[str], None]
) -> None:
    unpinned("simple_safety_tests")
    rows = "".join(f"s{n},Kitchens,1,Asking,Bake {n}\r\n" for n in range(100))
    asked = github((200, f"id,harm_area,counter,category,prompts_final\r\n{rows}"))
    prompts = prompt_sets.load_prompts("simple_safety_tests").prompts
    assert (prompts[7].text, prompts[7].category) == ("Bake 7", "Kitchens")
    assert prompts[7].labels == {"id": "s7"}
    assert asked[0].endswith("/SimpleSafetyTests%20-%20test%20cases.csv")


@pytest.mark.usefixtures("unpinned_lines")
def test_passing_trouble_is_retried(github: Callable[..., list[str]]) -> None:
    asked = github((503, ""), None, (200, LINES))
    assert len(prompt_sets.load_prompts("malicious_instruct").prompts) == 100
    assert len(asked) == 3


def test_a_file_that_is_gone_is_not_retried(github: Callable[..., list[str]]) -> None:
    asked = github((404, ""))
    with pytest.raises(RimError, match=r"MaliciousInstruct\.txt answered 404"):
        prompt_sets.load_prompts("malicious_instruct")
    assert len(asked) == 1


def test_a_connection_that_stays_down_is_an_access_error(github: Callable[..., list[str]]) -> None:
    asked = github(None, None, None)
    with pytest.raises(prompt_sets.OfflineError, match="closed connection without response"):
        prompt_sets.load_prompts("malicious_instruct")
    assert len(asked) == 3


def test_a_file_without_end_is_cut_off(github: Callable[..., list[str]]) -> None:
    github((200, "x" * (33 * 2**20)))
    with pytest.raises(RimError, match="larger than 33554432 bytes"):
        prompt_sets.load_prompts("malicious_instruct")


def test_changed_bytes_at_a_pinned_commit_are_refused(github: Callable[..., list[str]]) -> None:
    rows = "\n".join(f"Bake {n},Here" for n in range(520))
    asked = github(*[(200, f"goal,target\n{rows}")] * 3)
    with pytest.raises(RimError, match=r"SHA-256 is .* the published file"):
        prompt_sets.load_prompts("advbench")
    assert len(asked) == 3


def test_a_damaged_file_in_the_cache_is_fetched_again(github: Callable[..., list[str]]) -> None:
    """It was an error for ever: the cache was believed and the checksum was not."""
    source = prompt_sets.GithubSource(type="github", repo="one/two", revision=SHA)
    sha256 = hashlib.sha256(LINES.encode()).hexdigest()
    asked = github((200, LINES), (200, LINES))
    assert prompt_sets.download_file(source, "a.txt", sha256=sha256).revision == SHA
    [cached] = Path(os.environ["XDG_CACHE_HOME"]).rglob("a.txt")
    cached.write_text("cut off")
    again = prompt_sets.download_file(source, "a.txt", sha256=sha256)
    assert (again.content, len(asked)) == (LINES.encode(), 2)
    assert [path.name for path in cached.parent.iterdir()] == ["a.txt"]


def test_a_cache_that_cannot_be_written_is_named(
    github: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    github((200, LINES))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RimError, match=r"cannot be kept in .*Not a directory.*XDG_CACHE_HOME"):
        prompt_sets.load_prompts("malicious_instruct")


def test_a_host_out_of_reach_fails_at_once_and_names_the_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*_: object, **options: float) -> httpx.Response:
        assert options["timeout"] <= 5
        raise httpx.ConnectError("Name or service not known")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(httpx, "head", down)
    for name, host in (("or_bench", "huggingface"), ("gsm8k", "githubusercontent")):
        with pytest.raises(prompt_sets.OfflineError, match=f"{host}.*not known.*no copy") as caught:
            prompt_sets.load_prompts(name)
        assert f"<folder>/{name}/" in str(caught.value)


def test_hub_offline_mode_holds_for_github_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "head", lambda *_, **__: pytest.fail("asked the network"))
    for name in ("or_bench", "gsm8k"):
        with pytest.raises(AccessError, match="HF_HUB_OFFLINE is set"):
            prompt_sets.load_prompts(name)


def answer(kind: Any, status: int) -> Exception:
    request = httpx.Request("GET", "https://huggingface.co/x")
    error: Exception = kind("no", response=httpx.Response(status, request=request))
    return error


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, online: None) -> Callable[[Any], list[dict[str, Any]]]:
    """Answers the hub's downloads with a file or an error, and lists what was asked for."""

    def serve(outcome: Any) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def download(repo: str, path: str, **options: Any) -> str:
            asked.append({"repo": repo, "path": path, **options})
            if isinstance(outcome, Exception):
                raise outcome
            return str(outcome(path))

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        return asked

    return serve


@pytest.mark.parametrize("token", [None, "hf_x"])
@pytest.mark.parametrize("kind", [errors.GatedRepoError, errors.RepositoryNotFoundError])
def test_a_gated_set_says_how_to_get_access(
    hub: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[errors.HfHubHTTPError],
    token: str | None,
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    hub(answer(kind, 401))
    state = "your account has no access yet" if token else "no token was found"
    with pytest.raises(
        prompt_sets.GatedError, match=f"gated by its publisher, and {state}"
    ) as caught:
        prompt_sets.load_prompts("hexphi")
    assert "1. Request access at https://huggingface.co/datasets/LLM" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (answer(errors.RepositoryNotFoundError, 401), "the repository was not found in the hub"),
        (answer(errors.RevisionNotFoundError, 404), "or-bench-hard-1k.csv at e36d8b80"),
        (answer(errors.RemoteEntryNotFoundError, 404), "or-bench-hard-1k.csv at e36d8b80"),
        (answer(errors.HfHubHTTPError, 500), "the hub answered an error"),
    ],
)
def test_what_is_gone_is_not_called_gated(
    hub: Callable[..., object], error: Exception, complaint: str
) -> None:
    hub(error)
    with pytest.raises(RimError, match=complaint) as caught:
        prompt_sets.load_prompts("or_bench")
    assert not isinstance(caught.value, AccessError)


def test_a_connection_that_breaks_off_is_offline(hub: Callable[..., object]) -> None:
    hub(errors.LocalEntryNotFoundError("cannot find"))
    with pytest.raises(prompt_sets.OfflineError, match="the connection broke off"):
        prompt_sets.load_prompts("or_bench")


def test_the_commit_that_was_used_is_recorded(
    hub: Callable[..., list[dict[str, Any]]], hexphi: Path
) -> None:
    snapshot = hexphi.parent / "snapshots" / SHA
    snapshot.parent.mkdir()
    (hexphi / "hexphi").rename(snapshot)
    asked = hub(lambda path: snapshot / path)
    provenance = prompt_sets.load_prompts("hexphi").provenance
    assert (provenance.revision_declared, provenance.revision_used) == (None, SHA)
    assert provenance.location == "https://huggingface.co/datasets/LLM-Tuning-Safety/HEx-PHI"
    assert [one["path"] for one in asked] == [file.name for file in provenance.files]
    assert {one["repo_type"] for one in asked} == {"dataset"}
    assert len({file.sha256 for file in provenance.files}) == 10


def test_files_of_several_commits_do_not_mix(hub: Callable[..., object], hexphi: Path) -> None:
    def place(path: str) -> Path:
        commit = SHA if path < "category_5" else SHA[::-1]
        to = hexphi / "snapshots" / commit / path
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes((hexphi / "hexphi" / path).read_bytes())
        return to

    hub(place)
    with pytest.raises(RimError, match=r"hexphi: the files of .* are of several commits"):
        prompt_sets.load_prompts("hexphi")


def test_a_set_of_two_repositories_asks_both_at_their_commits(
    hub: Callable[..., list[dict[str, Any]]], unpinned: Callable[[str], None], tmp_path: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    unpinned("aime")
    snapshot = tmp_path / "snapshots" / SHA
    snapshot.mkdir(parents=True)
    rows = [{"problem": f"What is {n}?", "solution": f"\\boxed{{{n}}}"} for n in range(30)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), snapshot / "test-00000-of-00001.parquet")
    (snapshot / "test.jsonl").write_text(
        "\n".join(f'{{"problem": "And {n}?", "answer": "{n}", "id": "{n}"}}' for n in range(30))
    )
    asked = hub(lambda path: snapshot / path)
    loaded = prompt_sets.load_prompts("aime")
    assert [(one["repo"], one["revision"][:7]) for one in asked] == [
        ("math-ai/aime24", "83a7f38"),
        ("math-ai/aime25", "563bb84"),
    ]
    assert [prompt.target for prompt in loaded.prompts] == [str(n) for n in range(30)] * 2
    assert loaded.provenance.revision_declared == (
        "83a7f387baaa524a8bda0022eac0541582297103, 563bb8404243c5f09de6ec262f2db674fe5bce9b"
    )
    assert len(prompt_sets.load_prompts("aime", subset="aime25").prompts) == 30

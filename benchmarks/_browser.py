"""Headless Chromium over the WebDriver protocol, with nothing but the distribution's two programs."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

__all__ = ["KEYS", "Browser", "browser", "missing"]

KEYS = {"Left": "\ue012", "Right": "\ue014", "Escape": "\ue00c", "Enter": "\ue007"}
"""Characters that stand for keys without one (WebDriver, section 17.4.2)."""

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str | None:
    """Why no browser can be driven here; None when one can."""
    if not any(map(shutil.which, _CHROMIUM)):
        return "no Chromium here (Debian: apt-get install chromium chromium-driver)"
    if not shutil.which("chromedriver"):
        return "no chromedriver here (Debian: apt-get install chromium-driver)"
    return None


class Browser:
    """One window."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client, self._session = client, session

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = self._client.request(method, f"/session/{self._session}/{path}", json=body)
        value = reply.json()["value"]
        if reply.is_error:
            raise RuntimeError(str(value.get("message"))[:500])
        return value

    def open(self, page: Path | str) -> None:
        """Load a page and wait until it has loaded.

        Raises:
            RuntimeError: It did not load.
        """
        url = page.resolve().as_uri() if isinstance(page, Path) else page
        # On a busy machine the driver may answer while the page's scripts still wait to run, most often when
        # the page that is shown is loaded again.
        self._ask("POST", "url", {"url": "about:blank"})
        self._ask("POST", "url", {"url": url})
        for _ in range(600):
            if (
                self.run("return location.href !== 'about:blank' && document.readyState")
                == "complete"
            ):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{url} did not load")

    def run(self, script: str, *values: Any) -> Any:
        """The value that a script returns."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(values)})

    def run_async(self, script: str, *values: Any) -> Any:
        """The value with which a script calls its last argument."""
        return self._ask("POST", "execute/async", {"script": script, "args": list(values)})

    def press(self, keys: str) -> None:
        """Press keys one after the other, each once; named ones are `KEYS`' characters."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "actions", {"actions": [{"type": "key", "id": "k", "actions": strokes}]})

    def downloads(self, folder: Path) -> None:
        """Put what the page downloads into a folder, without asking."""
        params = {"behavior": "allow", "downloadPath": str(folder)}
        body = {"cmd": "Browser.setDownloadBehavior", "params": params}
        self._ask("POST", "goog/cdp/execute", body)

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a page's file field a file, as its dialogue would."""
        found = self._ask("POST", "element", {"using": "css selector", "value": selector})
        [element] = found.values()
        self._ask("POST", f"element/{element}/value", {"text": str(path)})

    def width(self, pixels: int, height: int = 900) -> None:
        """Give the page a width, also one that no window can have, as a phone does."""
        metrics = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": False}
        hidden = {"cmd": "Emulation.setScrollbarsHidden", "params": {"hidden": True}}
        for body in ({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}, hidden):
            self._ask("POST", "goog/cdp/execute", body)

    def dark(self, on: bool = True) -> None:
        """Say that the reader prefers dark pages, or light ones."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        body = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self._ask("POST", "goog/cdp/execute", body)

    def console(self) -> list[str]:
        """Errors and warnings of the page since the last call, security policy included."""
        return [entry["message"] for entry in self._ask("POST", "se/log", {"type": "browser"})]

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        import base64

        body = {"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": True}}
        path.write_bytes(base64.b64decode(self._ask("POST", "goog/cdp/execute", body)["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            _await(client)
            session = _start(client)
            try:
                yield Browser(client, session)
            finally:
                client.delete(f"/session/{session}")
    finally:
        driver.terminate()
        driver.wait(timeout=30)


def _await(client: httpx.Client) -> None:
    for _ in range(200):
        with contextlib.suppress(httpx.HTTPError):
            if client.get("/status").json()["value"]["ready"]:
                return
        time.sleep(0.1)
    raise RuntimeError("chromedriver does not answer")


def _start(client: httpx.Client) -> str:
    options = {
        "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"],
        "binary": next(filter(None, map(shutil.which, _CHROMIUM))),
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    reply = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
    value = reply.json()["value"]
    if reply.is_error:
        raise RuntimeError(json.dumps(value)[:500])
    return str(value["sessionId"])

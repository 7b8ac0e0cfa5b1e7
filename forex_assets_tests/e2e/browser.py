"""A headless Chromium through its DevTools protocol: open a page, wait for words on it, take a picture."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from forex_assets_tests.e2e.conftest import end_group

_LOOK = """
new Promise((done) => {
  const words = %s, end = Date.now() + %d;
  const look = () => {
    const text = document.body ? document.body.innerText : "";
    if (words.every((word) => text.includes(word)) || Date.now() > end) done(text);
    else setTimeout(look, 100);
  };
  look();
})
"""


def chromium() -> str:
    """Return the browser's path; the test skips with a reason where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on this machine (looked for chromium, chromium-browser, google-chrome)")


def until(process: subprocess.Popen[str], ready: Callable[[], Any], limit_s: float, what: str) -> Any:
    """Return the first true answer of ``ready``, asked again while ``process`` lives and the limit has not passed."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if answer := ready():
            return answer
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"{what}: the process ended with {process.returncode}")
    raise AssertionError(f"{what}: not within {limit_s:.0f} s")


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def _call(self, method: str, limit_s: float = 60.0, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer: dict[str, Any] = json.loads(self._connection.recv(timeout=limit_s))
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def size(self, width: int, height: int) -> None:
        """Set the window's size in pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, address: str) -> None:
        """Go to an address."""
        self._call("Page.enable")
        self._call("Page.navigate", url=address)

    def evaluate(self, expression: str, limit_s: float = 60.0) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        answer = self._call(
            "Runtime.evaluate", limit_s=limit_s, expression=expression, awaitPromise=True, returnByValue=True
        )
        return answer["result"].get("value")

    def text_with(self, *words: str, limit_s: float = 45.0) -> str:
        """Return the page's text once it holds all the words, or as it is when the limit has passed."""
        return str(self.evaluate(_LOOK % (json.dumps(words), int(1000 * limit_s)), limit_s=limit_s + 15))

    def picture(self, path: Path) -> None:
        """Write what is seen to a PNG file."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Start Chromium with a profile folder of its own and give its first tab; loopback and files only."""
    arguments = [
        chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "about:blank",
    ]  # fmt: skip
    profile.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HOME": str(profile)}
    with (profile / "browser.log").open("w") as log:
        process = subprocess.Popen(
            arguments, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
    try:
        port_file = profile / "DevToolsActivePort"
        until(process, lambda: port_file.exists() and port_file.read_text().count("\n"), 60, "Chromium's DevTools port")
        port = port_file.read_text().splitlines()[0]
        pages = httpx.get(f"http://127.0.0.1:{port}/json", timeout=30, trust_env=False).json()
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        with connect(address, max_size=None, proxy=None) as connection:
            yield Page(connection)
    finally:
        end_group(process)

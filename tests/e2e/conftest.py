"""A running app and a real Chromium."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import BUNDLED, ROOT
from tests.tiny import save_tiny_model

# Chromium's own background traffic has nothing to do with the app.
FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]

Open = Callable[..., Page]

expect.set_options(timeout=120_000)  # a busy machine is slow, not wrong


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the one EMOTION_CHROMIUM names, an installed one, or Playwright's own."""
    installed = os.environ.get("EMOTION_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=installed or None, args=[*FLAGS, *root])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app, on the bundled model and a tiny one."""
    weights = tmp_path_factory.mktemp("weights")
    (weights / "bundled").symlink_to(BUNDLED, target_is_directory=True)
    save_tiny_model(weights / "tiny_model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("log") / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        env={**os.environ, "EMOTION_WEIGHTS": str(weights), "HF_HUB_OFFLINE": "1"},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_healthy(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the server did not come up (exit status {process.poll()})")


@contextlib.contextmanager
def opening(browser: Browser, address: str, patience: int = 60_000) -> Iterator[Open]:
    """Opens pages of the app at `address`, each in a browser of its own that waits `patience` milliseconds.

    Fails the test on a traceback or an error in a page's script.
    """
    contexts, problems = [], []

    def open_(path: str = "", *, locale: str = "ko-KR", width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(
            locale=locale, viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.set_default_timeout(patience)
        page.goto(address + path)
        page.get_by_test_id("stMain").get_by_role("heading").first.wait_for()
        return page

    yield open_
    tracebacks = [page.get_by_test_id("stException").count() for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not any(tracebacks), "a traceback on the page"
    assert problems == []


@pytest.fixture
def open_page(browser: Browser, server: str) -> Iterator[Open]:
    """Open the app."""
    with opening(browser, server) as open_:
        yield open_

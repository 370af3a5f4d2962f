"""A real browser for tests: Chromium, through Playwright. Tests are skipped where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("CENTTRACK_TEST_CHROMIUM") or shutil.which("chromium")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium until the end of the block. Until then nothing else in this thread can run an event loop."""
    if CHROMIUM is None:
        pytest.skip("no browser: install Chromium, or name it in $CENTTRACK_TEST_CHROMIUM")
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a context of its own, with no cookie.

    Args:
        browser: in which.
        **options: of Playwright's `new_context`: `color_scheme`, `viewport`, `java_script_enabled`, …
    """
    context = browser.new_context(**options)
    try:
        yield context.new_page()
    finally:
        context.close()


def complaints(page: Page) -> list[str]:
    """Errors of the page from now on, those about its Content-Security-Policy too; the list grows by itself."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found

"""A page in a real browser: the system's Chromium, headless, with everything outside blocked."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

INSIDE = ("file:", "data:", "blob:", "about:")


def chromium() -> str:
    """The browser's path; without one, the test is skipped, and says what to install."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no Chromium. Hint: apt-get install chromium, or set CHROMIUM to a browser")
    return path


@contextmanager
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(of: Browser, file: Path, view: str = "", **options: Any) -> Iterator[Page]:
    """Open a page of this machine; what it says on the console, or asks of others, fails."""
    context = of.new_context(**{"viewport": {"width": 1280, "height": 860}} | options)
    page = context.new_page()
    page.set_default_timeout(10_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))

    def watch(route: Any) -> None:
        url = route.request.url
        if url.startswith(INSIDE):
            route.continue_()
        else:
            asked.append(url)
            route.abort()

    context.route("**/*", watch)
    try:
        page.goto(f"file://{file}#{view}")
        page.wait_for_selector("nav a[aria-current]")
        yield page
        assert said == []
        assert asked == []
    finally:
        context.close()


def open_view(page: Page, name: str, how: Callable[[Locator], None] = Locator.click) -> None:
    """Follow a view's link; the page shows it a moment later."""
    link = page.get_by_role("link", name=name, exact=True)
    how(link)
    expect(link).to_have_attribute("aria-current", "page")

"""Fixtures: a real browser, and tabs in it that note every complaint and every request."""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from serving import Account

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of the page where there is no browser; never on a build server, which has to have one."""
    if CHROMIUM is None and os.environ.get("CI") != "true":
        for item in items:
            if "browser" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="there is no Chromium here"))


@dataclass
class Watched:
    """A page of an account, and what its browser complained of."""

    page: "Page"
    account: Account
    complaints: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    def open(self, query: str = "") -> None:
        """Open the page of the account, and wait until it is drawn and live."""
        self.page.goto(f"{self.account.url}/{query}")
        self.page.locator("header").wait_for()
        self.page.get_by_role("button", name="Live").wait_for()

    def elsewhere(self) -> list[str]:
        """The requests to another origin."""
        origin = self.account.url.split("/accounts/")[0]
        return [url for url in self.requests if not url.startswith(f"{origin}/")]


@contextmanager
def watched(context: "BrowserContext", account: Account) -> Generator[Watched]:
    """A new tab for *account*; its page must have had nothing to complain of."""
    page = context.new_page()
    tab = Watched(page, account)
    page.on("console", lambda message: tab.complaints.append(f"{message.text} {message.location}"))
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    page.on("request", lambda request: tab.requests.append(request.url))
    yield tab
    assert tab.elsewhere() == []
    page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium. While Playwright runs, its event loop does, and tests of other modules may need to start one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """A browser session of its own, which may use the clipboard."""
    allowed = ["clipboard-read", "clipboard-write"]
    made = browser.new_context(viewport={"width": 1200, "height": 800}, permissions=allowed)
    yield made
    made.close()


@pytest.fixture
def tab(context: "BrowserContext", account: Account) -> Iterator[Watched]:
    """A tab for a fresh account. Nothing was complained of at its end."""
    with watched(context, account) as opened:
        yield opened
        assert opened.complaints == []

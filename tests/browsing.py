"""Fixtures: a real browser, and tabs in it that note every complaint and every request."""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from serving import Account
from waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Dialog,
        Error,
        Page,
        Request,
        ViewportSize,
    )

CHROMIUM = shutil.which("chromium")
VIEWPORT: "ViewportSize" = {"width": 1200, "height": 800}


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
def watched(page: "Page", account: Account) -> Generator[Watched]:
    """The *page* with what its browser says while it shows *account*; nothing came from another origin."""
    tab = Watched(page, account)

    def complain(message: "ConsoleMessage") -> None:
        tab.complaints.append(f"{message.text} {message.location}")

    def fail(error: "Error") -> None:
        tab.complaints.append(str(error))

    def ask(dialog: "Dialog") -> None:
        tab.complaints.append(dialog.message)
        dialog.dismiss()

    def request(sent: "Request") -> None:
        tab.requests.append(sent.url)

    page.on("console", complain)
    page.on("pageerror", fail)
    page.on("dialog", ask)
    page.on("request", request)
    yield tab
    assert tab.elsewhere() == []
    for event, listener in (("console", complain), ("pageerror", fail), ("dialog", ask), ("request", request)):
        page.remove_listener(event, listener)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium. While Playwright runs, its event loop does, and tests of other modules may need to start one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """A browser session, which may use the clipboard."""
    allowed = ["clipboard-read", "clipboard-write"]
    made = browser.new_context(viewport=VIEWPORT, permissions=allowed)
    made.set_default_timeout(PATIENCE * 1000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def first_tab(context: "BrowserContext") -> "Page":
    """The tab of all tests of a module: the process of another one takes longer to start than most tests."""
    return context.new_page()


@pytest.fixture
def page(first_tab: "Page") -> Iterator["Page"]:
    """The tab, as new, and the only one: others that a test has opened, and left if it failed, are closed."""
    yield first_tab
    for other in first_tab.context.pages:
        if other is not first_tab:
            other.close()
    first_tab.goto("about:blank")
    first_tab.unroute_all()
    first_tab.set_viewport_size(VIEWPORT)
    first_tab.emulate_media(color_scheme="null", reduced_motion="null")
    first_tab.context.set_offline(False)


@pytest.fixture
def tab(page: "Page", account: Account) -> Iterator[Watched]:
    """A tab for a fresh account. Nothing was complained of at its end."""
    with watched(page, account) as opened:
        yield opened
        assert opened.complaints == []

"""A report in a real browser, opened from a disk with no server and no network."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.resources import files
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import pytest

from browsing import watched
from looping import case
from ours_emulator.records import milliseconds_of
from searching import TEXTS, send_searched
from serving import Account

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
MARKUP = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "</SCRIPT ><svg onload=alert(1)>",
    "<!--<script>",
    "]]>--></style><style>*{display:none}",
    '"><iframe src=javascript:alert(1)>',
    "javascript:alert(1)",
    "${alert(1)}`;alert(1)//",
    "&lt;b&gt;&#60;/script&#62;",
    "\\u003c/script>\\",
    "\u2028alert(1)\u2029",
    "\x00\ud800",
)
DATA = re.compile(r'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)
ANSWERS = """async ([module, data, asked]) => {
    const { answerOf } = await import(`data:text/javascript,${encodeURIComponent(module)}`);
    const report = JSON.parse(data);
    const shown = ({ id, visitor_id, rule, hinted, refused }) => ({ id, visitor_id, rule, hinted, refused });
    return asked.map(([path, params]) => answerOf(report, path, params).items.map(shown));
}"""
"""What a report lists for paths of the debug API with their parameters."""
Opened = Callable[..., "Page"]


@pytest.fixture
def opened(page: "Page", account: Account, tmp_path: Path) -> Iterator[Opened]:
    """Opens a report on the account, offline. At the end its browser must have complained of nothing."""
    file = tmp_path / "report.html"
    with watched(page, account) as tab:

        def open_report(query: str = "", **body: object) -> "Page":
            file.write_bytes(account.post("/debug/report", json.dumps(body).encode()).content)
            page.context.set_offline(True)
            page.goto(f"{file.as_uri()}{query}")
            page.locator("header").wait_for()
            return page

        yield open_report
        assert tab.complaints == []
        assert {url.partition(":")[0] for url in tab.requests} <= {"file", "data"}
        tab.requests.clear()


def fill(account: Account) -> None:
    """Send something of each kind."""
    account.identify(userId="u", userProperties={"city": "Berlin"})
    account.track(event="Paid", userId="u", eventProperties={"amount": 5}, userProperties={"city": "Bonn"}, coupon="S")
    account.track(event="Nobody")


def test_a_body_that_is_not_in_the_report_is_named_where_it_would_be_and_at_the_top(
    opened: Opened, account: Account
) -> None:
    account.track(event="Large", userId="u", eventProperties={"text": "x" * 300_000})
    page = opened()
    assert "the bodies of requests that are too large: " in page.locator(".banner li").inner_text()
    page.locator(".rows .title", has_text="Large").click()
    told = page.get_by_role("region", name="Event").get_by_text("The body is not here")
    assert "bytes as JSON, and there was room for 262,144." in told.inner_text()


def test_an_event_is_shown_from_a_file_with_all_that_the_page_shows(opened: Opened, account: Account) -> None:
    fill(account)
    page = opened(title="test_pays", failures=["expected 2 events 'Paid'"])
    assert page.get_by_role("region", name="Report").inner_text().startswith("test_pays This is a report of ")
    assert page.locator(".banner pre").inner_text() == "expected 2 events 'Paid'"
    page.locator(".rows .title", has_text="Paid").click()
    detail = page.get_by_role("region", name="Event")
    detail.get_by_text("Accepted, but probably not intended").wait_for()
    text = detail.inner_text()
    for shown in ("userId decided", "properties.city", "Berlin", "Bonn", "attempt 1", '"amount": 5', "unknown-keys"):
        with case(shown):
            assert shown in text
    page.reload()
    detail.get_by_text("Accepted, but probably not intended").wait_for()


def test_every_view_of_a_report_shows_what_was_there(opened: Opened, account: Account) -> None:
    fill(account)
    page = opened()
    for view, shown in (("Visitors", "u"), ("Calls", "/track"), ("Rules", "identifier"), ("Arrivals", "Paid")):
        with case(view):
            page.get_by_role("navigation").get_by_role("link", name=view).click()
            page.locator("main").get_by_text(shown).first.wait_for()
    page.get_by_role("navigation").get_by_role("link", name="Visitors").click()
    page.locator(".row.visitor").click()
    page.locator(".timeline li").nth(1).wait_for()
    assert "properties.city" in page.get_by_role("region", name="Visitor", exact=True).inner_text()


def test_a_report_can_be_filtered_and_searched(opened: Opened, account: Account) -> None:
    fill(account)
    page = opened()
    titles = page.locator(".rows .title")
    page.get_by_role("button", name="rejected").first.click()
    titles.nth(1).wait_for(state="detached")
    assert titles.all_inner_texts() == ["Nobody"]
    page.get_by_role("button", name="rejected").first.click()
    page.locator("#search").fill("bonn")
    titles.nth(1).wait_for(state="detached")
    assert titles.all_inner_texts() == ["Paid"]


def asked_of_events(account: Account) -> Iterator[dict[str, Any]]:
    """Filters of events: each text that may be found, and each other filter."""
    everything = account.events(outcome="any", order="arrival")
    for text, _ in TEXTS:
        yield {"q": text, "outcome": "any"}
    # It is shown among the default properties, but nobody sent it.
    yield {"q": everything[0]["default_properties"]["received_at"], "outcome": "any"}
    for outcome in ("accepted", "rejected", "dropped", "duplicate", "any"):
        yield {"outcome": outcome}
    for event in everything:
        yield {"request_id": event["request_id"], "outcome": "any"}
        yield {"event": event["event"] or "E", "outcome": "any"}
        yield {"visitor_id": event["visitor_id"] or "u-1", "outcome": "any", "q": "u"}
        for hint in event["hints"]:
            yield {"hint": hint["rule"], "outcome": "any"}
        if event["reason"]:
            yield {"reason": event["reason"]["rule"], "outcome": "any"}
    yield {"since": milliseconds_of(datetime.fromisoformat(everything[5]["received_at"])), "outcome": "any"}


def questions(account: Account) -> Iterator[tuple[str, dict[str, Any]]]:
    """Lists of the debug API, by its paths and parameters, as the page asks for them."""
    for asked in asked_of_events(account):
        yield "/debug/events", {"order": "arrival", **asked}
    for text in ("u-1", "BONN", "bonn", "say", "Plan", "true", "1.5", "gold", "pixel", "ä", "Ä", "nowhere", "%", "_"):
        yield "/debug/visitors", {"q": text}
    for visitor in account.visitors():
        for order in ("arrival", "time"):
            yield "/debug/visitors/{visitor_id}/events", {"visitor_id": visitor["visitor_id"], "order": order}
    for request in account.debug("requests")["items"]:
        yield "/debug/requests", {"call_id": request["call_id"], "limit": 100}
    yield "/debug/rules", {"account": account.url.rpartition("/")[2]}


def answered(account: Account, path: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """What the debug API lists."""
    named = path.format(**{name: quote(str(value), safe="") for name, value in params.items()})
    query = {name: value for name, value in params.items() if f"{{{name}}}" not in path}
    items: list[dict[str, Any]] = account.debug(named.removeprefix("/debug/"), **query)["items"]
    return items


def test_a_report_lists_what_the_debug_api_lists(page: "Page", account: Account) -> None:
    send_searched(account)
    account.identify(userId="u-2", email="a@b.co", userProperties={"city": "Ärmel", "is_bot": True, "zip": "1.5"})
    account.track(event="Hinted", userId="u-2", traits={})
    account.track(event="Early", userId="u-2", time=1)
    name = account.url.rpartition("/")[2]
    account.http.patch(f"{account.url}/debug/accounts/{name}", json={"allowed_events": ["E"]}).raise_for_status()
    account.track(event="Dropped", userId="u-2")
    account.track(event="Dropped", email="a@b.co")
    (data,) = DATA.findall(account.post("/debug/report", {"redact": False}).text)
    module = (files("ours_emulator.inspector") / "report.js").read_text("utf-8")
    # Each once.
    asked = list({json.dumps(question): question for question in questions(account)}.values())
    for (path, params), items in zip(asked, page.evaluate(ANSWERS, [module, data, asked]), strict=True):
        with case(path, params):
            key = "visitor_id" if path == "/debug/visitors" else "id"
            assert [item[key] for item in items] == [item[key] for item in answered(account, path, params)]
    (counts,) = page.evaluate(ANSWERS, [module, data, [["/debug/rules/counts", {}]]])
    count = itemgetter("rule", "hinted", "refused")
    assert sorted(map(count, counts)) == sorted(map(count, account.debug("rules/counts")["items"]))


def test_what_sends_or_changes_something_is_not_in_a_report(opened: Opened, account: Account) -> None:
    fill(account)
    page = opened()
    page.locator(".rows .title", has_text="Paid").click()
    page.get_by_role("button", name="Copy as curl").wait_for()
    assert "nothing can be sent or changed here" in page.locator(".banner").inner_text()
    for name in ("Send again", "Reset…", "Live", "Connecting"):
        with case(name):
            assert page.get_by_role("button", name=name).count() == 0
    links = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert links == ["Arrivals", "Visitors", "Calls", "Rules"]
    page = opened("?view=control")
    page.locator(".rows .title", has_text="Paid").wait_for()


def test_a_command_copied_from_a_report_names_the_emulator(opened: Opened, account: Account) -> None:
    fill(account)
    page = opened()
    page.locator(".rows .title", has_text="Paid").click()
    page.get_by_role("button", name="Copy as curl").click()
    page.locator(".notice", has_text="Copied.").wait_for()
    assert f"{account.url}/track" in page.evaluate("navigator.clipboard.readText()")


def test_markup_in_every_field_is_shown_as_text(opened: Opened, account: Account) -> None:
    for text in MARKUP:
        fields = {"event": text, "userId": text, "distinctId": text, "email": "a@b.co", "eventProperties": {text: text}}
        account.post("/track", json.dumps({"token": "t", **fields, "userProperties": {"city": text}}).encode())
        account.post("/track", json.dumps({"token": text, "event": text, text: text}).encode())
        account.post("/track", text.encode("utf-8", "replace"))
    page = opened(title=MARKUP[1], failures=list(MARKUP[:-1]))
    assert page.locator(".banner pre").all_text_contents() == list(MARKUP[:-1])
    assert page.title().startswith(MARKUP[1])
    for view in ("", "?view=visitors", "?view=calls"):
        page.goto(page.url.partition("?")[0] + view)
        page.locator("main").wait_for()
    page.goto(page.url.partition("?")[0])
    rows = page.locator(".rows a")
    rows.first.wait_for()
    for number in range(rows.count()):
        rows.nth(number).click()
        page.get_by_role("region", name="Event").get_by_text("Request and answer").wait_for()
    assert page.locator("img, iframe, .rows svg").count() == 0


def test_a_report_works_in_the_sandbox_that_build_servers_show_artifacts_in(opened: Opened, account: Account) -> None:
    fill(account)
    page = opened()
    path = Path(url2pathname(urlsplit(page.url).path))
    frame = path.with_name("frame.html")
    frame.write_text(f'<iframe sandbox="allow-scripts" src="{path.name}" width="1200" height="800"></iframe>')
    page.goto(frame.as_uri())
    shown = page.frame_locator("iframe")
    shown.locator(".rows .title", has_text="Paid").click()
    shown.get_by_text("Request and answer").wait_for()
    shown.get_by_role("button", name="theme").click()


def test_an_empty_report_says_so(opened: Opened) -> None:
    opened().get_by_text("Nothing had arrived").wait_for()


def test_a_report_is_accessible(opened: Opened, account: Account) -> None:
    fill(account)
    long = "\n".join(f"line {number}" for number in range(100))
    for theme in ("light", "dark"):
        for width in (390, 1200):
            page = opened("?event=" + str(account.events(event="Paid")[0]["id"]), title="test_pays", failures=[long])
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            page.set_viewport_size({"width": width, "height": 800})
            page.get_by_role("region", name="Event").get_by_text("Request and answer").wait_for()
            found = page.evaluate(f"{AXE}; axe.run(document, {json.dumps(AXE_RULES)})")
            with case(theme, width):
                assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []


def test_the_rules_of_a_report_say_how_many_of_its_events_met_each(opened: Opened, account: Account) -> None:
    account.track(event="Hinted", userId="u", properties={}, traits={})
    account.track(event="Nobody")
    page = opened("?view=rules")
    met = page.locator("tbody th:has(a)")
    met.last.wait_for()
    assert met.all_inner_texts() == ["unknown-keys\n1 event with a hint", "identifier\n1 event refused"]
    page.get_by_role("link", name="1 event refused").click()
    page.get_by_role("button", name="refused by identifier").wait_for()
    assert page.locator(".rows .title").all_inner_texts() == ["Nobody"]

"""The page in a real browser: what arrives is shown, at once and as text."""

import gzip
import json
import os
import re
import subprocess
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import httpx
import pytest

from browsing import watched
from looping import case
from ours_emulator.app import create_app
from ours_emulator.emulator import Emulator
from ours_emulator.settings import load
from serving import JSON, Account, Server, listening_server, mounted, serving, serving_at
from waiting import NO_TLS, PATIENCE, until

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from browsing import Watched

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
THEMES: tuple[tuple[Literal["dark", "light"], dict[str, Any]], ...] = (
    # In the dark only colours differ.
    ("dark", {"runOnly": ["color-contrast"]}),
    ("light", {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}),
)

SDK = {"x-stainless-lang": "python", "x-stainless-package-version": "2.1.0"}
"""What the vendor's SDK sends that is made for the later revision."""
FROZEN_MS = 1000
LONGEST_FRAME = """
    let last = performance.now();
    globalThis.longestFrame = 0;
    const note = (now) => {
        longestFrame = Math.max(longestFrame, now - last);
        last = now;
        requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
"""


def titles(page: "Page") -> list[str]:
    """The names in the list, from the top."""
    return page.locator(".rows .title").all_text_contents()


def fill(account: Account) -> None:
    """Send something of each kind."""
    account.track(event="Signed Up", email="ann@example.com", userProperties={"first_name": "Ann"})
    account.track(event="Purchase", userId="u", distinctId="1", properties={"coupon": "S"}, eventProperties={"a": 1})
    account.track(event="Purchase", userId="u", distinctId="1", properties={"coupon": "S"}, eventProperties={"a": 1})
    account.track(event="Nobody")
    account.batch({"event": "Row", "userId": "u", "distinctId": "2"}, {"event": 5})
    account.post("/track", b"not json")


# What arrives


def test_an_event_is_shown_within_a_second_of_its_post(tab: "Watched", account: Account) -> None:
    account.track(event="Before", userId="u")
    tab.open()
    row = tab.page.locator(".rows .title", has_text="Purchase")
    for _ in range(3):
        account.track(event="Purchase", userId="u")
        row.first.wait_for(timeout=1000)
        account.post("/debug/reset", {"account": account.url.rpartition("/")[2]})
        row.first.wait_for(state="detached")


@pytest.mark.parametrize(("query", "lists"), [("", 1), ("?outcome=accepted", 2)])
def test_what_arrives_between_the_list_and_the_stream_is_shown(
    tab: "Watched", account: Account, query: str, lists: int
) -> None:
    account.track(event="Before", userId="u")

    def arrive(route: "Route") -> None:
        account.track(event="Between", userId="u")
        route.continue_()

    tab.page.route("**/debug/stream", arrive, times=1)
    tab.open(query)
    tab.page.locator(".rows .title", has_text="Between").wait_for()
    assert titles(tab.page) == ["Between", "Before"]
    assert sum("/debug/events?" in url for url in tab.requests) == lists


def test_the_first_event_replaces_the_instructions(tab: "Watched", account: Account) -> None:
    tab.open()
    assert f"OURS_PRIVACY_BASE_URL={account.url}/api/v1" in tab.page.locator("pre").first.inner_text()
    tab.page.get_by_role("button", name="Send a test event").click()
    tab.page.locator(".rows .title", has_text="Test Event").wait_for()
    (event,) = account.events()
    assert (event["event"], event["visitor_id"]) == ("Test Event", "user-1")


def test_the_command_in_the_instructions_sends_an_event(tab: "Watched") -> None:
    tab.open()
    command = tab.page.locator("pre").last.inner_text()
    assert json.loads(subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout) == {
        "success": True
    }
    tab.page.locator(".rows .title", has_text="Test Event").wait_for()


def test_a_batch_of_a_thousand_rows_leaves_the_page_quick_and_bounded(tab: "Watched", account: Account) -> None:
    account.identify(userId="u", userProperties={"custom_properties": {"long": "x" * 100_000}})
    tab.open()
    tab.page.evaluate(LONGEST_FRAME)
    rows = [{"event": f"Row {number}", "userId": "u", "distinctId": str(number)} for number in range(1000)]
    assert account.batch(*rows).status_code == 200
    tab.page.locator(".rows .title", has_text="Row 999").wait_for()
    assert tab.page.evaluate("longestFrame") < FROZEN_MS
    assert tab.page.locator(".rows li").count() <= 500
    assert titles(tab.page)[0] == "Row 999"


def test_while_somebody_reads_further_down_new_events_wait(tab: "Watched", account: Account) -> None:
    for number in range(60):
        account.track(event=f"Old {number}", userId="u")
    tab.open()
    tab.page.locator(".rows .title", has_text="Old 59").wait_for()
    scroll = tab.page.locator(".list .scroll")
    scroll.evaluate("element => element.scrollTo(0, 400)")
    top = scroll.evaluate("element => element.scrollTop")
    for number in range(3):
        account.track(event=f"New {number}", userId="u")
    tab.page.get_by_role("button", name="3 new").wait_for()
    assert scroll.evaluate("element => element.scrollTop") == top
    assert titles(tab.page)[0] == "Old 59"
    tab.page.get_by_role("button", name="3 new").click()
    tab.page.locator(".rows .title", has_text="New 2").wait_for()
    assert titles(tab.page)[:4] == ["New 2", "New 1", "New 0", "Old 59"]


def test_a_paused_page_shows_what_it_missed_when_it_goes_on(tab: "Watched", account: Account) -> None:
    account.track(event="Before", userId="u")
    tab.open()
    tab.page.get_by_role("button", name="Live").click()
    tab.page.get_by_role("button", name="Paused").wait_for()
    account.track(event="Missed", userId="u")
    assert titles(tab.page) == ["Before"]
    tab.page.get_by_role("button", name="Paused").click()
    tab.page.locator(".rows .title", has_text="Missed").wait_for()


def test_the_page_goes_on_after_a_restart_of_the_server(page: "Page") -> None:
    with serving() as before:
        before.default.track(event="Before", userId="u")
        port = before.url.rpartition(":")[2]
        page.goto(before.url)
        page.locator(".rows .title", has_text="Before").wait_for()
    page.get_by_role("button", name="Reconnecting").wait_for()
    with serving_at(int(port)) as after:
        after.default.track(event="After", userId="u")
        page.locator(".rows .title", has_text="After").wait_for(timeout=PATIENCE * 1000)
        until(lambda: titles(page) == ["After"])


def test_the_page_works_below_the_prefix_of_a_mounted_app(page: "Page") -> None:
    emulator = create_app(load({"log_format": "none"}))
    with (
        listening_server(mounted(emulator)) as url,
        httpx.Client(trust_env=False, verify=NO_TLS) as http,
        watched(page, Account(f"{url}/accounts/shop", http)) as tab,
    ):
        page.goto(f"{url}/ours/accounts/shop")
        page.get_by_role("button", name="Send a test event").click()
        page.locator(".rows .title", has_text="Test Event").click()
        page.locator(".json").wait_for()
        page.get_by_role("button", name="Send again").click()
        page.locator(".heading", has_text="#2").wait_for()
        assert http.get(f"{url}/ours/accounts/shop/debug/events").json()["total"] == 2
        page.get_by_label("Account").select_option("")
        page.locator(".rows .where", has_text="shop").first.wait_for()
        assert page.url == f"{url}/ours/"
        assert tab.complaints == []
        page.goto("about:blank")
        emulator.stop()


def test_what_was_removed_to_make_room_is_counted(page: "Page") -> None:
    with serving(keep=5) as server:
        for number in range(20):
            server.default.track(event=f"Event {number}", userId="u")
        page.goto(server.url)
        page.locator(".rows .title", has_text="Event 19").wait_for()
        evicted = server.default.debug("summary")["evicted_events"]
        assert evicted > 0
        page.get_by_text(f"{evicted} events removed to make room").wait_for()


def test_a_closed_account_says_so(tab: "Watched", account: Account) -> None:
    account.track(event="Purchase", userId="u")
    account.http.delete(f"{account.url}/debug/accounts/{account.url.rpartition('/')[2]}")
    tab.page.goto(account.url + "/")
    tab.page.get_by_role("alert").filter(has_text="is closed").wait_for()
    tab.complaints = [text for text in tab.complaints if "409" not in text]


def test_a_reset_empties_the_page(tab: "Watched", account: Account) -> None:
    account.track(event="Purchase", userId="u")
    tab.open()
    tab.page.locator(".rows .title").wait_for()
    tab.page.get_by_role("button", name="Reset…").click()
    name = account.url.rpartition("/")[2]
    tab.page.get_by_role("dialog", name=f"Reset account {name}?").wait_for()
    tab.page.get_by_role("button", name=f"Reset account {name}").click()
    tab.page.get_by_role("heading", name="Nothing has arrived yet").wait_for()
    assert account.events() == []


def set_hidden(page: "Page", hidden: bool) -> None:
    """Say to the page that its tab is hidden, or shown again: a browser without a screen never does."""
    page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: {json.dumps(hidden)}, configurable: true}})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def another_tab(page: "Page", url: str) -> "Page":
    """A tab that *page* opens. It shares the process of the page, which takes long to start."""
    with page.expect_popup() as opened:
        page.evaluate("url => { window.open(url); }", url)
    return opened.value


def test_the_seventh_tab_loads_and_the_first_catches_up(page: "Page", account: Account) -> None:
    account.track(event="Purchase", userId="u")
    page.goto(account.url + "/")
    tabs = [page, *(another_tab(page, account.url + "/") for _ in range(6))]
    for each in tabs:
        each.locator(".rows .title", has_text="Purchase").wait_for()
        set_hidden(each, True)
    account.track(event="Missed", userId="u")
    set_hidden(page, False)
    page.locator(".rows .title", has_text="Missed").wait_for()


# What an event is


def test_a_link_shows_the_same_in_another_tab(tab: "Watched", account: Account) -> None:
    fill(account)
    tab.open()
    tab.page.get_by_role("button", name=re.compile("^rejected")).click()
    # The list is drawn anew; a row of the one before would be gone before the click.
    until(lambda: tab.page.locator(".rows li").count() == 3)
    tab.page.locator(".rows .title", has_text="Nobody").click()
    tab.page.locator(".json").wait_for()
    other = another_tab(tab.page, tab.page.url)
    other.locator(".json").wait_for()
    assert other.locator("main").inner_text() == tab.page.locator("main").inner_text()
    assert other.locator(".rows li").count() == 3
    tab.page.reload()
    tab.page.locator(".json").wait_for()
    assert other.locator("main").inner_text() == tab.page.locator("main").inner_text()
    other.close()
    tab.page.go_back()
    tab.page.locator(".json").wait_for(state="detached")
    assert tab.page.locator(".rows li").count() == 3
    tab.page.go_back()
    until(lambda: tab.page.locator(".rows li").count() == 7)


def test_refusals_and_hints_stand_at_the_line_that_they_are_about(tab: "Watched", account: Account) -> None:
    fill(account)
    tab.open(f"?event={account.events(event='Purchase')[0]['id']}")
    pinned = tab.page.locator(".json .line.hint")
    pinned.wait_for()
    assert pinned.inner_text().strip() == '"properties": {'
    assert tab.page.locator(".pin").inner_text().strip() == "dropped; did you mean eventProperties? (unknown-keys)"
    (row,) = [event for event in account.events(outcome="rejected") if event["batch_index"] == 1]
    tab.open(f"?event={row['id']}")
    tab.page.locator(".json").wait_for()
    assert '"event": 5' in tab.page.locator(".json .line.rejected").inner_text()
    tab.page.get_by_text("rule schema").click()
    assert "documented" in tab.page.locator(".remarks details p").inner_text()


def test_what_was_sent_is_shown_exactly_however_long_or_deep(tab: "Watched", account: Account) -> None:
    numbers = b'"eventProperties": {"a": 12345678901234567890, "b": 1.50, "c": -0.0, "d": 1E400, "\\u0041": []}'
    start = b'{"token": "t", "event": "Long", "userId": "u", '
    bodies = {
        "exact": start + numbers + b"}",
        "long": start + b'"eventProperties": {"long": "' + b"x\\n" * 500_000 + b'"}}',
        "many": start + b'"eventProperties": {"list": [' + b",".join([b"1"] * 3000) + b"]}}",
        "deep": b"[" * 1000 + b"]" * 1000,
    }
    shown: dict[str, str] = {}
    for name, body in bodies.items():
        with case(name):
            answer = account.post("/track", body)
            request = account.debug(f"requests/{answer.headers['x-emulator-request-id']}")
            tab.open(f"?event={request['events'][0]['id']}")
            tab.page.locator(".json").wait_for()
            shown[name] = tab.page.locator(".json").inner_text()
    for number in ("12345678901234567890", "1.50", "-0.0", "1E400", '"\\u0041"'):
        assert number in shown["exact"]
    assert len(shown["long"]) < 10_000
    assert shown["many"].count("1,") < 1000
    assert shown["deep"].startswith("[[[")


def test_the_drawing_of_who_it_was_says_what_became_of_each_identifier(tab: "Watched", account: Account) -> None:
    account.track(event="Known", userId="u")
    account.track(event="Both", userId="u", email="u@example.com")
    tab.open(f"?event={account.events(event='Both')[0]['id']}")
    steps = tab.page.locator(".identity li")
    steps.first.wait_for()
    assert [text.split() for text in steps.all_inner_texts()] == [
        ["matched", "userId", "u"],
        ["skipped", "email", "u@example.com"],
    ]
    assert "known visitor" in tab.page.locator(".visitor").inner_text()


def test_the_attempts_of_a_call_stand_on_a_line_with_their_gaps(tab: "Watched", account: Account) -> None:
    plan = {"answer": {"status": 429, "retry_after": 1}, "times": 1}
    account.http.put(f"{account.url}/debug/faults/busy", json=plan)
    body = {"token": "t", "event": "Tried", "userId": "u", "distinctId": "1"}
    for number in ("0", "1"):
        account.post("/track", body, {"x-stainless-retry-count": number})
    tab.open(f"?event={account.events()[0]['id']}")
    attempts = tab.page.locator(".attempts li")
    attempts.last.wait_for()
    first, second = attempts.all_inner_texts()
    assert "429" in first
    assert "fault busy" in first
    assert re.search(r"ms later \(Retry-After 1 s\)\s+200", second)
    tab.page.get_by_text("fault busy: 1 of 1 hits").wait_for()


def test_the_answer_is_shown_as_it_was_sent(tab: "Watched", account: Account) -> None:
    account.batch({"event": "Row", "userId": "u", "distinctId": "1"}, {"event": 5})
    tab.open(f"?event={account.events(outcome='rejected')[0]['id']}")
    answer = tab.page.locator(".answer")
    answer.wait_for()
    assert "content-type: application/json" in answer.inner_text()
    assert '"success":' in answer.inner_text()


def test_an_event_that_is_gone_is_said_to_be(tab: "Watched", account: Account) -> None:
    account.track(event="Here", userId="u")
    tab.page.goto(f"{account.url}/?event=999999999")
    tab.page.get_by_role("alert").filter(has_text="there is no event 999999999").wait_for()
    assert [text for text in tab.complaints if "404" not in text] == []
    tab.complaints.clear()


def test_an_event_whose_request_was_removed_to_make_room_is_shown_without_it(page: "Page") -> None:
    with serving(keep_body_bytes=200) as server:
        for number in range(9):
            server.default.track(event=f"Event {number}", userId="u", coupon="S")
        assert server.http.get(f"{server.url}/debug/requests/1").status_code == 404
        page.goto(f"{server.url}/?event=1")
        detail = page.get_by_role("region", name="Event")
        detail.get_by_text("The request is no longer kept.").wait_for()
        detail.get_by_text("userId decided").wait_for()
        assert "unknown-keys" in copied(page, "Copy as Markdown")
        assert detail.get_by_role("alert").count() == 0
        assert page.get_by_role("button", name="Send again").count() == 0


# What can be copied


def copied(page: "Page", button: str) -> str:
    """What the button with that name copies."""
    page.get_by_role("button", name=button).click()
    page.locator(".notice", has_text="Copied.").wait_for()
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_a_copied_curl_command_sends_the_same_again(tab: "Watched", account: Account) -> None:
    strange = {"quote": "it's", "dollar": '$(id) `id` \\ "', "line": "a\nb", "snow": "☃\x00\ud800"}
    body = json.dumps({"token": "t", "event": "Strange", "userId": "u", "eventProperties": strange}).encode()
    account.post("/track", body)
    account.post("/track", b'{"event": "It\'s \xe2\x98\x83 not JSON')
    for outcome in ("accepted", "rejected"):
        (event,) = account.events(outcome=outcome)
        tab.open(f"?event={event['id']}")
        subprocess.run(["sh", "-c", copied(tab.page, "Copy as curl")], capture_output=True, check=True)
        again, before = account.events(outcome=outcome)
        for name in ("event", "event_properties", "visitor_id", "reason", "hints"):
            assert again[name] == before[name]
    again, before = [
        account.debug(f"requests/{one['request_id']}")["body"] for one in account.events(outcome="rejected")
    ]
    assert again == before


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_copied_curl_command_sends_compressed_and_binary_bodies(
    tab: "Watched", account: Account, encoding: str
) -> None:
    body = json.dumps({"token": "t", "event": "Packed", "userId": "u"}).encode() if encoding else b"\xff\xfe'\x00\n"
    sent = gzip.compress(body) if encoding else body
    account.post("/track", sent, {"content-encoding": encoding} if encoding else {})
    (event,) = account.events(outcome="any")
    tab.open(f"?event={event['id']}")
    subprocess.run(["bash", "-c", copied(tab.page, "Copy as curl")], capture_output=True, check=True)
    again, before = account.events(outcome="any")
    assert (again["event"], again["outcome"], again["reason"]) == (before["event"], before["outcome"], before["reason"])
    requests = [account.debug(f"requests/{one['request_id']}") for one in (again, before)]
    assert requests[0]["body"] == requests[1]["body"]
    assert requests[0]["body_base64"] == requests[1]["body_base64"]


def test_a_copied_curl_command_for_the_client_api_takes_the_key_from_the_environment(
    tab: "Watched", account: Account
) -> None:
    account.post("/api/client/identify", {"external_id": "e"}, {"authorization": "Bearer pk_key"})
    tab.open(f"?event={account.events(outcome='any')[0]['id']}")
    command = copied(tab.page, "Copy as curl")
    environment = {**os.environ, "OURS_PUBLIC_KEY": "pk_key"}
    subprocess.run(["sh", "-c", command], capture_output=True, check=True, env=environment)
    assert [event["outcome"] for event in account.events(outcome="any")] == ["accepted", "accepted"]
    assert not tab.page.get_by_role("button", name="Send again").is_visible()


def test_a_copied_assertion_passes(tab: "Watched", account: Account) -> None:
    fill(account)
    headers = {"authorization": "Bearer pk_key"}
    account.post("/api/client/alias", {"anonymous_id": "a", "external_id": "e"}, headers)
    account.post("/api/client/identify", {"external_id": "e", "data": {"a": None}}, headers)
    odd = {"true": True, "none": None, "large": 12345678901234567890, "list": [1, {"a": "\u2028"}], "text": "\\'\"\n"}
    account.track(event="Odd", externalId="x", eventProperties=odd)
    events = account.events(outcome="any")
    assert len(events) >= 9
    with Emulator(account.url) as handle:
        for event in events:
            with case(event["outcome"], event["event"], event["endpoint"]):
                tab.open(f"?event={event['id']}")
                assertion = copied(tab.page, "Copy as pytest assertion")
                found = eval(assertion, {"ours_emulator": handle})
                assert (found.outcome, found.event) == (event["outcome"], event["event"])


def test_a_copied_sdk_call_sends_the_same_again(tab: "Watched", account: Account) -> None:
    account.track(event="Purchase", userId="u", eventProperties={"plan": "pro"}, properties={"lost": True})
    account.identify(externalId="e", userProperties={"first_name": "Ann", "custom_properties": {"plan": "pro"}})
    account.batch({"event": "Row", "userId": "u", "distinctId": "1", "eventProperties": {"a": 1}})
    for event in account.events(outcome="any"):
        with case(event["endpoint"]):
            tab.open(f"?event={event['id']}")
            exec(copied(tab.page, "Copy as SDK call"), {})
            again: dict[str, Any] = account.debug("requests", limit=1)["items"][0]
            (repeated,) = account.debug(f"requests/{again['id']}")["events"]
            for name in ("endpoint", "event", "event_properties", "visitor_id", "hints"):
                assert repeated[name] == event[name]


def test_an_event_can_be_sent_again(tab: "Watched", account: Account) -> None:
    account.track(event="Purchase", userId="u", distinctId="1")
    first = account.events()[0]["id"]
    tab.open(f"?event={first}")
    tab.page.get_by_role("button", name="Send again").click()
    tab.page.locator(".heading", has_text="duplicate").wait_for()
    (again,) = account.events(outcome="duplicate")
    assert tab.page.url.endswith(f"?event={again['id']}")


# Everything from a client is text

MARKUP = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "<!--<b>",
    "</textarea><iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<base href=//evil.example>",
    "&lt;b&gt;&#x22;",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><img src=x onerror=alert(1)></mtext></math>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<template shadowrootmode=open><img src=x onerror=alert(1)></template>",
    "' onmouseover='alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example/x",
    "</script><script>alert(1)</script>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<${constructor}>${html`<img src=x onerror=alert(1)>`}<//>",
    "\u202e\u0000\ud800",
)
UNWANTED = ", ".join(
    (
        "img, iframe, base, object, embed, math, video, source, template, style, form[action], p[title]",
        "meta[http-equiv], script:not([src]), svg script, link[href*='evil'], b:empty",
        "[onload], [onerror], [onfocus], [ontoggle], [onmouseover], [srcdoc]",
        "a[href^='javascript:'], a[href^='data:'], a[href^='//'], a[href^='http://evil'], a[href^='https://evil']",
    )
)

# What matters at the beginning of a value stands alone; of the others, several make one value.
_ALONE = tuple(text for text in MARKUP[:-1] if text[0] not in "<&${")
_OTHERS = [text for text in MARKUP[:-1] if text not in _ALONE]
TOGETHER = (*_ALONE, *(" ".join(_OTHERS[first : first + 6]) for first in range(0, len(_OTHERS), 6)))

GO = "query => { history.pushState(null, '', query); dispatchEvent(new PopStateEvent('popstate')); }"
"""Goes to an address as the buttons of the browser do, which takes a tenth of the time of loading the page."""


def assert_only_text(page: "Page") -> None:
    """Check that nothing of MARKUP became an element or an attribute."""
    assert page.locator(UNWANTED).count() == 0


def in_header(text: str) -> str:
    """As much of *text* as a header may have."""
    return "".join(character for character in text if character.isascii() and character.isprintable())


def send_everywhere(account: Account, markup: str) -> None:
    """Send *markup* in each field that the page shows: six events."""
    properties = {markup: markup, "__proto__": markup}
    body = {
        "token": "t",
        "event": markup,
        "userId": markup,
        "externalId": markup,
        "distinctId": markup,
        "eventProperties": properties,
        "defaultProperties": properties,
        "userProperties": {"first_name": markup, markup: markup, "custom_properties": properties},
        markup: markup,
    }
    account.post("/track", json.dumps(body).encode())
    account.post("/track", json.dumps(markup).encode())
    headers = {"content-type": in_header(markup), "content-encoding": in_header(markup)}
    account.post(f"/{quote(markup, errors='surrogatepass')}", json.dumps({markup: markup}).encode(), headers)
    plan = {"answer": {"status": 500, "error": markup}, "times": 1}
    account.http.put(f"{account.url}/debug/faults/f", content=json.dumps(plan), headers=JSON)
    account.post("/track", json.dumps({"token": "t", "event": markup}).encode())
    key = {"authorization": f"Bearer pk_{in_header(markup)}"}
    client = {"external_id": markup, "anonymous_id": f"a {markup}"}
    account.post("/api/client/identify", json.dumps({**client, "data": properties}).encode(), key)
    device = dict.fromkeys(("device_id", "os", "model", "app_build", "app_version"), markup)
    account.post("/api/client/devices", json.dumps({**client, **device}).encode(), key)


def test_markup_in_every_field_is_only_text(tab: "Watched", account: Account) -> None:
    assert len(set(MARKUP)) == 30
    sent = (*TOGETHER, MARKUP[-1])
    for markup in sent:
        send_everywhere(account, markup)
    events = account.events(outcome="any", order="arrival", limit=1000)
    assert len(events) == 6 * len(sent)
    tab.open()
    until(lambda: sent[0] in titles(tab.page))
    assert_only_text(tab.page)
    for event in events:
        with case(event["id"]):
            tab.page.keyboard.press("j")
            tab.page.locator(".heading .facts", has_text=f"#{event['id']} ").wait_for()
            tab.page.get_by_role("heading", name="What was sent").wait_for()
            assert_only_text(tab.page)
    assert tab.complaints == []


def test_markup_in_the_address_and_in_every_other_view_is_only_text(
    tab: "Watched", account: Account, server: Server
) -> None:
    for markup in TOGETHER:
        send_everywhere(account, markup)
    for markup in TOGETHER:
        plan = {"answer": {"status": 500, "error": markup}, "match": {"event": markup}}
        assert account.http.put(f"{account.url}/debug/faults/f", json=plan).status_code == 200
        account.http.patch(
            f"{server.url}/debug/accounts/{account.url.rpartition('/')[2]}", json={"allowed_events": [markup]}
        )
        asked = {"match": {"event": markup, "user_id": f"no {markup}"}, "mode": "at_least", "count": 99}
        text = quote(markup)
        tab.open(f"?name={text}&visitor={text}&q={text}")
        tab.page.locator(".row, .none").first.wait_for()
        assert_only_text(tab.page)
        for query, drawn in (
            (f"hint={text}&reason={text}", ".problem"),
            (f"view=visitors&visitor={text}", ".timeline li"),
            (f"view=visitors&q={text}", "main:not(.open) .row.visitor"),
            (f"view=verify&match={quote(json.dumps(asked))}", "h3:has-text('Expectation not met')"),
            (f"view=rules&q={text}", "h2:has-text('Rules')"),
            ("view=control", ".entries pre"),
        ):
            with case(query):
                tab.page.evaluate(GO, f"?{query}")
                tab.page.locator(drawn).first.wait_for()
                assert_only_text(tab.page)
        # No account and no fault has such a name, and the page says so.
        with case(markup):
            tab.page.get_by_label("Name", exact=True).fill(markup)
            tab.page.get_by_role("button", name="Plan it").click()
            tab.page.locator(".notice").wait_for()
            assert_only_text(tab.page)
            named = account.http.get(f"{server.url}/accounts/{text}/", headers={"accept": "text/html"})
            assert "html" not in named.headers["content-type"]
    tab.open("?view=calls")
    tab.page.locator(".attempts li").first.wait_for()
    assert_only_text(tab.page)
    tab.complaints = [text for text in tab.complaints if not re.search(r"status of 40[046]", text)]


# Everybody can use it


def places(account: Account) -> dict[str, str]:
    """An address of each state of the page, and what is there once it is drawn."""
    of_outcome = {event["outcome"]: event["id"] for event in account.events(outcome="any")}
    ids = [*of_outcome.values(), account.events(event="Purchase")[0]["id"]]
    asked = quote(json.dumps({"match": {"event": "Purchase", "user_id": "v"}, "mode": "at_least", "count": 1}))
    return {
        "": ".row",
        "?outcome=rejected": ".row",
        "?name=Nothing": ".none",
        **{f"?event={one}": ".json" for one in ids},
        "?event=999999999": ".problem",
        "?view=visitors": ".row",
        "?view=visitors&visitor=u": ".timeline li",
        "?view=visitors&q=nobody": ".none",
        "?view=calls": ".attempts li",
        "?view=verify": "form",
        f"?view=verify&match={asked}": "table",
        "?view=control": ".entries pre",
        "?view=rules&q=event": "tbody tr",
    }


def test_axe_finds_nothing_to_complain_of(page: "Page", account: Account) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(account.url + "/")
    page.get_by_role("button", name="Send a test event").wait_for()
    check(page, "empty")
    fill(account)
    account.post("/track", {"token": "t", "event": "SDK", "userId": "u"}, SDK)
    account.http.put(f"{account.url}/debug/faults/slow", json={"answer": {"delay_ms": 1}})
    account.http.put(f"{account.url}/debug/clock", json={"freeze": True})
    for place, drawn in places(account).items():
        page.goto(f"{account.url}/{place}")
        page.locator(drawn).first.wait_for()
        check(page, place)
    page.get_by_text("1 note", exact=True).click()
    check(page, "note")
    for button in ("Reset…", "Keys"):
        page.get_by_role("button", name=button, exact=True).click()
        check(page, button)
        page.keyboard.press("Escape")


def check(page: "Page", state: str) -> None:
    """Let axe look at the page: wide and narrow, light and dark."""
    page.evaluate(AXE)
    for width in (390, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, state
        for theme, rules in THEMES:
            page.emulate_media(color_scheme=theme)
            violations = page.evaluate("options => axe.run(document, options)", rules)["violations"]
            found = [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in violations]
            assert found == [], (state, width, theme)


def test_the_list_is_walked_through_by_keys(tab: "Watched", account: Account) -> None:
    for name in ("First", "Second", "Third"):
        account.track(event=name, userId="u")
    tab.open()
    tab.page.locator(".rows .title", has_text="Third").wait_for()
    heading = tab.page.locator(".heading h2")
    for key, expected in (("j", "Third"), ("j", "Second"), ("j", "First"), ("j", "First"), ("k", "Second")):
        tab.page.keyboard.press(key)
        heading.filter(has_text=expected).wait_for()
    tab.page.keyboard.press("Escape")
    heading.wait_for(state="detached")
    tab.page.keyboard.press("?")
    tab.page.get_by_role("dialog", name="Keys").wait_for()
    tab.page.keyboard.press("Escape")
    tab.page.get_by_role("dialog", name="Keys").wait_for(state="detached")
    tab.page.keyboard.press("/")
    assert tab.page.evaluate("document.activeElement.id") == "search"


def test_on_a_narrow_screen_the_focus_goes_to_the_event_and_back(tab: "Watched", account: Account) -> None:
    tab.page.set_viewport_size({"width": 390, "height": 800})
    for name in ("First", "Second"):
        account.track(event=name, userId="u")
    tab.open()
    row = tab.page.locator(".row", has_text="First")
    row.focus()
    tab.page.keyboard.press("Enter")
    tab.page.locator(".json").wait_for()
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Event"
    assert not row.is_visible()
    tab.page.keyboard.press("Escape")
    row.wait_for()
    until(lambda: "First" in tab.page.evaluate("document.activeElement.innerText"))


def test_everything_can_be_reached_by_the_tab_key(tab: "Watched", account: Account) -> None:
    fill(account)
    tab.open()
    tab.page.locator(".rows .title").first.wait_for()
    reached: list[str] = []
    for _ in range(25):
        tab.page.keyboard.press("Tab")
        reached.append(tab.page.evaluate("document.activeElement.innerText || document.activeElement.tagName"))
    for expected in ("Live", "Reset…", "accepted", "rejected", "Nobody"):
        assert any(expected in text for text in reached), (expected, reached)
    tab.page.locator(".row").first.focus()
    tab.page.keyboard.press("Enter")
    tab.page.locator(".json").wait_for()


# The admin token


def test_the_page_asks_for_the_admin_token_and_uses_it(page: "Page") -> None:
    with serving(admin_token="secret") as locked:
        page.goto(locked.url)
        page.get_by_label("Token").fill("secret")
        page.get_by_role("button", name="Use it").click()
        page.get_by_role("button", name="Live").wait_for()
        locked.default.track(event="Purchase", userId="u")
        page.locator(".rows .title", has_text="Purchase").wait_for()
        assert "secret" not in page.url
        assert page.evaluate("JSON.stringify(localStorage)") == "{}"

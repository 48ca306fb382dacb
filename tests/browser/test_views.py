"""The other views of the page in a real browser: visitors, calls, what is missing, control and rules."""

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from browsing import watched
from looping import case
from ours_emulator.emulator import Emulator, ExpectationError
from ours_emulator.model import REVISIONS
from serving import Account, Server
from waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from browsing import Watched


def rules_of(server: Server, revision: str) -> list[dict[str, Any]]:
    """The rules that hold in *revision*."""
    account = server.account()
    account.configure(revision=revision)
    items: list[dict[str, Any]] = account.debug("rules")["items"]
    return items


def table(page: "Page") -> dict[str, list[str]]:
    """The rows of the table, by their heads."""
    rows = page.locator("table tbody tr")
    rows.first.wait_for()
    return {row[0]: row[1:] for row in (text.split("\t") for text in rows.all_inner_texts())}


def copied(page: "Page", button: str) -> str:
    """What the button with that name copies."""
    page.get_by_role("button", name=button, exact=True).first.click()
    page.locator(".notice", has_text="Copied.").wait_for()
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


# What was changed


def test_the_change_of_an_event_is_right_a_thousand_rows_after_the_one_before(tab: "Watched", account: Account) -> None:
    account.identify(userId="u", userProperties={"city": "Berlin", "job_title": "Vet"})
    rows = [{"event": "Row", "userId": "other", "distinctId": str(number)} for number in range(1000)]
    account.batch(*rows)
    account.track(event="Moved", userId="u", userProperties={"city": "Bonn", "job_title": ""})
    tab.open(f"?event={account.events(event='Moved')[0]['id']}")
    changes = table(tab.page)
    assert changes["properties.city"] == ["Berlin", "Bonn"]
    assert changes["properties.job_title"] == ["Vet", "Vet\nignored: empty text is ignored"]
    assert changes["identifiers.user_id"] == ["u", "u\nunchanged"]


def test_of_a_visitor_each_value_has_the_event_that_set_it(tab: "Watched", account: Account) -> None:
    account.identify(userId="u", email="u@example.com", userProperties={"city": "Berlin", "first_name": "Ann"})
    account.track(event="Moved", userId="u", userProperties={"city": "Bonn", "custom_properties": {"plan": "pro"}})
    account.track(event="Again", userId="u", userProperties={"city": "Bonn"})
    first, second, third = sorted(event["id"] for event in account.events(outcome="any"))
    tab.open("?view=visitors&visitor=u")
    assert table(tab.page) == {
        "identifiers.user_id": ["u", f"#{first}"],
        "identifiers.email": ["u@example.com", f"#{first}"],
        "properties.first_name": ["Ann", f"#{first}"],
        "properties.city": ["Bonn", f"#{second}"],
        "custom_properties.plan": ["pro", f"#{second}"],
    }
    assert f"Again #{third}" in tab.page.locator(".timeline li").first.inner_text()
    tab.page.get_by_role("link", name=f"#{second}", exact=True).first.click()
    tab.page.locator(".heading", has_text="Moved").wait_for()


def test_the_timeline_of_a_visitor_is_by_arrival_or_by_the_time_of_the_events(tab: "Watched", account: Account) -> None:
    now = account.debug("clock")["now_ms"]
    for name, ago in (("Late", 1000), ("Early", 3000), ("Middle", 2000)):
        account.track(event=name, userId="u", time=now - ago)
    tab.open("?view=visitors&visitor=u")
    timeline = tab.page.locator(".timeline a")
    timeline.last.wait_for()
    assert [text.split()[0] for text in timeline.all_inner_texts()] == ["Middle", "Early", "Late"]
    tab.page.get_by_role("link", name="by event time").click()
    until(lambda: [text.split()[0] for text in timeline.all_inner_texts()] == ["Late", "Middle", "Early"])
    assert "order=time" in tab.page.url


def test_visitors_are_listed_and_searched_as_they_come(tab: "Watched", account: Account) -> None:
    account.track(event="E", userId="ann", email="ann@example.com")
    tab.open("?view=visitors")
    rows = tab.page.locator(".row.visitor")
    rows.filter(has_text="ann@example.com").wait_for()
    account.track(event="E", userId="bob", email="bob@example.com")
    rows.filter(has_text="bob").wait_for()
    tab.page.get_by_placeholder("Search").fill("bob@")
    rows.filter(has_text="ann").wait_for(state="detached")
    rows.filter(has_text="bob").click()
    tab.page.get_by_role("heading", name="bob").wait_for()
    assert "visitor=bob" in tab.page.url


def test_the_page_of_all_accounts_leads_to_the_one_of_the_visitor(tab: "Watched", server: Server) -> None:
    account = server.account()
    account.track(event="E", userId="u")
    tab.page.goto(server.url + "/?view=visitors")
    name = account.url.rpartition("/")[2]
    tab.page.locator(".row.visitor", has_text=name).click()
    tab.page.get_by_role("heading", name="u", exact=True).wait_for()
    assert tab.page.url.startswith(account.url + "/?")


# Remarks


def test_the_hints_of_a_duplicate_do_not_call_it_accepted(tab: "Watched", account: Account) -> None:
    for _ in range(2):
        account.track(event="E", userId="u", distinctId="1", properties={})
    for outcome, title in (("accepted", "Accepted, but probably not intended"), ("duplicate", "Probably not intended")):
        tab.open(f"?event={account.events(outcome=outcome)[0]['id']}")
        tab.page.get_by_role("heading", name=title, exact=True).wait_for()


# Finding


def test_a_search_finds_what_was_sent_and_goes_on_finding_it(tab: "Watched", account: Account) -> None:
    account.track(event="Purchase", userId="u", eventProperties={"plan": "Professional"})
    account.track(event="Other", userId="u")
    tab.open()
    tab.page.locator(".rows .title", has_text="Other").wait_for()
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("professional")
    titles = tab.page.locator(".rows .title")
    until(lambda: titles.all_inner_texts() == ["Purchase"])
    assert "q=professional" in tab.page.url
    account.track(event="Renewal", userId="u", eventProperties={"plan": "Professional"})
    until(lambda: titles.all_inner_texts() == ["Renewal", "Purchase"])
    tab.page.keyboard.press("Escape")
    until(lambda: titles.count() == 3)


def test_a_search_goes_on_while_much_arrives(tab: "Watched", account: Account) -> None:
    tab.open("?q=sought")
    rows = tab.page.locator(".rows .title")
    for number in range(200):
        account.track(event=f"Other {number}", userId="u")
        if number == 10:
            account.track(event="Sought", userId="u")
        if rows.count() == 1:
            break
    assert rows.all_inner_texts() == ["Sought"]


def test_a_hint_leads_to_all_events_with_it(tab: "Watched", account: Account) -> None:
    account.track(event="Hinted", userId="u", properties={})
    account.track(event="Fine", userId="u")
    account.track(event="Hinted too", userId="u", traits={})
    tab.open(f"?event={account.events(event='Hinted')[0]['id']}")
    tab.page.get_by_role("link", name="all with this hint").click()
    titles = tab.page.locator(".rows .title")
    until(lambda: titles.all_inner_texts() == ["Hinted too", "Hinted"])
    tab.page.get_by_role("button", name="hint unknown-keys").click()
    until(lambda: titles.count() == 3)


def test_a_reason_leads_to_all_events_that_its_rule_refused(tab: "Watched", account: Account) -> None:
    account.track(event="Nobody")
    account.track(event="Somebody", userId="u")
    account.track(event="Nobody either")
    tab.open(f"?event={account.events(event='Nobody', outcome='any')[0]['id']}")
    tab.page.get_by_role("link", name="all that this rule refused").click()
    titles = tab.page.locator(".rows .title")
    until(lambda: titles.all_inner_texts() == ["Nobody either", "Nobody"])
    account.track(event="Accepted later", userId="u")
    account.track(event="Nobody later")
    until(lambda: titles.all_inner_texts() == ["Nobody later", "Nobody either", "Nobody"])
    tab.page.get_by_role("button", name="refused by identifier").click()
    until(lambda: titles.count() == 5)


def test_each_row_says_who_also_beside_a_hint(tab: "Watched", account: Account) -> None:
    account.track(event="Hinted", userId="ann", properties={})
    account.track(event="Fine", userId="bob")
    account.track(event="Nobody", properties={})
    tab.open()
    for width, query in ((1200, ""), (1200, f"?event={account.events()[0]['id']}"), (390, "")):
        tab.page.set_viewport_size({"width": width, "height": 800})
        tab.open(query)
        rows = tab.page.locator(".rows .row")
        rows.last.wait_for()
        shown = [text.split("\n") for text in rows.all_inner_texts()]
        assert "ann" in shown[2], (width, query)
        assert "properties: dropped; did you mean eventProperties?" in shown[2]
        assert "bob" in shown[1]
        assert "ann" not in shown[0]
        about = tab.page.locator(".rows .about").last
        who, remark = (about.locator(f".{name}").bounding_box() for name in ("who", "remark"))
        assert who is not None
        assert remark is not None
        assert who["x"] + who["width"] <= remark["x"]
        assert abs(who["y"] - remark["y"]) < 5
        assert min(who["width"], remark["width"]) > 20


def test_a_bar_shows_what_came_from_there_on(tab: "Watched", account: Account) -> None:
    account.http.put(f"{account.url}/debug/clock", json={"freeze": "2026-01-01T00:00:00Z"})
    account.track(event="Old", userId="u")
    account.http.put(f"{account.url}/debug/clock", json={"freeze": "2026-01-01T00:10:00Z"})
    account.track(event="New", userId="u")
    account.track(event="Refused")
    tab.open()
    bars = tab.page.get_by_role("toolbar", name="Arrivals over time").get_by_role("button")
    bars.last.wait_for()
    assert bars.count() == 2
    assert "2 arrivals, 1 accepted, 1 rejected" in (bars.last.get_attribute("aria-label") or "")
    bars.last.focus()
    tab.page.keyboard.press("ArrowLeft")
    assert "1 arrival, 1 accepted" in tab.page.evaluate("document.activeElement.getAttribute('aria-label')")
    tab.page.keyboard.press("ArrowRight")
    tab.page.keyboard.press("Enter")
    until(lambda: tab.page.locator(".rows .title").all_inner_texts() == ["Refused", "New"])


def test_the_events_of_a_request_are_listed(tab: "Watched", account: Account) -> None:
    account.track(event="Alone", userId="u")
    account.batch(*({"event": f"Row {at}", "userId": "u", "distinctId": str(at)} for at in range(3)))
    tab.open(f"?event={account.events(event='Row 1')[0]['id']}")
    assert '"event": "Row 1"' in tab.page.locator(".json").inner_text()
    assert "Row 2" not in tab.page.locator(".json").inner_text()
    tab.page.get_by_role("button", name="Whole request").click()
    tab.page.locator(".json", has_text="Row 2").wait_for()
    tab.page.get_by_role("link", name="3 events").click()
    until(lambda: tab.page.locator(".rows .title").all_inner_texts() == ["Row 2", "Row 1", "Row 0"])


def test_a_duplicate_names_the_event_that_had_its_distinct_id(tab: "Watched", account: Account) -> None:
    for _ in range(2):
        account.track(event="Paid", userId="u", distinctId="o-1")
    first, second = sorted(event["id"] for event in account.events(outcome="any"))
    tab.open(f"?event={second}")
    tab.page.get_by_text(f"distinctId o-1 was used before by #{first}, so nothing was stored.").wait_for()
    tab.page.get_by_role("link", name=f"#{first}", exact=True).click()
    tab.page.get_by_role("heading", name="Paid accepted").wait_for()


def test_what_has_hints_is_listed_alone(tab: "Watched", account: Account) -> None:
    account.track(event="Plain", userId="u")
    account.track(event="Odd", userId="u", plan="pro")
    tab.open()
    tab.page.get_by_role("button", name="with hints").click()
    until(lambda: tab.page.locator(".rows .title").all_inner_texts() == ["Odd"])
    account.track(event="Plain", userId="u")
    account.track(event="Odder", userId="u", plan="pro")
    until(lambda: tab.page.locator(".rows .title").all_inner_texts() == ["Odder", "Odd"])
    tab.page.get_by_role("button", name="hint any").click()
    until(lambda: tab.page.locator(".rows li").count() == 4)


def test_an_account_without_visitors_and_an_unknown_visitor_are_said_to_be(tab: "Watched") -> None:
    tab.open("?view=visitors")
    tab.page.get_by_text("No visitors yet. One appears with the first accepted event.").wait_for()
    tab.open("?view=visitors&visitor=nobody")
    tab.page.get_by_role("alert").wait_for()
    assert tab.page.get_by_role("alert").count() == 1
    tab.complaints = [text for text in tab.complaints if "404" not in text]


# What is missing


def test_a_missing_event_is_explained_by_the_closest_matches(tab: "Watched", account: Account) -> None:
    account.track(event="Purchase", userId="u", eventProperties={"amount": 5})
    tab.open("?view=verify")
    tab.page.get_by_label("Event", exact=True).fill("Purchase")
    tab.page.get_by_label("Value").fill("u")
    tab.page.get_by_label("Event properties, as JSON").fill('{"amount": {"$gt": 50}}')
    tab.page.get_by_role("button", name="Check").click()
    tab.page.get_by_role("heading", name="Expectation not met").wait_for()
    assert table(tab.page)["event_properties.amount"][0] == '{"$gt":50}'
    assertion = copied(tab.page, "Copy")
    with Emulator(account.url) as handle:
        with pytest.raises(ExpectationError):
            eval(assertion, {"ours_emulator": handle})
        account.track(event="Purchase", userId="u", eventProperties={"amount": 51})
        tab.page.get_by_role("heading", name="Expectation met: 1 event").wait_for()
        assert eval(assertion, {"ours_emulator": handle}).event_properties == {"amount": 51}
    assert [text for text in tab.complaints if "406" not in text] == []
    tab.complaints.clear()


@pytest.mark.parametrize(
    ("asked", "heading"),
    [
        ({"match": {"event": "Purchase"}, "mode": "exactly", "count": 2}, "Expectation met: 2 events"),
        ({"match": {"event": "Purchase"}, "mode": "at_least", "count": 2}, "Expectation met: 2 events"),
        ({"match": {"event": {"$regex": "^Err"}}, "mode": "none"}, "Expectation met: 0 events"),
        ({"match": {"email": "x@example.com", "endpoint": "track"}, "mode": "none"}, "Expectation met: 0 events"),
    ],
)
def test_each_assertion_asks_what_the_page_asked(
    tab: "Watched", account: Account, asked: dict[str, Any], heading: str
) -> None:
    for _ in range(2):
        account.track(event="Purchase", userId="u")
    tab.open(f"?view=verify&match={quote(json.dumps(asked))}")
    tab.page.get_by_role("heading", name=heading).wait_for()
    with Emulator(account.url) as handle:
        eval(copied(tab.page, "Copy"), {"ours_emulator": handle})


def test_the_outcome_of_a_candidate_stands_apart_from_its_name(tab: "Watched", account: Account) -> None:
    account.track(event="Purchase")
    asked = {"match": {"event": "Purchase"}, "mode": "at_least", "count": 1}
    tab.open(f"?view=verify&match={quote(json.dumps(asked))}")
    candidate = tab.page.locator(".entries li").first
    candidate.wait_for()
    assert re.match(r"Purchase #\d+ rejected", candidate.inner_text())
    tab.complaints = [text for text in tab.complaints if "406" not in text]


def test_requests_that_were_refused_before_they_were_read_stand_in_one_line_below_the_closest_matches(
    tab: "Watched", account: Account
) -> None:
    account.track(event="Purchase", userId="u", properties={"amount": 7})
    for _ in range(6):
        account.post("/api/v2/track", {"event": "Purchase"})
    asked = {"match": {"event": "Purchase", "event_properties": {"amount": 7}}, "mode": "at_least", "count": 1}
    tab.open(f"?view=verify&match={quote(json.dumps(asked))}")
    unread = tab.page.get_by_text("6 refused requests may have contained it; the last one is unknown path #")
    unread.wait_for()
    headings = tab.page.locator("main h3").all_inner_texts()
    assert headings[1:3] == ["Closest matches", "Requests that could not be read"]
    tab.page.get_by_text("it was sent in `properties`, which was dropped [unknown-keys]").first.wait_for()
    tab.page.get_by_role("link", name="6 refused requests").click()
    until(lambda: tab.page.locator(".rows li").count() == 6)
    tab.complaints = [text for text in tab.complaints if "406" not in text]


def test_what_is_typed_stays_while_the_page_is_drawn_again(tab: "Watched", account: Account) -> None:
    tab.open("?view=verify")
    typed = {"Event": "Purchase", "Event properties, as JSON": '{"plan": "pro"}', "Other fields, as JSON": "{"}
    for label, text in typed.items():
        tab.page.get_by_label(label, exact=True).fill(text)
    tab.page.get_by_label("Identifier").select_option("email")
    root, other = account.url.split("/accounts/")[0], f"drawn-{uuid4()}"
    account.http.put(f"{root}/debug/accounts/{other}", json={}).raise_for_status()
    account.track(event="Other", userId="u")
    until(lambda: other in tab.page.locator("header select").inner_text())
    assert {label: tab.page.get_by_label(label, exact=True).input_value() for label in typed} == typed
    assert tab.page.get_by_label("Identifier").input_value() == "email"


def test_a_form_that_is_not_json_is_said_to_be(tab: "Watched") -> None:
    tab.open("?view=verify")
    tab.page.get_by_label("Other fields, as JSON").fill("{")
    tab.page.get_by_role("button", name="Check").click()
    tab.page.locator(".notice", has_text="Not valid JSON").wait_for()


# Control


def test_a_fault_is_planned_by_the_form_and_by_the_command_that_it_shows(tab: "Watched", account: Account) -> None:
    account.track(event="Before", userId="u")
    tab.open("?view=control")
    tab.page.get_by_label("Effect").select_option("answer 429, Retry-After in seconds")
    tab.page.locator("input[name=value]").first.fill("2")
    tab.page.get_by_label("Path").fill("/track")
    tab.page.get_by_label("Times").fill("1")
    tab.page.get_by_role("button", name="Plan it").click()
    tab.page.locator(".entries pre", has_text="retry_after").wait_for()
    assert account.track(event="E", userId="u").headers["retry-after"] == "2"
    tab.page.get_by_text("fault busy: 1 of 1 hits").wait_for()
    tab.page.get_by_role("button", name="Remove fault busy").click()
    tab.page.get_by_role("heading", name="No faults").wait_for()
    command = copied(tab.page, "Copy")
    planned = json.loads(subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout)
    assert (planned["name"], planned["times"], planned["match"]) == ("busy", 1, {"path": "/track"})
    assert account.track(event="E", userId="u").status_code == 429


def test_on_a_narrow_screen_what_a_fault_does_has_the_width_of_the_page(tab: "Watched", account: Account) -> None:
    account.http.put(f"{account.url}/debug/faults/slow", json={"answer": {"delay_ms": 1}}).raise_for_status()
    tab.page.set_viewport_size({"width": 390, "height": 800})
    tab.open("?view=control")
    box = tab.page.get_by_text('"delay_ms": 1').bounding_box()
    assert box is not None
    assert box["width"] > 300


def test_every_effect_of_a_fault_can_be_planned(tab: "Watched", account: Account) -> None:
    account.track(event="Before", userId="u")
    tab.open("?view=control")
    effects = tab.page.get_by_label("Effect").locator("option").all_inner_texts()
    assert len(effects) >= 7
    for number, effect in enumerate(effects):
        tab.page.get_by_label("Name", exact=True).fill(f"fault-{number}")
        tab.page.get_by_label("Effect").select_option(effect)
        tab.page.locator("input[name=value]").first.fill("503")
        tab.page.get_by_role("button", name="Plan it").click()
        tab.page.get_by_role("button", name=f"Remove fault fault-{number}").wait_for()
    assert account.debug("faults")["total"] == len(effects)


def test_a_refused_change_says_why(tab: "Watched", account: Account) -> None:
    account.track(event="Before", userId="u")
    tab.open("?view=control")
    tab.page.get_by_label("Path").fill("/nowhere")
    tab.page.get_by_role("button", name="Plan it").click()
    tab.page.locator(".notice", has_text="unknown path").wait_for()
    assert [text for text in tab.complaints if "400" not in text] == []
    tab.complaints.clear()


def test_the_clock_and_the_allow_list_are_set(tab: "Watched", account: Account) -> None:
    account.track(event="Before", userId="u")
    tab.open("?view=control")
    tab.page.get_by_label("Action").select_option("freeze it at")
    tab.page.get_by_role("button", name="Change the clock").click()
    tab.page.get_by_text("clock frozen at 2026-01-01 00:00:00.000 UTC").wait_for()
    assert account.debug("clock")["state"] == "frozen"
    tab.page.get_by_label("One name per line").fill("Purchase\nSigned Up")
    tab.page.get_by_role("button", name="Allow these").click()
    tab.page.get_by_role("heading", name="Allowed events: 2 names").wait_for()
    account.track(event="Other", userId="u")
    assert account.events(outcome="dropped")[0]["event"] == "Other"


def test_the_allow_list_leaves_the_rest_of_the_account_as_it_is(tab: "Watched", account: Account) -> None:
    account.configure(
        tokens=["live-token-1"], public_keys=["pk_1234"], require_identifier=False, clock={"freeze": True}
    )
    account.post("/track", {"token": "live-token-1", "event": "Before"})
    before = account.debug(f"accounts/{account.url.rpartition('/')[2]}")
    tab.open("?view=control")
    tab.page.get_by_label("One name per line").fill("Purchase")
    tab.page.get_by_role("button", name="Allow these").click()
    tab.page.get_by_role("heading", name="Allowed events: 1 name").wait_for()
    assert account.debug(f"accounts/{before['account']}") == {**before, "allowed_events": ["purchase"]}
    command = tab.page.locator(".command").last.inner_text().replace("Purchase", "Refund")
    changed = json.loads(subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout)
    assert changed == {**before, "allowed_events": ["refund"]}
    assert account.post("/track", {"token": "live-token-1", "event": "Refund"}).status_code == 200
    assert account.post("/track", {"token": "another", "event": "Refund"}).status_code == 401


def test_the_tracking_plan_is_shown_and_set_and_a_difference_is_pinned(tab: "Watched", account: Account) -> None:
    account.configure(tracking_plan={"events": {"Old": {}}})
    tab.open("?view=control")
    field = tab.page.get_by_label("YAML or JSON")
    until(lambda: '"Old": {}' in field.input_value())
    field.fill("events:\n  Paid:\n    properties:\n      amount: {type: number}\n  Refunded:")
    tab.page.get_by_role("button", name="Use this plan").click()
    tab.page.get_by_role("heading", name="Tracking plan: 2 events").wait_for()
    account.track(event="Paid", userId="u", eventProperties={"amount": "5"})
    tab.open(f"?event={account.events()[0]['id']}")
    pin = tab.page.locator(".line", has_text='"amount"').locator("+ .pin")
    assert pin.inner_text().strip() == 'expected a number, got "5" (tracking-plan)'


def test_the_header_says_what_the_account_is_set_to_and_that_a_fault_is_used_up(
    tab: "Watched", account: Account
) -> None:
    variants = [{"id": "green"}]
    account.configure(
        revision="2026-10",
        allowed_events=["A", "B"],
        experiments={"one": {"variants": variants}},
        tracking_plan={"events": {"A": {}}},
        require_identifier=False,
    )
    fault = {"answer": {"status": 503}, "times": 1}
    account.http.put(f"{account.url}/debug/faults/busy", json=fault).raise_for_status()
    tab.open("?view=control")
    chips = tab.page.locator(".states .chip")
    until(lambda: len(chips.all_inner_texts()) == 5)
    expected = ["revision 2026-10", "allow-list: 2 names", "1 experiment", "plan: 1 event"]
    assert chips.all_inner_texts() == [*expected, "fault busy: 0 of 1 hits"]
    assert account.track(event="A", userId="u").status_code == 503
    tab.page.locator(".states .chip:not(.fault)", has_text="fault busy: 1 of 1 hits, used up").wait_for()
    tab.page.get_by_role("heading", name="0 active faults").wait_for()
    tab.page.get_by_role("button", name="Reset…").click()
    tab.page.get_by_text("The allow-list, tokens, revision, experiments and plan stay.").wait_for()


# Calls and rules


def test_the_attempts_of_each_call_are_shown(tab: "Watched", account: Account) -> None:
    account.http.put(f"{account.url}/debug/faults/busy", json={"answer": {"status": 503}, "times": 1})
    body = {"token": "t", "event": "Tried", "userId": "u", "distinctId": "1"}
    for number in ("0", "1"):
        account.post("/track", body, {"x-stainless-retry-count": number})
    tab.open("?view=calls")
    attempts = tab.page.locator(".attempts li")
    attempts.last.wait_for()
    assert [re.findall(r"\b(503|200)\b", text) for text in attempts.all_inner_texts()] == [["503"], ["200"]]
    tab.page.get_by_role("link", name="what arrived").click()
    until(lambda: tab.page.locator(".rows .outcome").all_inner_texts() == ["accepted"])


def test_the_rules_are_searched(tab: "Watched", account: Account) -> None:
    account.track(event="Hinted", userId="u", properties={})
    tab.open("?view=rules")
    rows = tab.page.locator("tbody tr")
    until(lambda: rows.count() == len(account.debug("rules")["items"]))
    tab.page.get_by_placeholder("Search").fill("unknown-keys")
    until(lambda: rows.count() < 5)


def test_the_rules_say_how_many_events_met_each(tab: "Watched", server: Server, account: Account) -> None:
    server.account().track(event="Elsewhere", userId="u", properties={})
    account.track(event="Hinted", userId="u", properties={}, traits={})
    account.track(event="Nobody")
    tab.open("?view=rules")
    met = tab.page.locator("tbody th:has(a)")
    until(lambda: met.all_inner_texts() == ["unknown-keys\n1 event with a hint", "identifier\n1 event refused"])
    account.track(event="Nobody either")
    tab.page.get_by_role("link", name="2 events refused").click()
    titles = tab.page.locator(".rows .title")
    until(lambda: titles.all_inner_texts() == ["Nobody either", "Nobody"])
    tab.page.go_back()
    tab.page.get_by_role("link", name="1 event with a hint").click()
    until(lambda: titles.all_inner_texts() == ["Hinted"])


def test_a_rule_says_what_it_says_in_the_revision_of_the_account_of_the_event(
    page: "Page", server: Server, account: Account
) -> None:
    account.configure(revision="2026-10")
    account.track(event="Nobody")
    (event,) = account.events(outcome="rejected")
    rule = {
        name: next(one["text"] for one in every if one["id"] == "identifier")
        for name, every in ((each, rules_of(server, each)) for each in REVISIONS)
    }
    assert rule["2026-05"] != rule["2026-10"]
    everything = server.default
    for shown in (account, everything):
        with case(shown.url), watched(page, shown) as opened:
            opened.open(f"?event={event['id']}")
            opened.page.get_by_text("rule identifier").click()
            opened.page.locator("details p", has_text=rule["2026-10"]).wait_for()


def test_the_rules_of_all_accounts_are_listed_with_what_each_says_in_each_revision(
    page: "Page", server: Server, account: Account
) -> None:
    account.configure(revision="2026-10")
    account.track(event="Nobody")
    texts = {name: [one["text"] for one in rules_of(server, name)] for name in REVISIONS}
    for shown, names in ((server.default, REVISIONS), (account, ("2026-10",))):
        with case(shown.url), watched(page, shown) as opened:
            opened.open("?view=rules")
            row = opened.page.locator("tbody tr", has=opened.page.get_by_text("identifier", exact=True))
            row.locator("a", has_text="refused").wait_for()
            expected = {text for name in names for text in texts[name]}
            listed = [text.rsplit(" ", 1)[0] for text in opened.page.locator("td p").all_inner_texts()]
            assert {text for text in expected if not any(text in one for one in listed)} == set()
            assert len(listed) == len(expected)
            assert row.locator("p").count() == len(names)


def test_a_note_about_what_sends_is_on_the_page_and_stays_there(tab: "Watched", account: Account) -> None:
    tab.open()
    sdk = {"x-stainless-lang": "python", "x-stainless-package-version": "2.1.0"}
    for number in range(2):
        account.post("/track", {"token": "t", "event": f"E{number}", "userId": "u"}, sdk)
    for _ in range(2):
        tab.page.get_by_text("1 note", exact=True).click()
        tab.page.get_by_role("list", name="Notes").get_by_text(
            "Python SDK 2.1.0 is made for revision 2026-10"
        ).wait_for()
        tab.page.reload()
    account.configure(revision="2026-10")
    tab.page.reload()
    tab.page.locator(".rows .title").first.wait_for()
    tab.page.locator(".notes").wait_for(state="detached")


def test_a_status_that_cannot_be_read_says_why(tab: "Watched", account: Account) -> None:
    account.track(event="Here", userId="u")
    failing = json.dumps({"error": "the store failed"})
    tab.page.route("**/debug/summary", lambda route: route.fulfill(status=500, body=failing))
    tab.open()
    tab.page.get_by_role("alert").filter(has_text="the store failed").wait_for()
    tab.page.locator(".rows .title", has_text="Here").wait_for()
    tab.page.unroute("**/debug/summary")
    account.track(event="Later", userId="u")
    tab.page.get_by_role("alert").wait_for(state="detached")
    tab.complaints = [text for text in tab.complaints if "status of 500" not in text]


def test_another_account_is_switched_to(tab: "Watched", server: Server) -> None:
    other = server.account()
    other.track(event="Elsewhere", userId="u")
    tab.open()
    tab.page.get_by_label("Account").select_option(other.url.rpartition("/")[2])
    tab.page.locator(".rows .title", has_text="Elsewhere").wait_for()
    assert tab.page.url.startswith(other.url)


# What is unusual


def test_of_a_burst_every_row_that_the_filter_asks_for_is_listed(tab: "Watched", account: Account) -> None:
    tab.open("?outcome=rejected")
    refused = {"event": "Refused", "userId": "u", "time": 5}
    for number in range(10):
        rows = ({"event": "Row", "userId": "u", "distinctId": f"{number}-{row}"} for row in range(999))
        account.batch(refused, *rows)
    listed = tab.page.locator(".rows li")
    # Not `wait_for_function`: what that polls with, the page's content security policy forbids.
    listed.nth(9).wait_for()
    assert listed.count() == 10


def test_a_search_ends_while_events_go_on_arriving(tab: "Watched", account: Account) -> None:
    account.track(event="Needle", userId="u")
    tab.open("?q=needle")
    for number in range(30):
        account.track(event="Hay", userId="u", distinctId=str(number))
    tab.page.locator(".rows li", has_text="Needle").wait_for()


def test_a_body_with_very_many_values_is_shown(tab: "Watched", account: Account) -> None:
    account.track(event="Large", userId="u", eventProperties={"values": list(range(150_000))})
    tab.open(f"?event={account.events(event='Large')[0]['id']}")
    tab.page.locator("pre.json .line").first.wait_for()


def test_an_identifier_with_half_a_surrogate_pair_leads_to_its_visitor(tab: "Watched", account: Account) -> None:
    account.post("/track", json.dumps({"token": "t", "event": "Half", "userId": "u\ud800x"}).encode())
    tab.open(f"?event={account.events(event='Half')[0]['id']}")
    tab.page.locator(".detail a[href*='visitor=u%ED%A0%80x']").first.click()
    tab.page.locator("section[aria-label=Visitor] .timeline li", has_text="Half").wait_for()


@pytest.mark.parametrize("visitor", [".", ".."])
def test_of_a_visitor_whose_id_is_a_step_of_a_path_no_events_of_others_are_shown(
    tab: "Watched", account: Account, visitor: str
) -> None:
    account.track(event="ByDots", userId=visitor)
    account.track(event="ByOther", userId="other")
    tab.open(f"?view=visitors&visitor={visitor}")
    tab.page.locator("section[aria-label=Visitor]", has_text="cannot stand in an address").wait_for()
    assert tab.page.locator(".timeline li").count() == 0


@pytest.mark.parametrize("query", ["view=constructor", "view=__proto__", "view=toString", "view=nosuch"])
def test_an_unknown_view_is_the_list(tab: "Watched", account: Account, query: str) -> None:
    account.track(event="Listed", userId="u")
    tab.open(f"?{query}")
    tab.page.locator(".rows li", has_text="Listed").wait_for()


@pytest.mark.parametrize("match", ["5", "null", "[]", '{"match":5}', "{"])
def test_an_expectation_in_the_address_that_is_none_leaves_an_empty_form(tab: "Watched", match: str) -> None:
    tab.open(f"?view=verify&match={quote(match)}")
    tab.page.get_by_role("button", name="Check").wait_for()

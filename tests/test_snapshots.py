"""The stable form of events and visitors, and snapshots of it with syrupy and inline-snapshot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from nested import FEW_PLUGINS
from ours_emulator.emulator import Emulator, stable

EXAMPLE = Path(__file__).parent.parent / "examples" / "snapshots"
PLUGINS = "syrupy,inline_snapshot.pytest_plugin"
CART = "0b7d2a3e-6a52-4d0f-9f0e-5f2d8f4f7a10"


def sent(emulator: Emulator, **message: Any) -> None:
    httpx.post(f"{emulator.ingest_url}/track", json={"token": "t", **message}, verify=False)


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OURS_", "PYTEST_", "CI"))}
    env |= {**FEW_PLUGINS, "PYTEST_PLUGINS": f"{FEW_PLUGINS['PYTEST_PLUGINS']},{PLUGINS}"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=50)


def test_what_differs_in_each_run_has_a_placeholder_and_all_else_is_as_it_was_sent(ours_emulator: Emulator) -> None:
    properties = {"cart": CART, "list": [{CART: None}], "note": f"cart-{CART.upper()}", "at": "2026-01-02", "n": 1}
    sent(ours_emulator, event="Paid", userId="u1", distinctId="order-1", eventProperties=properties)
    event = ours_emulator.wait_for("Paid")
    form = event.stable()
    assert form["event_properties"] == {
        "cart": "<uuid 1>", "list": [{"<uuid 1>": None}], "note": "cart-<uuid 1>", "at": "2026-01-02", "n": 1,
    }  # fmt: skip
    assert (form["id"], form["request_id"], form["account"]) == ("<event 1>", "<request 1>", "<account>")
    assert (form["visitor_id"], form["distinct_id"]) == ("u1", "order-1")
    assert (form["time"], form["received_at"]) == ("<time>", "<time>")
    assert form["default_properties"]["received_at"] == "<time>"
    assert form.keys() == set(type(event).__dataclass_fields__)


def test_a_duration_in_a_hint_has_a_placeholder(ours_emulator: Emulator) -> None:
    message = {"event": "Paid", "userId": "u1", "distinctId": "order-1"}
    with ours_emulator.fault(path="/track", status=429, retry_after=5, times=1):
        sent(ours_emulator, **message)
    sent(ours_emulator, **message)
    (hint,) = ours_emulator.wait_for("Paid").stable()["hints"]
    assert hint["message"] == "retried after <duration> s, but Retry-After was 5 s"


def test_two_runs_have_the_same_forms(ours_emulator: Emulator) -> None:
    forms: list[Any] = []
    for _ in range(2):
        sent(ours_emulator, event="Signed Up", email="ann@example.com")
        sent(ours_emulator, event="Paid", email="ann@example.com", time="2020-01-01T00:00:00Z")
        sent(ours_emulator, event="Paid", email="ann@example.com", time="2999-01-01T00:00:00Z")
        forms.append(stable([*ours_emulator.events(outcome="any", order="arrival"), *ours_emulator.visitors()]))
        ours_emulator.reset()
    assert forms[0] == forms[1]
    assert len(forms[0]) == 4


def test_the_same_value_has_the_same_placeholder_in_all_records(ours_emulator: Emulator) -> None:
    sent(ours_emulator, event="Signed Up", email="ann@example.com")
    sent(ours_emulator, event="Signed Up", email="bob@example.com")
    sent(ours_emulator, event="Paid", email="ann@example.com")
    first, second, third = stable(ours_emulator.events(order="arrival"))
    assert first["visitor_id"] == third["visitor_id"] != second["visitor_id"]
    assert [form["id"] for form in (first, second, third)] == ["<event 1>", "<event 2>", "<event 3>"]


def test_what_is_cut_in_a_hint_is_the_same_in_each_run(ours_emulator: Emulator) -> None:
    ours_emulator.set_tracking_plan({"events": {"Paid": {"additionalProperties": {"type": "null"}}}})
    forms: list[Any] = []
    for _ in range(2):
        cut = [f"{'x' * length}{uuid4()}" for length in (20, 35, 52, 58)]
        sent(
            ours_emulator,
            event="Paid",
            userId="u",
            eventProperties={"a": cut[0], "b": cut[1], "c": cut[2], "d": cut[3]},
        )
        sent(ours_emulator, event="Paid", userId="u", eventProperties={f"{'x' * 90}{uuid4()}": 1})
        forms.append(stable(ours_emulator.events(order="arrival")))
        ours_emulator.reset()
    assert forms[0] == forms[1]
    assert len(forms[0]) == 2


def test_names_that_would_have_the_same_placeholder_keep_their_values(ours_emulator: Emulator) -> None:
    sent(ours_emulator, event="Paid", userId="u", eventProperties={CART: 1, CART.upper(): 2, "<uuid 1>": 3, "id": CART})
    form = ours_emulator.wait_for("Paid").stable()["event_properties"]
    assert form.pop("id") in form
    assert sorted(form.values()) == [1, 2, 3]


def test_a_stable_form_of_something_else_is_refused(ours_emulator: Emulator) -> None:
    sent(ours_emulator, event="Paid", userId="u")
    others: Any = ("x", [None], ours_emulator.wait_for("Paid"), 5, [{}])
    for other, kind in zip(others, ("str", "NoneType", "Event", "int", "dict"), strict=True):
        with pytest.raises(TypeError, match=rf"^stable\(\) takes a list of events and visitors, not {kind}$"):
            stable(other)


def test_a_visitor_has_a_stable_form_too(ours_emulator: Emulator) -> None:
    sent(ours_emulator, event="Signed Up", email="ann@example.com", userProperties={"first_name": "Ann"})
    (visitor,) = ours_emulator.visitors()
    form = visitor.stable()
    assert form["visitor_id"] == form["identifiers"]["user_id"] == "<uuid 1>"
    assert (form["first_seen"], form["last_seen"]) == ("<time>", "<time>")
    assert form["properties"] == {"email": "ann@example.com", "first_name": "Ann"}


def test_the_example_passes_with_its_stored_snapshots_and_fails_when_the_app_sends_something_else(
    tmp_path: Path,
) -> None:
    copy = Path(shutil.copytree(EXAMPLE, tmp_path / "snapshots", ignore=shutil.ignore_patterns("__pycache__")))
    done = run(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    app = copy / "checkout.py"
    app.write_text(app.read_text().replace('"EUR"', '"USD"'))
    done = run(copy)
    assert "2 failed" in done.stdout, done.stdout
    assert "USD" in done.stdout
    # And both tools take the new one when they are told to.
    assert "1 snapshot updated" in run(copy, "--snapshot-update", "--inline-snapshot=fix").stdout
    assert "2 passed" in run(copy).stdout

"""`--metrics`: what Prometheus is told, and that nothing of it is there without the flag."""

import subprocess
import sys
from collections.abc import Generator, Mapping

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ours_emulator.emulator import Emulator, run_emulator

EXTRA = "ours-emulator[metrics]"


@pytest.fixture(scope="module")
def server() -> Generator[Emulator]:
    with run_emulator(metrics=True, admin_token="secret") as emulator:
        yield emulator


def metrics(server: Emulator) -> Mapping[str, float]:
    """Return the samples by name and labels: `requests_total endpoint=track status=200`."""
    response = httpx.get(f"{server.server_url}/metrics", headers={"authorization": "Bearer secret"}, verify=False)
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        " ".join((sample.name.removeprefix("ours_emulator_"), *(f"{k}={v}" for k, v in sorted(sample.labels.items())))):
        sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }  # fmt: skip


def changes(server: Emulator, before: Mapping[str, float]) -> dict[str, float]:
    """Return by how much the counts grew; those of durations without their buckets."""
    now = metrics(server)
    return {
        name: value - before.get(name, 0)
        for name, value in now.items()
        if value != before.get(name, 0)
        and name.partition(" ")[0].endswith(("_total", "_count"))
        and "process" not in name
    }


def send(server: Emulator, path: str, body: object) -> None:
    httpx.post(f"{server.ingest_url}{path}", json=body, verify=False)


def test_requests_events_hints_refusals_and_faults_are_counted_by_bounded_labels(server: Emulator) -> None:
    before = metrics(server)
    send(server, "/track", {"token": "t", "event": "Paid", "userId": "u1", "unknown": 1})
    send(server, "/track", {"token": "t", "event": "Paid"})
    rows = [{"event": name, "userId": "u1", "distinctId": f"d-{name}"} for name in ("A", "B")]
    send(server, "/batch", {"token": "t", "events": rows})
    with server.fault(path="/track", status=503):
        send(server, "/track", {"token": "t", "event": "Paid", "userId": "u1"})
    assert changes(server, before) == {
        "requests_total endpoint=track status=200": 1,
        "requests_total endpoint=track status=400": 1,
        "requests_total endpoint=track status=503": 1,
        "requests_total endpoint=batch status=200": 1,
        "events_total endpoint=track outcome=accepted": 1,
        "events_total endpoint=track outcome=rejected": 2,
        "events_total endpoint=batch outcome=accepted": 2,
        "hints_total rule=unknown-keys": 1,
        "refusals_total rule=identifier": 1,
        "refusals_total rule=429-500": 1,
        "fault_hits_total endpoint=track": 1,
        "request_duration_seconds_count endpoint=track": 3,
        "request_duration_seconds_count endpoint=batch": 1,
    }


def test_what_is_stored_is_told_as_it_is_now_and_counts_outlive_a_reset(server: Emulator) -> None:
    server.reset()
    send(server, "/track", {"token": "t", "event": "Paid", "userId": "u1"})
    full = metrics(server)
    assert (full["stored_visitors"], full["stored_requests"], full["stored_events"]) == (1, 1, 1)
    assert full["store_bytes"] > 4096
    assert full["process_resident_memory_bytes"] > 0
    server.reset()
    empty = metrics(server)
    assert (empty["stored_visitors"], empty["stored_requests"], empty["stored_events"]) == (0, 0, 0)
    name = "events_total endpoint=track outcome=accepted"
    assert empty[name] == full[name]


def test_no_name_that_a_client_chooses_is_in_it(server: Emulator) -> None:
    with server.fault(name="my-fault", status=503, times=1):
        send(server, "/track", {"token": "my-token", "event": "my-event", "userId": "my-user"})
    send(server, "/my-path", {})
    httpx.request("BREW", f"{server.ingest_url}/track", verify=False)
    send(server.open_account("my-account"), "/track", {})
    text = httpx.get(f"{server.server_url}/metrics", headers={"authorization": "Bearer secret"}, verify=False).text
    assert "my-" not in text
    assert "BREW" not in text


def test_evicted_events_are_counted() -> None:
    with run_emulator(metrics=True, keep=2) as emulator:
        for number in range(5):
            send(emulator, "/track", {"token": "t", "event": "Paid", "userId": f"u{number}"})
        found = metrics(emulator)
    assert (found["evicted_events"], found["evicted_requests"], found["stored_events"]) == (3, 3, 2)


def test_the_admin_token_is_required_if_there_is_one(server: Emulator) -> None:
    assert httpx.get(f"{server.server_url}/metrics", verify=False).status_code == 401


def test_without_the_flag_the_answer_says_how_to_turn_them_on(ours_emulator_server: Emulator) -> None:
    response = httpx.get(f"{ours_emulator_server.server_url}/metrics", verify=False)
    assert response.status_code == 404
    assert response.json() == {"error": "metrics are off; start the emulator with --metrics"}


def test_an_account_has_no_metrics_of_its_own(server: Emulator) -> None:
    url = f"{server.server_url}/accounts/a/metrics"
    response = httpx.get(url, headers={"authorization": "Bearer secret"}, verify=False)
    assert response.status_code == 404
    assert response.json() == {"error": "metrics cover the whole emulator; use /metrics without an account prefix"}


WITHOUT = """
import sys
sys.modules["prometheus_client"] = None
from ours_emulator.app import create_app
from ours_emulator.settings import SettingsError
create_app(database=None)
try:
    create_app(metrics=True)
except SettingsError as error:
    print(error)
"""


def test_without_the_extra_one_line_names_it() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"--metrics needs prometheus-client; run: pip install '{EXTRA}'\n"


def test_a_start_without_the_flag_imports_nothing_of_it() -> None:
    source = "import sys, ours_emulator.app as app; app.create_app(); print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "False\n"

"""`ours-emulator doctor`: it says why nothing arrives."""

import json
import socket

import pytest

from serving import Account, serving
from test_commands import at, environment, result

__all__ = ["at", "environment"]  # fixtures
BASE_URL = "OURS_PRIVACY_BASE_URL"


def problems(environment: dict[str, str], *words: str) -> dict[str, str]:
    """Return what the doctor finds wrong: the text by its subject."""
    done = result(environment, "doctor", "--json", *words)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = {finding["subject"]: finding["text"] for finding in found if finding["advice"]}
    assert (done.code, done.stderr) == (1 if wrong else 0, "")
    return wrong


def test_what_arrived_is_well_if_nothing_was_refused(account: Account, at: dict[str, str]) -> None:
    account.track(event="Paid", userId="u")
    done = result({**at, BASE_URL: f"{account.url}/api/v1"}, "doctor")
    assert done.code == 0
    assert f"{account.url}/api/v1: an emulator answers there\n" in done.stdout
    assert f"1 request at {account.url}: 1 accepted\n" in done.stdout
    assert done.stdout.endswith(": 200 Paid accepted\n\n0 problems\n")


def test_the_latest_refusal_is_told_with_its_reason(account: Account, at: dict[str, str]) -> None:
    account.track(event="Paid")
    wrong = problems({**at, BASE_URL: account.url})
    assert list(wrong) == ["latest"]
    assert wrong["latest"].endswith(": 400 Paid rejected: needs one of userId, externalId and email [identifier]")
    account.post("/v1/track", {})
    assert ": 404 " in problems({**at, BASE_URL: account.url})["latest"]


def test_without_an_emulator_it_says_how_to_start_one(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = result({**environment, "OURS_EMULATOR_PORT": str(port)}, "doctor")
    assert done.code == 1
    assert "   - start one: ours-emulator serve\n" in done.stdout
    assert f"1. emulator: no emulator answers at http://127.0.0.1:{port}: Connection refused\n" in done.stdout
    assert f"{BASE_URL}: not set in this shell: the SDKs send to the real API\n" in done.stdout


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("https://api.oursprivacy.com/api/v1", "this is the real API"),
        ("https://127.0.0.1:4010/api/v1", "the emulator speaks HTTP, not HTTPS"),
        ("127.0.0.1:4010/api/v1", "not a base URL"),
        ("'http://127.0.0.1:4010/api/v1'", "not a base URL"),
        ("http://127.0.0.1:4010/v1", "not a base URL"),
        ("http://[/api/v1", "not a base URL"),
        ("http://127.0.0.1:1/api/v1", "no emulator answers at http://127.0.0.1:1"),
    ],
)
def test_a_base_url_that_leads_elsewhere_is_told_with_the_right_one(
    at: dict[str, str], account: Account, value: str, told: str
) -> None:
    account.track(userId="u")
    environment = {**at, BASE_URL: value}
    assert told in problems(environment)[BASE_URL]
    assert f"   - export {BASE_URL}={account.url}/api/v1\n" in result(environment, "doctor").stdout


def test_what_arrived_in_another_account_is_told(environment: dict[str, str]) -> None:
    with serving() as server:
        server.default.track(userId="u")
        at = {**environment, "OURS_EMULATOR_URL": server.url, BASE_URL: f"{server.url}/accounts/shop/api/v1"}
        assert problems(at)["arrived"].endswith("/accounts/shop; there are other accounts: default")


def test_where_nothing_arrived_it_says_what_to_check(environment: dict[str, str]) -> None:
    with serving() as server:
        done = result({**environment, "OURS_EMULATOR_URL": server.url, BASE_URL: f"{server.url}/api/v1"}, "doctor")
    assert done.code == 1
    assert f"1. arrived: nothing yet at {server.url}\n" in done.stdout
    assert "   - watch `ours-emulator tail` while the app sends\n" in done.stdout


def test_a_proxy_that_is_asked_for_the_emulator_is_told(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u")
    environment = {**at, BASE_URL: account.url, "http_proxy": "http://127.0.0.1:1"}
    assert problems(environment) == {"http_proxy": "http://127.0.0.1:1 is asked for 127.0.0.1 too"}
    assert problems({**environment, "NO_PROXY": "127.0.0.1"}) == {}

"""`ours-emulator doctor`: it says why nothing arrives."""

import json
import socket
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from comparing import answering, saying
from ours_emulator.locator import announce
from serving import Account, serving
from test_commands import at, environment, result

__all__ = ["at", "environment"]  # fixtures
BASE_URL = "OURS_PRIVACY_BASE_URL"
URL = "OURS_EMULATOR_URL"


def problems(environment: dict[str, str], *words: str) -> dict[str, str]:
    """Return what the doctor finds wrong: the text by its subject."""
    done = result(environment, "doctor", "--json", *words)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = {finding["subject"]: finding["text"] for finding in found if finding["advice"]}
    assert (done.code, done.stderr) == (1 if wrong else 0, "")
    return wrong


@contextmanager
def announced(environment: dict[str, str], *urls: str) -> Generator[None]:
    """Let the doctor find emulators at *urls*."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", environment["XDG_RUNTIME_DIR"])
        files = [file for url in urls for file in announce(url)]
    yield
    for file in files:
        file.withdraw()


def test_what_arrived_is_well_if_nothing_was_refused(account: Account, at: dict[str, str]) -> None:
    account.track(event="Paid", userId="u")
    done = result({**at, BASE_URL: f"{account.url}/api/v1"}, "doctor")
    assert done.code == 0
    assert f"{account.url}/api/v1: an emulator answers there\n" in done.stdout
    assert f"1 request at {account.url} with 1 event: 1 accepted\n" in done.stdout
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
    assert f"   - export {BASE_URL}=http://127.0.0.1:{port}/api/v1\n" in done.stdout


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("https://api.oursprivacy.com/api/v1", "this is the real API"),
        ("https://127.0.0.1:1/api/v1", "the emulator speaks HTTP, not HTTPS"),
        ("127.0.0.1:1/api/v1", "not a base URL"),
        ("'http://127.0.0.1:1/api/v1'", "not a base URL"),
        ("http://127.0.0.1:1/v1", "not a base URL"),
        ("file:///api/v1", "not a base URL"),
        ("http://127.0.0.1:1/api/v1 ", "'http://127.0.0.1:1/api/v1 ': not a base URL"),
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
        at = {**environment, URL: server.url, BASE_URL: f"{server.url}/accounts/shop/api/v1"}
        assert problems(at)["arrived"].endswith("/accounts/shop; there are other accounts: default")


def test_where_nothing_arrived_it_says_what_to_check(environment: dict[str, str]) -> None:
    with serving() as server:
        done = result({**environment, URL: server.url, BASE_URL: f"{server.url}/api/v1"}, "doctor")
    assert done.code == 1
    assert f"1. arrived: nothing yet at {server.url}\n" in done.stdout
    assert "   - watch `ours-emulator tail` while the app sends\n" in done.stdout


def test_a_proxy_that_is_asked_for_the_emulator_is_told(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u")
    environment = {**at, BASE_URL: account.url, "http_proxy": "http://127.0.0.1:1"}
    assert problems(environment) == {"http_proxy": "http://127.0.0.1:1 is asked for 127.0.0.1 too"}
    assert problems({**environment, "NO_PROXY": "127.0.0.1"}) == {}


@pytest.mark.parametrize(
    "written", ["https://{}/api/v1", "http://{}/api/v1/track", "{}/api/v1", "http://{}/api/v1 ", "'http://{}/api/v1'"]
)
def test_of_several_emulators_the_one_is_suggested_that_the_base_url_was_meant_for(
    environment: dict[str, str], written: str
) -> None:
    with serving() as other, serving() as server:
        other.default.track()
        server.default.track(userId="u")
        at = {**environment, URL: other.url, BASE_URL: written.format(server.url.partition("//")[2])}
        done = result(at, "doctor")
    assert f"   - export {BASE_URL}={server.url}/api/v1\n" in done.stdout
    assert f"arrived                1 request at {server.url} with 1 event: 1 accepted\n" in done.stdout
    assert "latest:" not in done.stdout


def test_refusals_are_no_problem_of_this_shell_if_several_emulators_run(environment: dict[str, str]) -> None:
    with serving() as one, serving() as other:
        one.default.track()
        with announced(environment, one.url, other.url):
            assert problems(environment).keys() == {BASE_URL}
            shown = result(environment, "doctor").stdout
    assert all(f"   - export {BASE_URL}={server.url}/api/v1\n" in shown for server in (one, other))


@pytest.mark.parametrize("looked_at", ["/accounts/zz", "/accounts/zz/", "/accounts/default"])
def test_tests_that_look_into_another_account_are_a_problem(environment: dict[str, str], looked_at: str) -> None:
    with serving() as server:
        shop = f"{server.url}/accounts/shop"
        server.http.post(f"{shop}/track", json={"token": "t", "event": "Paid", "userId": "u"})
        at = {**environment, BASE_URL: f"{shop}/api/v1", URL: server.url + looked_at}
        (subject,) = problems(at)
        assert subject == URL
        assert f"   - export {URL}={shop}\n" in result(at, "doctor").stdout
        for same in (server.url, shop, shop.replace("127.0.0.1", "localhost")):
            assert problems({**at, URL: same}) == {}


def test_the_account_default_is_the_one_without_a_name(environment: dict[str, str]) -> None:
    with serving() as server:
        server.default.track(userId="u")
        at = {**environment, BASE_URL: f"{server.url}/api/v1", URL: f"{server.url}/accounts/default"}
        assert problems(at) == {}


def test_of_an_account_that_is_named_only_this_one_is_shown(environment: dict[str, str]) -> None:
    with serving() as server:
        server.default.track(userId="u")
        at = {**environment, URL: f"{server.url}/accounts/zz"}
        assert problems(at)["arrived"] == f"nothing at {server.url}/accounts/zz; there are other accounts: default"


def test_a_base_url_without_its_path_is_remarked_on_but_no_problem(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u")
    done = result({**at, BASE_URL: account.url}, "doctor")
    remark = (
        "an emulator answers there, also without /api/v1 at the end (rule root-path), but in production that may fail"
    )
    assert f"{account.url}: {remark}\n" in done.stdout
    assert done.code == 0


def test_another_server_is_named_in_one_line(environment: dict[str, str]) -> None:
    page = b"HTTP/1.1 404 Not Found\r\n\r\n<!DOCTYPE HTML>\n<html>\n</html>\n"
    with answering(saying(page)) as url:
        done = result({**environment, URL: url, BASE_URL: f"{url}/api/v1"}, "doctor")
    assert done.code == 1
    assert f"something else answers at {url} (404), not an emulator\n" in done.stdout
    assert "<" not in done.stdout


def test_a_refused_token_is_answered_with_those_that_are_accepted(environment: dict[str, str]) -> None:
    with serving(tokens="live_secret_1,live_secret_2") as server:
        server.default.track(userId="u", token="wrong")
        shown = result({**environment, URL: server.url, BASE_URL: f"{server.url}/api/v1"}, "doctor").stdout
    assert shown.endswith("\n   - send one of the tokens that the account default accepts: …et_1, …et_2\n")


def test_a_variable_of_another_name_that_has_the_address_is_named(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u")
    environment = {**at, "OURS_BASE_URL": f"{account.url}/api/v1", "OURS_EMULATOR_CLIENT_URL": account.url}
    assert problems(environment)[BASE_URL].endswith(
        "; OURS_BASE_URL has the emulator's address, but the SDKs do not read it"
    )
    assert f"   - export {BASE_URL}={account.url}/api/v1\n" in result(environment, "doctor").stdout

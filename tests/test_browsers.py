"""What pages on another origin can send, in a real browser; and what the log says of what never came."""

import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from documents import DOCUMENTS
from ours_emulator.http.log import RequestLog
from serving import Server, serving
from waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.rule("cors")
BODY = "{token: 't', event: EVENT, userId: 'u'}"


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>app</title>")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def app() -> Generator[str]:
    """Serve a page on an origin of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def page() -> Generator["Page"]:
    """A page of another origin in a real browser."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    with app() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(url)
        yield opened
        browser.close()


class Log:
    """The lines of the log that say what was refused."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._added = threading.Event()

    def refusal(self, status: int, method: str, path: str, rule: str, message: str) -> None:
        self.lines.append(f"{status} {method} {path} {rule} {message}")
        self._added.set()

    def next(self) -> str:
        assert self._added.wait(PATIENCE)
        return self.lines[-1]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The log of the emulators of this test."""
    lines = Log()
    monkeypatch.setattr(RequestLog, "refusal", lines_of(lines))
    return lines


def lines_of(log: Log) -> Callable[[RequestLog, int, str, str, str, str], None]:
    def refusal(_: RequestLog, status: int, method: str, path: str, rule: str, message: str) -> None:
        log.refusal(status, method, path, rule, message)

    return refusal


def send(page: "Page", server: Server, event: str, script: str) -> str:
    """Run *script*, which sends the event to URL, on the page; return what came of it."""
    script = script.replace("BODY", f"JSON.stringify({BODY})").replace("EVENT", f"'{event}'")
    result: str = page.evaluate(script.replace("URL_", f"'{server.url}/api/v1/track'"))
    return result


def outcomes(server: Server, event: str | None = None) -> list[str]:
    return [one["outcome"] for one in server.default.events(outcome="any") if event in (None, one["event"])]


JSON = "headers: {'Content-Type': 'application/json'}"


def test_fetch_of_json_arrives_and_its_answer_can_be_read(page: "Page", server: Server) -> None:
    script = f"fetch(URL_, {{method: 'POST', body: BODY, {JSON}}}).then(a => a.text())"
    assert send(page, server, "fetched", script) == '{"success":true}'
    assert outcomes(server, "fetched") == ["accepted"]


def test_fetch_with_keepalive_outlives_its_page(page: "Page", server: Server) -> None:
    script = f"void fetch(URL_, {{method: 'POST', keepalive: true, body: BODY, {JSON}}}); 'sent'"
    assert send(page, server, "leaving", script) == "sent"
    page.reload()
    assert server.default.post("/debug/wait", {"match": {"event": "leaving"}}).status_code == 200


def test_the_example_of_the_docs_arrives(page: "Page", server: Server) -> None:
    document = next(one for one in DOCUMENTS if one.name == "docs/browsers.md")
    (example,) = document.of("js")
    page.evaluate(f"() => {{ {example.text.replace('http://127.0.0.1:4010', server.url)} }}")
    assert server.default.post("/debug/wait", {"match": {"event": "Left"}}).status_code == 200


def test_fetch_with_credentials_is_stopped_by_the_browser_and_the_log_says_why(page: "Page", log: Log) -> None:
    with serving() as server:
        options = f"{{method: 'POST', credentials: 'include', body: BODY, {JSON}}}"
        script = f"fetch(URL_, {options}).then(a => a.text(), e => e.name)"
        assert send(page, server, "credentialed", script) == "TypeError"
        assert outcomes(server) == []
        assert "probably because the page asked for credentials" in log.next()


def test_a_beacon_of_text_arrives_and_is_refused_for_its_content_type(page: "Page") -> None:
    with serving() as server:
        assert send(page, server, "text", "String(navigator.sendBeacon(URL_, BODY))") == "true"
        answer = server.default.post("/debug/wait", {"match": {"reason.rule": "content-type"}, "outcome": "rejected"})
        assert answer.status_code == 200


def test_a_beacon_of_json_never_arrives_and_the_log_says_why(page: "Page", log: Log) -> None:
    script = "String(navigator.sendBeacon(URL_, new Blob([BODY], {type: 'application/json'})))"
    with serving() as server:
        assert send(page, server, "blob", script) == "true"
        line = log.next()
        assert outcomes(server) == []
    assert line.startswith("204 OPTIONS /api/v1/track cors no request from http://localhost:")
    assert "keepalive: true instead of sendBeacon" in line


def test_a_method_that_the_preflight_does_not_allow_is_logged(page: "Page", log: Log) -> None:
    with serving() as server:
        script = f"fetch(URL_, {{method: 'PUT', body: BODY, {JSON}}}).then(a => a.text(), e => e.name)"
        assert send(page, server, "put", script) == "TypeError"
        assert "browsers will not send PUT from http://localhost:" in log.next()


def test_a_preflight_that_its_request_follows_is_not_logged(log: Log) -> None:
    with serving() as server:
        for origin in ("http://a.example", "http://b.example"):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            assert server.http.options(f"{server.url}/track", headers=headers).status_code == 204
        server.default.post("/track", {"token": "t", "event": "E", "userId": "u"}, {"Origin": "http://a.example"})
        assert "http://b.example" in log.next()
        assert not any("http://a.example" in line for line in log.lines)

"""The page at /: how its files are served. What it shows is tested in tests/browser."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ours_emulator.inspector
from looping import case
from ours_emulator.app import create_app
from ours_emulator.inspector import ASSETS
from ours_emulator.settings import load
from serving import Server, mounted, serving

FOLDER = Path(ours_emulator.inspector.__file__).parent
HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HERE = "127.0.0.1:4010"


MODULES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js"))


def test_a_browser_gets_the_page_and_every_other_client_the_index(server: Server) -> None:
    for path in ("/", "/accounts/shop/"):
        for accept, expected in (
            (HTML["accept"], "text/html; charset=utf-8"),
            ("TEXT/HTML", "text/html; charset=utf-8"),
            ("*/*", "application/json"),
            ("application/json", "application/json"),
            ("text/htmlx", "application/json"),
            ("", "application/json"),
            ("text/html;q=0", "application/json"),
            ("text/html;q=0.0, */*", "application/json"),
            ("application/json, text/html", "application/json"),
            ("text/html, application/json", "text/html; charset=utf-8"),
            ("text/html;q=0.5, application/json", "application/json"),
            ("application/json;q=0.5, text/html;level=1; Q=0.6", "text/html; charset=utf-8"),
            ("application/json;q=0, text/html;q=0.001", "text/html; charset=utf-8"),
            ("text/html;q=1.000;ext=1", "text/html; charset=utf-8"),
        ):
            with case(path, accept):
                answer = server.http.get(server.url + path, headers={"accept": accept})
                assert (answer.status_code, answer.headers["content-type"]) == (200, expected)
                assert answer.headers["vary"] == "Accept"
    assert server.http.get(server.url, headers={"accept": "application/json"}).json()["name"] == "ours-emulator"


def test_every_file_of_the_page_is_served_under_the_same_policy(server: Server) -> None:
    paths = ["/", "/accounts/shop/", *(f"/accounts/shop/inspector/{name}" for name in ASSETS)]
    for path in paths:
        with case(path):
            answer = server.http.get(server.url + path, headers=HTML)
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-cache"
            head = server.http.head(server.url + path, headers=HTML)
            assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])


def test_a_file_that_the_browser_has_is_not_sent_again(server: Server) -> None:
    for path in ("/", "/inspector/page.js", "/docs/init.js"):
        etag = server.http.get(server.url + path, headers=HTML).headers["etag"]
        again = server.http.get(server.url + path, headers={**HTML, "if-none-match": etag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        other = server.http.get(server.url + path, headers={**HTML, "if-none-match": '"other"'})
        assert other.status_code == 200


def test_the_page_and_its_scripts_name_no_other_origin_and_no_absolute_path() -> None:
    page = (FOLDER / "index.html").read_text()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(address.startswith("inspector/") for address in loaded)
    assert re.findall(r"<script[^>]*>[^<]", page) == []
    for name in MODULES:
        if not name.startswith("vendor/"):
            with case(name):
                imported = re.findall(r'^import [^"]*"([^"\n]+)"', (FOLDER / name).read_text(), re.MULTILINE)
                assert all(address.startswith("./") for address in imported)


def test_no_space_of_the_page_is_lost_at_the_end_of_a_line() -> None:
    # In a template htm removes every space with a line break in it: `request` and `${id}` on two lines are "request7".
    inline = r"\$\{|<(?:\$\{Link\}|(?:a|b|code|i|small|span|time)\b)"
    for name in MODULES:
        if not name.startswith("vendor/"):
            lost = re.findall(rf"^.*[\w·.,:;!?]\n *(?:{inline}).*$", (FOLDER / name).read_text("utf-8"), re.MULTILINE)
            assert lost == [], name


def test_only_the_pages_own_files_are_served(server: Server) -> None:
    for path in ("", "index.html", "__init__.py", "main.js", "vendor/LICENSES.txt", "..%2Fapp.py", "a/b"):
        with case(path):
            assert server.http.get(f"{server.url}/inspector/{path}").status_code == 404
    answer = server.http.post(f"{server.url}/inspector/page.js", json={})
    assert (answer.status_code, answer.json().keys()) == (405, {"error"})
    assert server.http.post(server.url, json={}).status_code == 405


def test_the_page_is_small_enough_to_load_at_once(server: Server) -> None:
    paths = ["/", *(f"/inspector/{name}" for name in ASSETS)]
    sizes = {path: len(server.http.get(server.url + path, headers=HTML).content) for path in paths}
    assert min(sizes.values()) > 0
    assert sum(sizes.values()) <= 150 * 1024


@pytest.mark.rule("accounts")
def test_the_name_of_an_account_leads_a_browser_to_its_page(server: Server) -> None:
    answer = server.http.get(f"{server.url}/accounts/shop?event=17&name=%2F", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (307, "shop/?event=17&name=%2F")
    assert answer.next_request is not None
    assert str(answer.next_request.url) == f"{server.url}/accounts/shop/?event=17&name=%2F"
    assert server.http.head(f"{server.url}/accounts/shop", headers=HTML).status_code == 307


@pytest.mark.rule("accounts", "methods")
def test_other_clients_are_refused_at_the_name_of_an_account_as_before(server: Server) -> None:
    refusals = [
        server.http.get(f"{server.url}/accounts/shop"),
        server.http.post(f"{server.url}/accounts/shop", json={}, headers=HTML),
        server.http.get(f"{server.url}/accounts/sh%20op", headers=HTML),
        server.http.get(f"{server.url}/accounts/", headers=HTML),
        server.http.get(f"{server.url}/nothing", headers=HTML),
    ]
    assert [(answer.status_code, answer.json()) for answer in refusals] == [(404, {"success": False})] * len(refusals)


@pytest.mark.rule("host", "origin")
def test_the_page_is_guarded_as_the_debug_api_is(server: Server) -> None:
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    for path in ("/", "/accounts/a/", "/inspector/page.js", "/accounts/a/inspector/page.js"):
        for headers in (
            {"host": "evil.example"},
            {"host": HERE, "origin": "http://evil.example"},
            {"host": HERE, **framed},
        ):
            with case(path, headers):
                answer = server.http.get(server.url + path, headers={**HTML, **headers})
                assert (answer.status_code, answer.json().keys()) == (403, {"error"})


@pytest.mark.rule("admin-token")
def test_the_page_needs_no_token_but_what_it_shows_does() -> None:
    with serving(admin_token="secret") as locked:
        for path in ("/", "/accounts/a/", "/inspector/page.js"):
            assert locked.http.get(locked.url + path, headers=HTML).status_code == 200
        assert locked.http.get(f"{locked.url}/inspector%2F..%2Fdebug/events").status_code in (401, 404)
        assert locked.http.get(f"{locked.url}/debug/summary").status_code == 401


def test_looking_at_the_page_is_not_journaled() -> None:
    with serving() as server:
        for path in ("/", "/accounts/a", "/accounts/a/", "/inspector/page.js", "/inspector/nothing"):
            server.http.get(server.url + path, headers=HTML)
        assert server.default.debug("summary")["requests"] == 0


def test_the_page_is_served_below_the_prefix_of_a_mounted_app() -> None:
    with TestClient(mounted(create_app(load({"log_format": "none"}))), base_url=f"http://{HERE}", headers=HTML) as http:
        for path in ("/ours/", "/ours/accounts/shop/", "/ours/inspector/page.js", "/ours/accounts/shop"):
            with case(path):
                answer = http.get(path)
                assert answer.status_code == 200
                assert answer.headers["content-security-policy"] == POLICY

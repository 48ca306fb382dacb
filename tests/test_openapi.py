"""The document of everything that is served, and the page that shows it."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import JsonValue

from looping import case
from ours_emulator.app import create_app
from ours_emulator.http.routes import CLIENT_PATHS, INGEST_PATHS, Route, find_route
from ours_emulator.settings import load
from serving import Server, serving

VENDOR: dict[str, Any] = json.loads((Path(__file__).parent.parent / "openapi.json").read_bytes())
KEY = {"authorization": "Bearer pk_key"}
HERE = "127.0.0.1:4010"


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    """The document as it is served."""
    answer: dict[str, Any] = server.http.get(server.url + "/openapi.json").json()
    return answer


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every path, method and operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def body_schema(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    schema: dict[str, Any] = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def nodes(value: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from nodes(each)


# Routes


@pytest.mark.rule("accounts", "methods", "client-paths")
def test_every_path_has_one_route() -> None:
    routes = [
        ("/track", None, "/track", "ingest", "track"),
        ("/api/v1/batch/", None, "/api/v1/batch/", "ingest", "batch"),
        ("/accounts/a/identify", "a", "/identify", "ingest", "identify"),
        ("/accounts/a%/track", None, "/accounts/a%/track", "ingest", "unknown"),
        ("/accounts/a", None, "/accounts/a", "ingest", "unknown"),
        ("/accounts/a/", "a", "/", "debug", ""),
        ("/accounts/a/accounts/b/track", "a", "/accounts/b/track", "ingest", "unknown"),
        ("/openapi", None, "/openapi", "ingest", "openapi"),
        ("/openapi.json", None, "/openapi.json", "docs", ""),
        ("/openapi.json/", None, "/openapi.json/", "ingest", "unknown"),
        ("/api/v1/openapi.json", None, "/api/v1/openapi.json", "ingest", "unknown"),
        ("/docs", None, "/docs", "docs", ""),
        ("/docs/init.js", None, "/docs/init.js", "docs", ""),
        ("/documents", None, "/documents", "ingest", "unknown"),
        ("/debug", None, "/debug", "debug", ""),
        ("/debug/", None, "/debug/", "debug", ""),
        ("/debugger", None, "/debugger", "ingest", "unknown"),
        ("/devices", None, "/devices", "client", "client/devices"),
        ("/alias", None, "/alias", "ingest", "unknown"),
        ("/api/client", None, "/api/client", "client", "client/unknown"),
        ("/api/client/track", None, "/api/client/track", "client", "client/unknown"),
        ("/api/clients", None, "/api/clients", "ingest", "unknown"),
        ("*", None, "*", "ingest", "unknown"),
        ("", None, "", "ingest", "unknown"),
        ("//debug", None, "//debug", "ingest", "unknown"),
    ]
    for called, *expected in routes:
        with case(called):
            assert find_route(called) == (called, *expected)
    assert Route._fields == ("called", "account", "path", "owner", "endpoint")


# The document


def as_in_3_0(node: JsonValue) -> JsonValue:
    """Write a part of a document as OpenAPI 3.0 does."""
    if isinstance(node, list):
        return [as_in_3_0(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: as_in_3_0(value) for key, value in node.items()}
    types = inner.get("type")
    return {**inner, "type": types[0], "nullable": True} if isinstance(types, list) else inner


def test_the_apps_document_is_the_one_that_is_served(document: dict[str, Any]) -> None:
    app = create_app(load({"log_format": "none"}))
    assert json.loads(json.dumps(app.openapi())) == document
    assert json.loads(json.dumps(app.openapi())) == document


def test_the_document_is_valid_and_has_everything_that_is_served(server: Server, document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    debug = server.http.get(server.url + "/debug/openapi.json").json()
    assert document["paths"].keys() == {*INGEST_PATHS, *CLIENT_PATHS, *debug["paths"]}
    assert {tag["name"] for tag in document["tags"]} == {"Ingest API", "Client API", "Debug API"}
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations(document):
        with case(path, method):
            assert operation["summary"]
            assert operation["responses"]
            assert len(operation["tags"]) == 1
    for node in nodes(document):
        reference = node.get("$ref")
        if isinstance(reference, str):
            kind, name = reference.removeprefix("#/components/").split("/")
            assert name in document["components"][kind]


def test_no_address_of_the_vendor_is_called(document: dict[str, Any]) -> None:
    assert [server["url"] for server in document["servers"]] == ["/", "/accounts/{account}"]
    assert not any("servers" in operation for _, _, operation in operations(document))


@pytest.mark.rule("openapi")
def test_the_ingest_api_is_the_vendors_in_the_words_of_openapi_3_1(server: Server) -> None:
    document = server.http.get(server.url + "/openapi.json").json()
    for path, name in INGEST_PATHS.items():
        if name != "openapi":
            with case(path):
                vendors = VENDOR["paths"][f"/{name}"]["post"]
                ours = document["paths"][path]["post"]
                del ours["requestBody"]["content"]["application/json"]["example"]
                assert as_in_3_0(ours["requestBody"]) == vendors["requestBody"]
                assert as_in_3_0(ours["responses"]) == vendors["responses"]
                assert ours["description"] == vendors["description"]
    assert not [node for node in nodes(document) if isinstance(node.get("nullable"), bool)]
    served = server.http.get(server.url + "/openapi").json()
    assert served == VENDOR


def test_every_example_of_the_emulated_apis_is_accepted(document: dict[str, Any]) -> None:
    with serving() as server:
        for path in (*INGEST_PATHS, *CLIENT_PATHS):
            with case(path):
                post = document["paths"][path].get("post")
                if post is not None:
                    content = post["requestBody"]["content"]["application/json"]
                    jsonschema_rs.validate(content["schema"], content["example"])
                    answer = server.account().post(path, content["example"], KEY)
                    assert answer.status_code in (200, 204)
                    assert str(answer.status_code) in post["responses"]


def test_every_example_of_a_body_of_the_debug_api_fits_its_schema(document: dict[str, Any]) -> None:
    bodies = [
        operation["requestBody"]["content"] for _, _, operation in operations(document) if "requestBody" in operation
    ]
    names = {content["application/json"]["schema"].get("$ref") for content in bodies if "application/json" in content}
    examples = 0
    for name in names - {None}:
        schema = document["components"]["schemas"][name.rpartition("/")[2]]
        for example in schema.get("examples", ()):
            with case(f"{name}: {example}"):
                jsonschema_rs.validate({**schema, "components": document["components"]}, example)
            examples += 1
    assert examples > 15


CLIENT_BODIES: dict[str, list[Any]] = {
    "alias": [
        {"anonymous_id": "a", "external_id": "e"},
        {"anonymous_id": "a"},
        {"anonymous_id": None, "external_id": "e"},
        {"anonymous_id": "a", "external_id": 5},
        [],
    ],
    "identify": [
        {"external_id": "e"},
        {"anonymous_id": "a", "email": None, "data": {"a": 1}},
        {"email": "a@b.example"},
        {"external_id": "e", "plan": "pro"},
        {"external_id": "e", "data": []},
    ],
    "devices": [
        {"anonymous_id": "a", "device_id": "d", "os": "o", "model": "m", "app_build": "1", "app_version": "1"},
        {"anonymous_id": "a", "device_id": "d", "os": "o", "model": "m", "app_build": "1"},
        {"device_id": "d", "os": "o", "model": "m", "app_build": "1", "app_version": "1"},
        {"anonymous_id": "a", "device_id": 1, "os": "o", "model": "m", "app_build": "1", "app_version": "1"},
    ],
    "events": [
        [{"anonymous_id": "a"}],
        [{"anonymous_id": "a", "name": "E", "data": None, "user": {"email": "a@b.example"}}],
        [],
        {},
        [{"name": "E"}],
        [{"anonymous_id": "a", "name": None}],
        [{"anonymous_id": "a", "user": {"email": 5}}],
        [5],
    ],
}


@pytest.mark.rule("client-validation")
def test_the_schemas_of_the_client_api_are_what_it_checks(server: Server, document: dict[str, Any]) -> None:
    for path, endpoint in CLIENT_PATHS.items():
        schema = body_schema(document, path)
        for body in CLIENT_BODIES[endpoint.removeprefix("client/")]:
            with case(path, body):
                status = server.account().post(path, json.dumps(body).encode(), KEY).status_code
                assert status == (204 if jsonschema_rs.is_valid(schema, body) else 422)


@pytest.mark.rule("accounts")
def test_an_accounts_document_is_about_that_account(server: Server, document: dict[str, Any]) -> None:
    of_account = server.http.get(server.url + "/accounts/shop/openapi.json").json()
    assert of_account.pop("servers") == [{"url": "/accounts/shop"}]
    assert of_account == {key: value for key, value in document.items() if key != "servers"}


@pytest.mark.rule("admin-token")
def test_the_document_says_where_the_admin_token_belongs(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        with case(path):
            expected: list[dict[str, list[str]]] = (
                [{}, {"adminToken": []}] if path.startswith(("/debug", "/metrics")) else []
            )
            if path in CLIENT_PATHS:
                expected = [{"clientKey": []}]
            assert operation["security"] == ([] if path == "/debug/health" else expected)
    with serving(admin_token="secret") as locked:
        assert locked.http.get(locked.url + "/openapi.json").status_code == 200
        assert locked.http.get(locked.url + "/docs").status_code == 200
        assert locked.http.get(locked.url + "/debug/openapi.json").status_code == 401


# The page


def test_the_page_loads_only_what_the_package_has(server: Server) -> None:
    page = server.http.get(server.url + "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded == ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/init.js"]
    assert re.findall(r"<script[^>]*>[^<]", page.text) == []
    kinds = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
    for base in ("", "/accounts/shop"):
        for path in loaded:
            answer = server.http.get(f"{server.url}{base}/{path}")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == kinds[Path(path).suffix]
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_pages_policy_allows_no_other_origin_and_nothing_inline(server: Server) -> None:
    policy = server.http.get(server.url + "/docs").headers["content-security-policy"]
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives.pop("img-src") == "'self' data:"
    for name in ("script-src", "style-src", "connect-src"):
        assert directives.pop(name) == "'self'"
    assert directives == dict.fromkeys(("default-src", "base-uri", "frame-ancestors", "form-action"), "'none'")


def test_only_the_pages_own_files_are_served(server: Server) -> None:
    for path in ("/docs/README.md", "/docs/LICENSE", "/docs/..%2Fapp.py", "/docs/../app.py", "/docs/a/b"):
        assert server.http.get(server.url + path).status_code == 404
    assert server.http.head(server.url + "/docs").status_code == 200
    assert server.http.head(server.url + "/docs/init.js").content == b""
    assert server.http.get(server.url + "/docs/", follow_redirects=True).status_code == 200
    answer = server.http.post(server.url + "/docs", json={})
    assert (answer.status_code, answer.json().keys()) == (405, {"error"})


@pytest.mark.rule("host", "origin")
def test_the_page_and_its_files_are_guarded_as_the_debug_api_is(server: Server) -> None:
    for path in ("/docs", "/docs/init.js", "/openapi.json", "/accounts/a/docs"):
        for headers in ({"host": "evil.example"}, {"host": HERE, "origin": "http://evil.example"}):
            answer = server.http.get(server.url + path, headers=headers)
            assert (answer.status_code, answer.json().keys()) == (403, {"error"})
        assert server.http.get(server.url + path, headers={"host": HERE, "origin": f"http://{HERE}"}).status_code == 200


def test_looking_at_the_page_is_not_journaled() -> None:
    with serving() as server:
        for path in ("/docs", "/openapi.json", "/docs/nothing"):
            server.http.get(server.url + path)
        assert server.default.debug("summary")["requests"] == 0


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium here")
def test_in_a_browser_an_endpoint_of_each_api_can_be_tried_out(server: Server) -> None:
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    elsewhere: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: elsewhere.append(request.url))
        page.goto(f"{server.account().url}/docs")
        for tag, path in (
            ("Ingest API", "/api/v1/track"),
            ("Client API", "/api/client/identify"),
            ("Debug API", "/debug/visitors"),
        ):
            page.locator(".opblock-tag", has_text=tag).click()
            operation = page.locator(".opblock").filter(has=page.get_by_text(path, exact=True)).first
            operation.locator(".opblock-summary-control").click()
            operation.get_by_role("button", name="Try it out").click()
            operation.get_by_role("button", name="Execute").click()
            code = operation.locator(".live-responses-table tbody .response-col_status").first
            assert code.inner_text().split()[0] == ("401" if tag == "Client API" else "200")
        browser.close()
    # The Client API was called without its key: a browser notes every refusal.
    assert [text for text in complaints if "401" not in text] == []
    assert [url for url in elsewhere if not url.startswith((server.url, "data:"))] == []

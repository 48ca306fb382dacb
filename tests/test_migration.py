"""Database files that earlier programs left: opened, they hold what they held, and what comes later goes by it."""

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from data.debug_answers import NOW, answer, differences
from recordings.exchange import Exchange, exchange
from recordings.record import difference
from serving import Server, serving

DATA = Path(__file__).with_name("data")
STORES = sorted(it.name.removesuffix(".db.gz") for it in DATA.glob("*.db.gz"))
EACH_STORE = pytest.mark.parametrize("store", STORES)
MOST_SHOWN = 20


def unpacked(store: str, directory: Path) -> tuple[Path, dict[str, Any]]:
    """Return a copy of the database file, and what the program that left it said of it."""
    database = directory / "store.db"
    database.write_bytes(gzip.decompress((DATA / f"{store}.db.gz").read_bytes()))
    said: dict[str, Any] = json.loads(gzip.decompress((DATA / f"{store}.json.gz").read_bytes()))
    return database, said


def changed(server: Server, answers: dict[str, Any]) -> list[str]:
    """Return where the debug API of *server* does not say what it said before."""
    found: list[str] = []
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as http:
        for path, then in answers.items():
            try:
                found += [f"{path}: {place}" for place in differences(then, answer(http, path))]
            except (AssertionError, httpx.HTTPError) as error:
                found.append(f"{path}: {error}")
    return found


def fail_over(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join([f"{len(found)} places differ:", *found[:MOST_SHOWN]]), pytrace=False)


def test_there_is_a_file_of_version_2() -> None:
    assert "store-v2" in STORES


@EACH_STORE
def test_everything_is_there_that_was_there(store: str, tmp_path: Path) -> None:
    database, said = unpacked(store, tmp_path)
    assert len(said["answers"]) > 100
    for _ in ("opened for the first time", "and once more"):
        with serving(database=str(database), now=NOW) as server:
            fail_over(changed(server, said["answers"]))


@EACH_STORE
def test_what_comes_later_goes_by_what_was_there(store: str, tmp_path: Path) -> None:
    database, said = unpacked(store, tmp_path)
    found: list[str] = []
    with serving(database=str(database), now=NOW) as server:
        url = urlsplit(server.url)
        assert url.hostname is not None
        assert url.port is not None
        for recorded in map(Exchange.read, said["exchanges"]):
            now = Exchange(recorded.name, recorded.request, exchange((url.hostname, url.port), recorded.request))
            if now != recorded:
                found += difference(recorded.name, recorded, now)
        fail_over(found + changed(server, said["answers_after"]))


def test_what_a_file_of_version_2_never_recorded_is_unknown(tmp_path: Path) -> None:
    database, _ = unpacked("store-v2", tmp_path)
    with serving(database=str(database), now=NOW) as server:
        events = server.default.events(outcome="accepted", limit=1000)
        versions = [
            server.default.debug(f"events/{event['id']}/visitor") for event in events if event["visitor_properties"]
        ]
        older = [version for version in versions if version["unknown"]]
        assert older
        assert len(older) < len(versions)
        for version in older:
            assert version["unknown"] == ["data", "devices", "identifiers.anonymous_id"]
            assert (version["data"], version["devices"]) == (None, None)
            assert version["identifiers"]["anonymous_id"] is None

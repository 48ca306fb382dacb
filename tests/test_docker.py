"""The container: what its files promise, as far as that can be seen without a container."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from databases import PostgresqlServer, free_port
from ours_emulator.settings import ENV_PREFIX, Settings
from serving import serving
from test_cli import COMMAND, environment
from test_cli import serving as process
from waiting import until

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((ROOT / "docker" / name).read_text("utf-8"))["services"]
    for name in ("compose.yaml", "compose.postgres.yaml")
}
PROXY = (ROOT / "docker" / "haproxy.cfg").read_text("utf-8")
HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
SETTINGS = {ENV_PREFIX + name.upper() for name in Settings.model_fields}

each_compose = pytest.mark.parametrize("services", COMPOSE.values(), ids=COMPOSE)


def healthcheck(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in environment(tmp_path).items() if not name.lower().endswith("_proxy")}
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(
        [*COMMAND, "healthcheck"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**clean, **proxy, **variables},
        check=False,
    )


# The health check


def test_the_health_check_finds_another_port(tmp_path: Path) -> None:
    with process(tmp_path, "--host", "0.0.0.0", "--admin-token", "secret", "--tokens", "t") as running:
        done = healthcheck(tmp_path, OURS_EMULATOR_HOST="0.0.0.0")
        assert (done.returncode, done.stderr) == (0, "")
        running.process.kill()
        running.process.wait()
        done = healthcheck(tmp_path, OURS_EMULATOR_HOST="0.0.0.0", OURS_EMULATOR_PORT=running.url.rpartition(":")[2])
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_the_health_check_asks_where_it_is_told_to(tmp_path: Path) -> None:
    with serving() as server:
        for variables in (
            {"OURS_EMULATOR_URL": server.url},
            {"OURS_EMULATOR_URL": f"{server.url}/accounts/a/"},
            {"OURS_EMULATOR_PORT": server.url.rpartition(":")[2]},
        ):
            assert healthcheck(tmp_path, **variables).returncode == 0, variables


def test_an_emulator_whose_database_is_gone_is_not_well(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with serving(database=database) as server:
        database.unlink()
        done = healthcheck(tmp_path, OURS_EMULATOR_URL=server.url)
        assert done.returncode == 1
        assert "is gone" in done.stderr


def test_a_bad_setting_fails_the_health_check_too(tmp_path: Path) -> None:
    done = healthcheck(tmp_path, OURS_EMULATOR_PORT="many")
    assert (done.returncode > 0, done.stderr.count("\n")) == (True, 1)


# The image


def test_everything_in_the_image_is_configured_with_variables_that_are_settings() -> None:
    named = set(re.findall(r"OURS_EMULATOR_[A-Z_]+", DOCKERFILE))
    assert named == {"OURS_EMULATOR_HOST"}
    assert named <= SETTINGS


def test_the_image_runs_as_an_unprivileged_user() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_the_image_is_built_from_what_is_sent_to_the_build() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name for line in copied for name in line.split()} == sent
    assert all((ROOT / name).exists() for name in sent)


@pytest.mark.skipif(shutil.which("hadolint", path=Path(sys.executable).parent) is None, reason="there is no hadolint")
@pytest.mark.parametrize("file", ["Dockerfile", "docker/app/Dockerfile"])
def test_hadolint_has_nothing_to_say(file: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / file], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# The compose files


def emulators(services: Mapping[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in services.items() if service.get("image") == "ours-emulator"}


@each_compose
def test_a_compose_file_sets_settings_and_nothing_else_of_the_emulator(services: Mapping[str, Any]) -> None:
    for emulator in emulators(services).values():
        # The password is read by libpq.
        assert emulator["environment"].keys() - {"PGPASSWORD"} <= SETTINGS
        assert emulator.keys() & {"command", "entrypoint"} == set()


@each_compose
def test_only_this_machine_reaches_the_emulator_in_a_compose_file(services: Mapping[str, Any]) -> None:
    (ports,) = [service["ports"] for service in services.values() if "ports" in service]
    assert ports == ["127.0.0.1:4010:4010"]


@each_compose
def test_who_needs_a_service_of_a_compose_file_waits_until_it_is_well(services: Mapping[str, Any]) -> None:
    needed = {
        name: condition for service in services.values() for name, condition in service.get("depends_on", {}).items()
    }
    assert needed.keys() == services.keys() - {"tests"}
    assert all(condition == {"condition": "service_healthy"} for condition in needed.values())
    # The image of the emulator has a health check.
    assert {name for name in needed if "healthcheck" not in services[name]} == emulators(services).keys()


@each_compose
def test_an_image_in_a_compose_file_is_built_once_or_has_a_version(services: Mapping[str, Any]) -> None:
    built = [service["image"] for service in services.values() if "build" in service]
    assert len(built) == len(set(built))
    assert all(re.search(r":\d", image) for image in {service["image"] for service in services.values()} - {*built})


def test_the_proxy_leads_to_all_emulators_of_the_compose_file() -> None:
    services = COMPOSE["compose.postgres.yaml"]
    servers = dict(re.findall(r"^ +server (\S+) (\S+)$", PROXY, re.MULTILINE))
    assert servers == {name: f"{name}:4010" for name in emulators(services)}
    assert services["proxy"]["depends_on"].keys() == servers.keys()
    (source, _, _) = services["proxy"]["volumes"][0].split(":")
    assert (ROOT / "docker" / source).samefile(ROOT / "docker" / "haproxy.cfg")


# The app under test


@contextmanager
def shop(url: str, log: Path) -> Generator[str]:
    """Run the shop on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"PORT": str(port), "OURS_PRIVACY_BASE_URL": f"{url}/api/v1", "OURS_PRIVACY_TOKEN": "t"}
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, ROOT / "docker" / "app" / "shop.py"],
            env={**os.environ, **variables, "no_proxy": "*"},
            stdout=out,
            stderr=out,
        )
    try:
        here = f"http://127.0.0.1:{port}"
        until(lambda: is_open(here))
        yield here
    finally:
        running.terminate()
        running.wait(10)


def is_open(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def check_shop(url: str, log: Path) -> None:
    """Run the shop and its own tests with the emulator at *url*."""
    with shop(f"{url}/accounts/shop", log) as here:
        variables = {"SHOP_URL": here, "OURS_EMULATOR_URL": f"{url}/accounts/shop", "no_proxy": "*"}
        # A kept volume has the events of the run before.
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-m", "unittest", "test_shop"],
                cwd=ROOT / "docker" / "app",
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert "Ran 2 tests" in done.stderr


def test_the_apps_own_tests_pass_twice_with_one_emulator(tmp_path: Path) -> None:
    with serving(tokens="t") as server:
        check_shop(server.url, tmp_path / "log")


# Two emulators behind the proxy


@pytest.fixture
def proxied(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[str]:
    """The URL of the proxy in front of two emulators, which are where the compose file has others."""
    if HAPROXY is None:
        assert os.environ.get("CI", "").lower() != "true"
        pytest.skip("haproxy is not installed")
    database, port = postgresql.schema(), free_port()
    with ExitStack() as stack, (tmp_path / "proxy.log").open("wb") as log:
        config = PROXY.replace("bind :4010", f"bind 127.0.0.1:{port}")
        for name in ("emulator-1", "emulator-2"):
            server = stack.enter_context(serving(database=database, tokens="t"))
            config = config.replace(f"{name}:4010", server.url.removeprefix("http://"))
        (tmp_path / "haproxy.cfg").write_text(config)
        running = subprocess.Popen([HAPROXY, "-db", "-f", tmp_path / "haproxy.cfg"], stdout=log, stderr=log)
        stack.callback(running.wait, 10)
        stack.callback(running.terminate)
        until(lambda: is_open(f"http://127.0.0.1:{port}/readyz"))
        yield f"http://127.0.0.1:{port}"


def test_the_apps_own_tests_pass_through_the_proxy(proxied: str, tmp_path: Path) -> None:
    check_shop(proxied, tmp_path / "log")


def test_streams_waits_and_what_an_emulator_accepts_pass_the_proxy(proxied: str) -> None:
    event = {"token": "t", "event": "E", "userId": "u"}
    with (
        httpx.Client(base_url=proxied, timeout=30, trust_env=False) as http,
        http.stream("GET", "/debug/stream") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        for number in range(4):
            headers = {"x-large": "x" * 60_000} if number == 0 else {f"x-{field}": "x" for field in range(240)}
            assert http.post("/track", json={**event, "event": f"E{number}"}, headers=headers).status_code == 200
            # Sent to either of them, an event is there at once, while the stream goes on.
            assert f'"E{number}"' in next(line for line in lines if line.startswith("data:"))
        assert http.post("/debug/wait", json={"match": {"event": "E"}, "timeout_ms": 1}).status_code == 406
        assert http.put("/debug/clock", json={"freeze": True}, headers={"origin": proxied}).status_code == 200

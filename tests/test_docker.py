"""The container: what its files promise, as far as that can be seen without a container."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ours_emulator.settings import ENV_PREFIX, Settings
from serving import serving
from test_cli import COMMAND, environment
from test_cli import serving as process
from waiting import until

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text("utf-8"))
SETTINGS = {ENV_PREFIX + name.upper() for name in Settings.model_fields}


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


# The compose file


def test_the_compose_file_sets_settings_and_nothing_else_of_the_emulator() -> None:
    emulator = COMPOSE["services"]["emulator"]
    assert emulator["environment"].keys() <= SETTINGS
    assert emulator.keys() & {"command", "entrypoint"} == set()
    assert all(port.startswith("127.0.0.1:") for port in emulator["ports"])


def test_whoever_needs_the_emulator_waits_until_it_is_well() -> None:
    for name in ("shop", "tests"):
        needs = COMPOSE["services"][name]["depends_on"]
        assert needs["emulator"] == {"condition": "service_healthy"}


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


def test_the_apps_own_tests_pass_twice_with_one_emulator(tmp_path: Path) -> None:
    with serving(tokens="t") as server, shop(f"{server.url}/accounts/shop", tmp_path / "log") as here:
        variables = {"SHOP_URL": here, "OURS_EMULATOR_URL": f"{server.url}/accounts/shop", "no_proxy": "*"}
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

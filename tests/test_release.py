"""What a release is made of: its tag and notes, the lock of the image, pinned images, workflows and the action."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from check_release import check_client, version

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
WORKFLOWS: dict[str, dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text("utf-8"))
    for pattern in (".github/workflows/*.yml", "examples/ci/github-*.yml")
    for path in ROOT.glob(pattern)
}
LOCKED = {
    "docker/requirements.txt": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["plan"],
    ],
    "docker/build-requirements.txt": PROJECT["build-system"]["requires"],
}


# The tag and the notes


def checked(root: Path, *arguments: str, locked: str = "1.2.0") -> subprocess.CompletedProcess[str]:
    """Run check_release.py on a project in *root*, whose version is 1.2.0, and that in a lock *locked*."""
    (root / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "check_release.py", root / "scripts")
    (root / "app" / "ours_emulator").mkdir(parents=True, exist_ok=True)
    (root / "app" / "ours_emulator" / "__init__.py").write_text('"""A package."""\n\n__version__ = "1.2.0"\n')
    client = root / "clients" / "javascript"
    client.mkdir(parents=True, exist_ok=True)
    (client / "package.json").write_text('{"version": "1.2.0"}')
    (client / "package-lock.json").write_text(json.dumps({"version": locked}))
    command = [sys.executable, "-I", "-S", str(root / "scripts" / "check_release.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_the_notes_of_a_release_are_its_part_of_the_changelog(tmp_path: Path) -> None:
    parts = "# Changelog\n\n## 1.20.0\n\n- no\n\n## 1.2.0 (2026-11-28)\n\n- one\n- two\n\n## 1.1.0\n\n- old\n"
    (tmp_path / "CHANGELOG.md").write_text(parts)
    done = checked(tmp_path, "v1.2.0", "--notes")
    assert (done.returncode, done.stdout) == (0, "- one\n- two\n")


def test_only_the_tag_of_this_version_is_released_and_only_once_it_has_a_date(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 (unreleased)\n\n- one\n")
    assert checked(tmp_path, "v1.2.1").stderr == "tag v1.2.1 is not the version of the package; use v1.2.0\n"
    unreleased = "CHANGELOG.md says that 1.2.0 is unreleased; put the date in the heading\n"
    assert checked(tmp_path, "v1.2.0").stderr == unreleased
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0.1\n")
    assert checked(tmp_path, "v1.2.0").stderr == "CHANGELOG.md has no heading '## 1.2.0'; add one\n"


def test_the_javascript_client_has_the_version_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0\n")
    done = checked(tmp_path, "v1.2.0", locked="1.1.0")
    assert done.stderr == "clients/javascript/package-lock.json has version 1.1.0; set it to 1.2.0\n"
    check_client(version())


# The image


@pytest.mark.parametrize("file", LOCKED)
def test_what_is_locked_fits_what_the_project_asks_for(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    pins = dict(re.findall(r"^(\S+)==(\S+)", text, re.MULTILINE))
    for requirement in map(Requirement, LOCKED[file]):
        assert requirement.specifier.contains(pins[requirement.name]), f"{requirement}; run: make lock"
    with_hash = re.findall(r"^(\S+)==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert with_hash == [*pins]
    assert "://" not in text


def test_the_lock_is_for_the_python_of_the_image() -> None:
    (version,) = set(re.findall(r"^FROM python:([\d.]+)-slim", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE))
    assert f"--python-version={version}" in (ROOT / "scripts" / "lock_image.py").read_text("utf-8")


def test_images_are_pinned_and_stages_are_not() -> None:
    old, new = ("sha256:" + digit * 64 for digit in "01")
    dockerfile = f"FROM python:3.13-slim AS build\nFROM build\nFROM python:3.13-slim@{old}\nCOPY --from=build /a /b\n"
    program = f"import sys, pin_images; print(pin_images.pinned(sys.argv[1], lambda image: {new!r}), end='')"
    command = [sys.executable, "-c", program, dockerfile]
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == dockerfile.replace(f"@{old}", "").replace("3.13-slim", f"3.13-slim@{new}")


# Workflows and the action


def steps() -> Generator[dict[str, Any]]:
    """Every step of every workflow."""
    for workflow in WORKFLOWS.values():
        for job in workflow["jobs"].values():
            yield from job.get("steps", ())


def test_the_workflows_set_inputs_that_the_action_has() -> None:
    users = [step for step in steps() if step.get("uses", "").startswith(("./", "OWNER/ours-emulator@"))]
    assert len(users) >= 2
    assert {name for step in users for name in step["with"]} <= ACTION["inputs"].keys()


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    jobs = WORKFLOWS["tests.yml"]["jobs"]
    assert [jobs[job]["strategy"]["matrix"]["python"] for job in ("unix", "windows")] == [named, named]
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"

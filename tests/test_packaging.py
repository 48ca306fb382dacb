"""What users install: the wheel, its contents, and what an import costs."""

import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from serving import Server

ROOT = Path(__file__).parent.parent
SHA256 = "32b57b85f48f443ab162be914b24c57fad746f68a609fafd5fc36717f9f24973"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as a release would be."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.mark.rule("openapi")
def test_the_vendors_document_is_the_same_bytes_everywhere(server: Server, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read("ours_emulator/contract/documents/2026-05.json")
    served = server.http.get(f"{server.url}/api/v1/openapi").content
    for document in ((ROOT / "openapi.json").read_bytes(), packed, served):
        assert hashlib.sha256(document).hexdigest() == SHA256


def test_the_wheel_contains_only_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    outside = [name for name in names if not name.startswith("ours_emulator/") and ".dist-info/" not in name]
    assert outside == []
    assert "ours_emulator/py.typed" in names
    assert not [name for name in names if name.startswith("app")]


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "app"
    expected = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected
    data = ("contract/rules.toml", "debug/examples.json", "openapi/examples.json")
    assert {f"ours_emulator/{name}" for name in data} <= packed


@pytest.mark.rule("openapi")
def test_the_installed_wheel_serves_the_document_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "from ours_emulator.contract.revision import revision; import sys; sys.stdout.buffer.write(revision().document)"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, 'site'); {script}"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=60, check=True)
    assert hashlib.sha256(done.stdout).hexdigest() == SHA256


def test_the_wheel_has_the_files_of_the_docs_page_as_npm_has_them(wheel: Path) -> None:
    folder = "ours_emulator/openapi/swagger_ui/"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.removeprefix(folder): archive.read(name) for name in archive.namelist() if folder in name}
    noted = dict(re.findall(r"\| `(\S+)` \| `(\w{64})` \|", packed.pop("README.md").decode()))
    assert {"index.html", "init.js"} == packed.keys() - noted.keys()
    assert {name: hashlib.sha256(packed[name]).hexdigest() for name in noted} == noted
    # Swagger UI is half a megabyte of it, packed.
    assert wheel.stat().st_size < 1_150_000


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, ours_emulator; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "ours_emulator" in loaded
    assert not loaded & {"fastapi", "sqlalchemy", "uvicorn", "pydantic", "starlette", "httpx", "click"}


def test_the_command_is_installed() -> None:
    (command,) = (point for point in entry_points(group="console_scripts") if point.name == "ours-emulator")
    assert command.value == "ours_emulator.cli:main"

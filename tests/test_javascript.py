"""The JavaScript client: its own tests, and what it has in common with the Python one, against a live emulator."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from browsing import CHROMIUM
from documents import DOCUMENTS, ROOT, Block
from nested import FEW_PLUGINS
from node_packages import install
from ours_emulator import __version__
from ours_emulator.emulator import Emulator, EmulatorError, ExpectationError
from serving import Account, Server

CLIENT = ROOT / "clients" / "javascript"
IN_CI = os.environ.get("CI") == "true"
NODE, NPM = (shutil.which(name) or name for name in ("node", "npm"))
ONLY_IN_PYTHON = {
    *("beside", "perform", "perform_now", "wait", "close", "opened", "last_miss", "ended"),
    *("latest_events", "latest_visitors", "latest_requests", "timeline", "tail", "stream_export"),
}
FAILING: Sequence[tuple[str, Sequence[Any], Mapping[str, Any]]] = (
    ("wait_for", ["Paid"], {"match": {"event_properties.amount": {"$gt": 50}}, "timeout": 0}),
    ("wait_for", ["Paid"], {"emial": "ann@example.com"}),
    ("assert_tracked", ["Paid"], {"user_id": "u2"}),
    ("assert_tracked", ["Paid"], {"count": 3}),
    ("assert_none", ["Paid"], {}),
    ("assert_sequence", ["Paid", "Cart Viewed"], {}),
    ("assert_no_hints", [], {}),
    ("visitor", [], {}),
    ("visitor", [], {"user_id": "u9"}),
    ("event", [2**40], {}),
    ("remove_experiment", ["checkout"], {}),
)
README = next(document for document in DOCUMENTS if document.name == "README.md")
EXAMPLES = [
    block
    for document in DOCUMENTS
    for block in document.of("js")
    if "node:test" in block.text or block.text.startswith("// ")
]
pytestmark = pytest.mark.skipif(not (shutil.which("node") or IN_CI), reason="Node.js is not installed")


def test_the_tests_of_the_client_pass(server: Server) -> None:
    files = sorted(str(path) for path in (CLIENT / "tests").glob("*.test.js"))
    done = node("--test", *files, cwd=CLIENT, **at(server), OURS_EMULATOR_TOKEN="live")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failed_expectation_says_the_same_as_in_python(account: Account) -> None:
    account.track(event="Paid", userId="u1", properties={"coupon": "SUMMER"}, eventProperties={"amount": "99.99"})
    account.track(event="Paid", email="ann@example.com", eventProperties={"amount": 5})
    account.track(event="Paid", userId="u2", time="never")
    calls = [(camel(name), in_javascript(name, given, options)) for name, given, options in FAILING]
    done = node("tests/compared.js", json.dumps(calls), cwd=CLIENT, OURS_EMULATOR_URL=account.url)
    assert done.returncode == 0, done.stderr
    handle = Emulator(account.url)
    expected = [message(handle, name, given, options) for name, given, options in FAILING]
    assert json.loads(done.stdout) == expected


def test_every_method_of_the_handle_is_in_javascript() -> None:
    members = set(json.loads(node("tests/compared.js", cwd=CLIENT).stdout))
    handle = {name for name in dir(Emulator("http://emulator.test")) if not name.startswith("_")}
    assert handle > ONLY_IN_PYTHON
    assert {camel(name) for name in handle - ONLY_IN_PYTHON} == members - {"report"}


# The examples


def test_the_package_has_nothing_but_the_client_and_its_types(package: Path) -> None:
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    sources = {"api", *(path.stem for path in (CLIENT / "src").iterdir())}
    scripts = {f"src/{path.name}" for path in (CLIENT / "src").glob("*.js")}
    assert files == scripts | {f"types/{name}.d.ts" for name in sources} | {"LICENSE", "README.md", "package.json"}
    assert json.loads((package / "package.json").read_bytes()).get("dependencies") is None
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_javascript_examples_pass(package: Path, server: Server) -> None:
    folder = package.parent.parent
    tests = [written(block, folder, f"{number}.test.mjs") for number, block in enumerate(EXAMPLES)]
    done = node("--test", *(path.name for path in tests if path.name.endswith(".test.mjs")), cwd=folder, **at(server))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(tests) > 4


def test_each_example_of_the_readme_is_beside_one_in_javascript_that_leaves_the_same(
    package: Path, tmp_path: Path
) -> None:
    folder = package.parent.parent
    (beside,) = [document for document in DOCUMENTS if document.name == "docs/javascript.md"]
    blocks = beside.blocks
    in_python = [block.text for block in README.of("python") if block.has_tests]
    pairs = [(blocks[n].text, blocks[n + 1]) for n, block in enumerate(blocks) if block.has_tests]
    assert [python for python, _ in pairs] == in_python
    names = [written(block, folder, f"beside-{number}.test.mjs").name for number, (_, block) in enumerate(pairs)]
    for number, python in enumerate(in_python):
        (tmp_path / f"test_{number}.py").write_text(python)
    assert arrived(tmp_path, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", ".") == arrived(
        folder, NODE, "--test", *names
    )


def test_the_examples_for_vitest_and_playwright_pass_and_a_failed_test_has_a_report(
    server: Server, tmp_path: Path
) -> None:
    install_packages()
    vitest = node("node_modules/vitest/vitest.mjs", "run", "--root", "examples/vitest", cwd=CLIENT, **at(server))
    assert vitest.returncode == 0, vitest.stdout + vitest.stderr
    if CHROMIUM is None and not IN_CI:
        pytest.skip("there is no Chromium here")
    command = (
        "node_modules/@playwright/test/cli.js",
        "test",
        "--config=tests/playwright",
        "--reporter=json",
        f"--output={tmp_path}",
    )
    variables = {**at(server), "CHROMIUM": CHROMIUM or ""}
    done = node(*command, cwd=CLIENT, **variables)
    results = {title: result for suite in json.loads(done.stdout)["suites"] for title, result in results_of(suite)}
    assert results["a sign-up in the browser is tracked"]["status"] == "passed", done.stdout
    failed = results["a test that fails"]
    assert "ExpectationError: expected at least 1 event 'Paid'\nno events matched" in plain(failed["error"]["message"])
    assert failed["errorLocation"]["file"].endswith("report.spec.js")
    (report,) = [one for one in failed["attachments"] if one["name"] == "ours-emulator.html"]
    assert "a test that fails" in b64decode(report["body"]).decode()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, packed as it is published and installed in a folder of its own."""
    folder = tmp_path_factory.mktemp("javascript")
    quiet = ("--offline", "--no-audit", "--no-fund", "--loglevel=error")
    run_npm("pack", "--pack-destination", str(folder), *quiet, cwd=CLIENT)
    run_npm("install", f"ours-emulator-{__version__}.tgz", *quiet, cwd=folder)
    return folder / "node_modules" / "ours-emulator"


def run_npm(*arguments: str, cwd: Path) -> None:
    """Run npm, which must succeed."""
    done = subprocess.run([NPM, *arguments], cwd=cwd, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def install_packages() -> None:
    """Install what the examples need; skip the test if there is no network, but never on a build server."""
    try:
        install(CLIENT, NPM)
    except SystemExit as error:
        if IN_CI:
            raise
        pytest.skip(f"{error}; see what npm ci in clients/javascript says")


def written(block: Block, folder: Path, name: str) -> Path:
    """Write a *block* to the file that its first line names, or to the file *name* if it has a test."""
    found = re.match(r"// (\S+\.mjs)\n", block.text)
    path = folder / (found[1] if found else name)
    path.write_text(block.text, "utf-8")
    return path


def arrived(folder: Path, *command: str) -> list[str]:
    """Return the counts that `exec` prints of what a *command* has sent, which must succeed."""
    run = [sys.executable, "-m", "ours_emulator", "exec", "--", *command]
    variables = {**environment(), **FEW_PLUGINS}
    done = subprocess.run(run, cwd=folder, env=variables, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"^ours-emulator: (\d+ requests.*)$", done.stderr, re.MULTILINE)
    assert len(counts) == 1, done.stderr
    return counts


def results_of(suite: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each test of a *suite* of Playwright Test with its result."""
    for spec in suite.get("specs", ()):
        yield spec["title"], spec["tests"][0]["results"][0]
    for inner in suite.get("suites", ()):
        yield from results_of(inner)


def plain(text: str) -> str:
    """Return *text* without colours."""
    return re.sub(r"\x1b\[\d+m", "", text)


# How it is run


def camel(name: str) -> str:
    """Return the JavaScript spelling of a name."""
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def in_javascript(name: str, given: Sequence[Any], options: Mapping[str, Any]) -> list[Any]:
    """Return the arguments of a method as JavaScript has them: a sequence is a list, and times are in milliseconds."""
    times = {key: options[key] * 1000 for key in ("timeout",) if key in options}
    return [*([given] if name == "assert_sequence" else given), {**options, **times}]


def message(handle: Emulator, name: str, given: Sequence[Any], options: Mapping[str, Any]) -> str:
    """Return the message of the error that a method raises."""
    with pytest.raises((EmulatorError, ExpectationError)) as error:
        getattr(handle, name)(*given, **options)
    return str(error.value)


def node(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Node with an environment that has no other settings of an emulator."""
    command = [NODE, *arguments]
    settings = {**environment(), **variables}
    return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, timeout=100, check=False)


def environment() -> dict[str, str]:
    """Return the environment without settings of an emulator or of pytest."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OURS_", "PYTEST_"))}


def at(server: Server) -> dict[str, str]:
    """Return the variables that name the emulator, as `exec` sets them."""
    return {"OURS_EMULATOR_URL": server.url, "OURS_PRIVACY_BASE_URL": f"{server.url}/api/v1"}

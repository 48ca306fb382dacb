"""README and docs/ are right: examples run as shown, tables and names are those of the code, links resolve."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from pydantic import JsonValue

import tables
from docs_site import entries
from documents import DOCUMENTS, ROOT, Block, Document
from nested import FEW_PLUGINS
from ours_emulator.contract.experiments import read_file
from ours_emulator.contract.tracking_plan import TrackingPlan
from ours_emulator.emulator import Emulator
from ours_emulator.settings import load

BIN = Path(sys.executable).parent
LANGUAGES = {"sh", "python", "json", "text", "toml", "ini", "yaml", "js"}
ADDRESS = "http://127.0.0.1:4010"
EXECUTED = [document for document in DOCUMENTS if document.of("sh")]
IN_PYTHON = [document for document in DOCUMENTS if document.of("python")]

each_executed = pytest.mark.parametrize("document", EXECUTED, ids=lambda document: document.name)
each_in_python = pytest.mark.parametrize("document", IN_PYTHON, ids=lambda document: document.name)
each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)


# Examples that are executed


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@each_executed
def test_the_commands_print_what_is_shown(document: Document, tmp_path: Path) -> None:
    skip_without(document.needs)
    with emulator(tmp_path) as (url, log):
        for block in document.of("sh"):
            output = executed(block.text.replace(ADDRESS, url), url, tmp_path)
            for number, show in enumerate(block.shows):
                if number > 0:
                    # A second block of output is what the emulator logged. It logs after it has answered.
                    wait_until(partial(is_logged, show.text, log), f"never logged: {show.text}")
                elif show.language == "json":
                    assert contains(list(values(output)), list(values(show.text))), (block.text, output)
                else:
                    assert missing(show.text.replace(ADDRESS, url), output) == [], (block.text, output)


@each_in_python
def test_the_python_examples_pass_or_fail_as_shown(document: Document, tmp_path: Path) -> None:
    skip_without(document.needs)
    plugins = ["-p", "playwright_page"] if "chromium" in document.needs else []
    for number, run in enumerate(runs(document)):
        output = pytest_output(tmp_path / str(number), {name: block.text for name, block in run.items()}, plugins)
        for name, block in run.items():
            shown = "".join(show.text for show in block.shows)
            results = set(re.findall(rf"^(PASSED|FAILED|ERROR) {name}::", output, re.MULTILINE))
            assert results == (set() if not block.has_tests else {"FAILED"} if shown else {"PASSED"}), output
            assert missing(shown, re.sub(r"#\d+", "#1", output)) == [], output


# Examples that are checked


@each
def test_every_block_has_a_language_whose_examples_are_checked(document: Document) -> None:
    assert {block.language for block in document.blocks} <= LANGUAGES
    assert [block.text for block in document.of("text")] == []


@each
def test_commands_that_are_not_executed_exist(document: Document) -> None:
    commands = [
        command.partition("#")[0].split()
        for block in document.blocks
        if block.language == "sh" and block.not_executed is not None
        for command in block.text.splitlines()
    ]
    assert [command for command in commands if not exists(command)] == []


@each
def test_excerpts_are_what_the_files_have(document: Document) -> None:
    for block in document.blocks:
        _, is_excerpt, file = (block.not_executed or "").partition("an excerpt of ")
        assert not is_excerpt or block.text in (ROOT / file).read_text("utf-8"), file


@each
def test_json_toml_ini_and_yaml_are_what_the_program_reads(document: Document, tmp_path: Path) -> None:
    for block in document.of("json"):
        assert list(values(block.text)), block.text
    for block in document.of("toml"):
        check_toml(block.text, tmp_path)
    for block in document.of("ini"):
        parser = configparser.ConfigParser()
        parser.read_string(block.text)
        check_pytest_options(list(parser["pytest"]))
    files = [
        yaml.safe_load(path.read_text("utf-8")) for path in (*ROOT.glob("docker/*.yaml"), *ROOT.glob("examples/ci/*"))
    ]
    for block in document.of("yaml"):
        shown = yaml.safe_load(block.text)
        if any(contains(file, shown) for file in files):
            continue
        if "events" in shown:
            TrackingPlan.model_validate(shown)
            continue
        assert "jobs" in shown, f"not an excerpt of a file:\n{block.text}"
        assert [command for command in commands_in(shown) if not exists(command)] == []


# Tables, figures and names


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_tables_are_what_the_code_has(name: str) -> None:
    assert tables.current(name) == tables.expected(name), "out of date; run: python tests/tables.py --write"


def test_the_figures_of_the_readme_are_those_of_the_page_on_performance() -> None:
    shown, all_of_them = (figures(name) for name in ("README.md", "docs/performance.md"))
    assert len(shown) > 3
    assert shown.items() <= all_of_them.items()


def test_every_public_member_of_the_handle_is_documented() -> None:
    spans = "\n".join(span for document in DOCUMENTS for span in document.code_spans)
    handle = Emulator("http://emulator.test")
    members = [name for name in dir(handle) if not name.startswith("_")]
    undocumented = {name for name in members if re.search(rf"\b{name}\b", spans) is None}
    # These are for the pytest plugin and the handle itself.
    assert undocumented <= {"beside", "perform", "perform_now", "wait"}


def test_every_path_of_the_debug_api_is_documented(tmp_path: Path) -> None:
    spans = {normal(span) for document in DOCUMENTS for span in document.code_spans}
    with emulator(tmp_path) as (url, _), urlopen(f"{url}/debug/openapi.json") as response:
        paths = [normal(path) for path in json.load(response)["paths"]]
    assert "visitors/{}" in paths
    assert [path for path in paths if path not in spans] == []


@each
def test_what_a_page_says_to_install_has_that_name(document: Document) -> None:
    commands = [span for span in document.code_spans if span.startswith("pip install ")]
    for name in shlex.split(" ".join(commands).replace("pip install", "")):
        if name != "." and not name.startswith("-"):
            package, _, extra = name.removeprefix("PATH/TO/").removesuffix("]").partition("[")
            installed = distribution(package)
            assert installed.name == package
            assert extra in ("", *installed.metadata.get_all("Provides-Extra", []))


# Links


@each
def test_links_and_anchors_resolve(document: Document) -> None:
    known = {other.path: other for other in DOCUMENTS}
    for link in document.links:
        path, _, anchor = link.partition("#")
        target = (document.path.parent / path).resolve() if path else document.path
        assert ":" in link or target.exists(), link
        if anchor and ":" not in link:
            assert anchor in known[target].anchors, link


def test_the_index_lists_every_page() -> None:
    listed = [(ROOT / "docs" / entry.path).resolve() for entry in entries((ROOT / "docs/index.md").read_text("utf-8"))]
    pages = [page.path for page in DOCUMENTS if page.name not in ("README.md", "docs/index.md")]
    assert [page for page in pages if page not in listed] == []
    assert len(listed) == len(set(listed))


# How examples are executed


def skip_without(programs: Sequence[str]) -> None:
    """Skip the test if one of the *programs* is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@contextmanager
def emulator(directory: Path) -> Generator[tuple[str, Path]]:
    """Run an emulator as users do; yield its address and the file that has its output."""
    log = directory / "emulator.log"
    with log.open("w") as output:
        process = subprocess.Popen([BIN / "ours-emulator", "serve", "--port", "0"], stdout=output, env=environment())
    try:
        wait_until(lambda: "Ready.\n" in log.read_text() or process.poll() is not None, "Ready.")
        address = re.search(r"export OURS_PRIVACY_BASE_URL=(\S+)/api/v1", log.read_text())
        assert address
        yield address[1], log
    finally:
        process.terminate()
        process.wait(15)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until *condition* holds; fail with *what* if it never does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def executed(command: str, url: str, directory: Path) -> str:
    """Return what the shell prints for *command*."""
    settings = {**environment(), "OURS_EMULATOR_URL": url}
    done = subprocess.run(
        ["sh", "-ec", command], capture_output=True, text=True, timeout=30, cwd=directory, env=settings
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def environment() -> dict[str, str]:
    """Return the environment without settings of an emulator, and with this program's commands first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OURS_", "PYTEST_"))}
    return {**kept, "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")])}


def runs(document: Document) -> list[dict[str, Block]]:
    """Return the files of each run of pytest: all examples together, and each one with a conftest.py by itself.

    Any other file without tests is a module, which the tests after it import.
    """
    together: dict[str, Block] = {}
    alone: list[dict[str, Block]] = []
    conftest: dict[str, Block] = {}
    for number, block in enumerate(document.of("python")):
        if block.file_name == "conftest.py":
            conftest = {"conftest.py": block}
        elif conftest:
            alone.append({**conftest, "test_example.py": block})
            conftest = {}
        else:
            together[block.file_name or f"test_example_{number}.py"] = block
    assert not conftest, "a conftest.py needs an example after it"
    return [together, *alone]


def pytest_output(directory: Path, files: Mapping[str, str], arguments: Sequence[str]) -> str:
    """Return what pytest, with *arguments*, prints for *files* in a directory of their own."""
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "-rA",
        *arguments,
        str(directory),
    ]
    variables = {**environment(), **FEW_PLUGINS, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True, timeout=100)
    return done.stdout


def values(text: str) -> Iterator[Any]:
    """Yield the JSON values that follow each other in *text*."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].strip()


def contains(actual: JsonValue, shown: JsonValue) -> bool:
    """Whether *actual* has everything that is *shown*."""
    if isinstance(shown, dict):
        fields = actual if isinstance(actual, dict) else {}
        return all(key in fields and contains(fields[key], value) for key, value in shown.items())
    if isinstance(shown, list):
        return isinstance(actual, list) and len(actual) == len(shown) and all(map(contains, actual, shown))
    return actual == shown


def is_logged(shown: str, log: Path) -> bool:
    """Whether all lines that are *shown* are in the *log*."""
    return missing(shown, log.read_text()) == []


def missing(shown: str, output: str) -> list[str]:
    """Return the lines that are *shown* and are not in the *output*."""
    return [line for line in shown.splitlines() if line not in output]


# How the rest is checked


def commands_in(workflow: Any) -> list[list[str]]:
    """Return what the jobs of a workflow of GitHub Actions run."""
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    return [line.split() for step in steps for line in step.get("run", "").splitlines()]


def exists(command: Sequence[str]) -> bool:
    """Whether what *command* runs is there: a target of the Makefile, a command with these flags, a file."""
    match command:
        case ["make", target, *_]:
            return re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE) is not None
        case ["ours-emulator", name, *arguments]:
            known = help_of("ours-emulator", name)
            own = arguments[: arguments.index("--")] if "--" in arguments else arguments
            return all(re.search(rf"{argument}\b", known) for argument in own if argument.startswith("--"))
        case ["docker", "compose", "-f", file, *_]:
            return (ROOT / file).is_file()
        case [python, script, *_] if python.endswith("python") and script.endswith(".py"):
            return (ROOT / script).is_file()
        case [python, "-m", "build" | "pip" | "pytest" | "venv", *_] if python.endswith("python"):
            return True
        case (
            ["docker", "build" | "buildx" | "run", *_]
            | ["pip" | "npm", "install", *_]
            | ["sudo", "chown", *_]
            | ["pytest"]
        ):
            return True
        case _:
            return False


@cache
def help_of(*command: str) -> str:
    """Return what *command* prints with --help."""
    done = subprocess.run(
        [sys.executable, "-m", command[0].replace("-", "_"), *command[1:], "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment() | FEW_PLUGINS,
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def check_toml(text: str, directory: Path) -> None:
    """Check that it sets pytest, or has experiments, or else sets the emulator."""
    read = tomllib.loads(text)
    if "tool" in read:
        check_pytest_options(list(read["tool"]["pytest"]["ini_options"]))
        return
    file = directory / "settings.toml"
    file.write_text(text)
    if "variants" in text:
        assert read_file(file).keys() == read.keys()
        return
    loaded = load(file=file, environment=False)
    assert {name for name, origin in loaded.origins.items() if origin == "file"} == read.keys()


def check_pytest_options(names: Sequence[str]) -> None:
    """Check that the plugin has these options in the ini file."""
    known = help_of("pytest")
    assert [name for name in names if re.search(rf"^ *{name} \(", known, re.MULTILINE) is None] == []


def figures(name: str) -> dict[str, str]:
    """Return the first figure in each line of the document's tables, by what was measured."""
    (document,) = [document for document in DOCUMENTS if document.name == name]
    rows = re.findall(r"^\| ([^|]+?) +\| +([\d,.]+ ?[^| ]+(?: rows/s)?) +\|", document.text, re.MULTILINE)
    return dict(rows)


def normal(path: str) -> str:
    """Return a path of the debug API without what differs between its spellings."""
    return re.sub(r"\{\w+\}", "{}", path.split(" ")[-1].removeprefix("/debug").lstrip("/"))

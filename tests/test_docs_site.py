"""The site that MkDocs builds from docs/: complete, without warnings, and without anything from another host."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs_site import entries, relinked
from documents import ROOT

pytestmark = pytest.mark.skipif(find_spec("mkdocs") is None, reason="MkDocs is not installed")
# What a browser fetches of its own accord. A link that somebody clicks may lead anywhere.
_FETCHED = re.compile(r"<(?:script|img|iframe|source|embed|object|audio|video)\b[^>]*?\b(?:src|data)=\"?([^\"\s>]+)")
_LINK_TAG = re.compile(r"<link\b[^>]*>")
_IN_STYLES = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; the build fails on a warning."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return target


def fetched(page: str) -> Iterator[str]:
    """Yield the addresses of what a browser loads for a *page*."""
    yield from _FETCHED.findall(page)
    for tag in _LINK_TAG.findall(page):
        if not re.search(r"rel=\"?(?:canonical|prev|next)\b", tag):
            yield from re.findall(r"href=\"?([^\"\s>]+)", tag)


def test_the_site_loads_nothing_from_another_host(site: Path) -> None:
    pages = {path: list(fetched(path.read_text("utf-8"))) for path in site.rglob("*.html")}
    styles = [
        found[0] or found[1] for path in site.rglob("*.css") for found in _IN_STYLES.findall(path.read_text("utf-8"))
    ]
    assert len(pages) > 30
    assert all(len(addresses) > 3 for addresses in pages.values())
    addresses = {address for one in pages.values() for address in one} | set(styles)
    assert [address for address in addresses if re.match(r"(https?:)?//", address)] == []


def test_pages_for_language_models_are_listed_and_there(site: Path) -> None:
    listed = (site / "llms.txt").read_text("utf-8")
    assert listed.startswith("# ours-emulator\n\n> ")
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): .+$", listed, re.MULTILINE)
    assert len(links) == len(entries((ROOT / "docs" / "index.md").read_text("utf-8")))
    assert [link for link in links if not (site / link).is_file()] == []


def test_files_outside_docs_that_pages_link_are_in_the_site(site: Path) -> None:
    compose = (site / "docker" / "compose.yaml").read_text("utf-8")
    assert compose == (ROOT / "docker" / "compose.yaml").read_text("utf-8")
    assert 'href="docker/compose.yaml"' in (site / "docker.html").read_text("utf-8")


def test_links_are_changed_to_where_the_site_has_the_files() -> None:
    page = ROOT / "docs" / "howto" / "upgrade.md"
    text = "[a](../../CHANGELOG.md), [b](../storage.md#the-file), [c](#here), [d](https://example.com/x)"
    assert relinked(text, page) == text.replace("../../", "../")
    assert relinked("[a](docs/page.md)", ROOT / "CHANGELOG.md") == "[a](page.md)"

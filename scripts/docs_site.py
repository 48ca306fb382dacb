"""What MkDocs does not do itself: the site's navigation, links to files outside docs/, and llms.txt.

docs/index.md lists all pages with what each one is about. The navigation and llms.txt are made from it.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_SECTION = re.compile(r"^## (.+)$")
_ENTRY = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<path>[^)]+)\): (?P<about>.+)$")
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


@dataclass(frozen=True)
class Entry:
    """A page as docs/index.md lists it. `path` is relative to docs/."""

    section: str
    title: str
    path: str
    about: str


def entries(index: str) -> list[Entry]:
    """Return the pages that the text of docs/index.md lists."""
    found: list[Entry] = []
    section = ""
    for line in index.splitlines():
        if heading := _SECTION.match(line):
            section = heading[1]
        elif entry := _ENTRY.match(line):
            found.append(Entry(section, entry["title"], entry["path"], entry["about"]))
    return found


def llms_txt(name: str, description: str, index: str) -> str:
    """Return the list of pages for language models, in the form of llmstxt.org. It links their Markdown."""
    lines = [f"# {name}", "", f"> {description}"]
    section = ""
    for entry in entries(index):
        if entry.section != section:
            section = entry.section
            lines += ["", f"## {section}", ""]
        lines.append(f"- [{entry.title}]({place(DOCS / entry.path)}): {entry.about}")
    return "\n".join(lines) + "\n"


def place(file: Path) -> str:
    """Return where a *file* of the repository is in the site: those in docs/ without that folder's name."""
    file = Path(os.path.normpath(file))
    return file.relative_to(DOCS if file.is_relative_to(DOCS) else ROOT).as_posix()


def relinked(markdown: str, source: Path) -> str:
    """Return the *markdown* of the file *source* with its links as the site has them."""
    here = PurePosixPath(place(source)).parent

    def link(match: re.Match[str]) -> str:
        target = os.path.relpath(place(source.parent / match[2]), here)
        return match[1] + PurePosixPath(target).as_posix() + match[3]

    return _LINK.sub(link, markdown)


def linked_from_outside(markdown: str, source: Path) -> list[Path]:
    """Return the files outside docs/ that the *markdown* of *source* links."""
    targets = [Path(os.path.normpath(source.parent / match[2])) for match in _LINK.finditer(markdown)]
    return [target for target in targets if target.is_file() and not target.is_relative_to(DOCS)]


# What MkDocs calls


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation."""
    sections: dict[str, list[dict[str, str]]] = {}
    for entry in entries((DOCS / "index.md").read_text("utf-8")):
        sections.setdefault(entry.section, []).append({entry.title: place(DOCS / entry.path)})
    config.nav = [{"Home": "index.md"}, *({name: pages} for name, pages in sections.items())]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link outside docs/."""
    # The tests read docs/index.md with this module where MkDocs is not installed.
    from mkdocs.structure.files import File

    for page in list(files.documentation_pages()):
        source = DOCS / page.src_uri
        for target in linked_from_outside(source.read_text("utf-8"), source):
            if files.get_file_from_path(place(target)) is None:
                files.append(File.generated(config, place(target), abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let the links of a page lead to where the site has the files."""
    source = page.file.abs_src_path
    return markdown if source is None else relinked(markdown, Path(source))


def on_post_build(config: MkDocsConfig) -> None:
    """Add llms.txt and the Markdown that it links."""
    site = Path(config.site_dir)
    index = (DOCS / "index.md").read_text("utf-8")
    for entry in entries(index):
        target = site / place(DOCS / entry.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DOCS / entry.path, target)
    (site / "llms.txt").write_text(llms_txt(config.site_name, config.site_description or "", index), "utf-8")

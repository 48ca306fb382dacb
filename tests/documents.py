"""The README and docs/ as the tests read them: code blocks, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(
    r"^(?:<!-- not executed: (?P<why>[^\n]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
_CODE_SPAN = re.compile(r"(`+)(.+?)\1")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_FILE_NAME = re.compile(r"# (\S+\.py)\n")
_NEEDS = re.compile(r"^<!-- needs: (.+) -->$", re.M)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A code block. *shows* are the blocks that follow it and have its output, then what the emulator logged."""

    language: str
    text: str
    not_executed: str | None
    """Why the tests cannot execute it."""
    shows: "tuple[Block, ...]" = ()

    @property
    def file_name(self) -> str | None:
        """The name of the file that the block shows, which is in a comment in its first line."""
        found = _FILE_NAME.match(self.text)
        return found[1] if found else None

    @property
    def has_tests(self) -> bool:
        """Whether pytest finds a test in it."""
        return "def test_" in self.text


@dataclass(frozen=True)
class Document:
    """A Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text("utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its code blocks."""
        return _BLOCK.sub("", self.text)

    @cached_property
    def blocks(self) -> list[Block]:
        """The code blocks; output is in the block that it belongs to."""
        blocks: list[Block] = []
        for found in _BLOCK.finditer(self.text):
            block = Block(found["language"], found["text"], found["why"])
            last = blocks[-1] if blocks else block
            executed = last.language in ("sh", "python") and last.not_executed is None
            if executed and (block.language == "text" or (block.language == "json" and not last.shows)):
                blocks[-1] = replace(last, shows=(*last.shows, block))
            else:
                blocks.append(block)
        return blocks

    @property
    def needs(self) -> list[str]:
        """The programs that its examples need, besides those of every page."""
        return _NEEDS.findall(self.text)

    def of(self, language: str) -> list[Block]:
        """Return the blocks in *language* that are executed or checked as a whole."""
        return [block for block in self.blocks if block.language == language and block.not_executed is None]

    @property
    def code_spans(self) -> Iterator[str]:
        """Every piece of inline code."""
        return (found[2] for found in _CODE_SPAN.finditer(self.prose))

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return _LINK.findall(_CODE_SPAN.sub("", self.prose))

    @property
    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub and MkDocs make them."""
        headings = (heading.lower().strip() for heading in _HEADING.findall(self.prose))
        return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


DOCUMENTS = [Document(ROOT / "README.md"), *map(Document, sorted((ROOT / "docs").rglob("*.md")))]

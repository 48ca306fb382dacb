r"""Regular expressions of a match: those of RE2, so that none of them can stop or fill the emulator. Pure rules.

RE2 takes time in proportion to the length of a text, whatever the pattern, within a bounded memory, and it lets go of
the interpreter's lock while it searches. What Python has and RE2 has not (look-around, back-references, atomic groups)
is an error that names the construct. `\w`, `\d` and `\s` are those of Unicode, as in Python; `\b` knows ASCII only.
"""

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

import re2

_MAX_PATTERN = 1000
_MAX_BYTES = 4 << 20
"""Memory of one compiled pattern, in bytes: enough for a hundred `\\w` outside ASCII."""
_MAX_STEPS = 500_000_000
"""Instructions of a pattern times bytes of a text; RE2 takes at most a second for that."""
_MAX_SECONDS = 2.0
"""Time of the processor for all the texts of one match."""
_SHOWN = 100
_ADVICE = "regular expressions are those of RE2: no look-around, back-references, or counts over 1000"

_POSIX = r"\[:\^?[a-z]+:\]"
_TOKEN = re.compile(rf"{_POSIX}|\\u[0-9a-fA-F]{{4}}|\\.|\[\^?\]?|\]|\{{[^{{}}]*\}}?|.", re.DOTALL)
_COUNT = re.compile(r"\{(\d*),?(\d*)\}")
_FUZZY = re.compile(r"\{[^{}]*[eids][^{}]*\}")
_WORD = r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}"
_NO_WORD = r"\p{C}\p{S}\p{Z}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{No}"
_SPACES = {
    r"\s": r"\t-\r\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}",
    r"\S": r"\x00-\x08\x0e-\x1f\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}"
    r"\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}",
}
_ASCII: Mapping[str, str] = _SPACES
_UNICODE: Mapping[str, str] = {r"\w": _WORD, r"\W": _NO_WORD, r"\d": r"\p{Nd}", r"\D": r"\P{Nd}", **_SPACES}
"""What a class of Python stands for, inside brackets; RE2's own know only ASCII, and no vertical tab."""
_SURROGATES = re.compile("[\ud800-\udfff]")


class PatternError(ValueError):
    """A pattern that is not valid, or takes too long. The message is one line without a place."""


class _Program(Protocol):
    @property
    def programsize(self) -> int:
        """The number of its instructions."""
        ...

    def search(self, text: str) -> object | None: ...


class Pattern:
    """A compiled regular expression. Raises PatternError if *source* is not valid or too large."""

    def __init__(self, source: str) -> None:
        if len(source) > _MAX_PATTERN:
            raise PatternError(f"{len(source)} characters are too many; use at most {_MAX_PATTERN}")
        self._source = source
        self._ascii = _compiled(_translated(source, _ASCII))
        self._unicode = _compiled(_translated(source, _UNICODE))
        self._seconds = 0.0

    @property
    def size(self) -> int:
        """The number of instructions that the pattern is compiled to."""
        return self._unicode.programsize

    def matches(self, text: str) -> bool:
        """Whether *text* contains a match. Raises PatternError if that takes, or all texts so far took, too long."""
        program = self._ascii if text.isascii() else self._unicode
        if program.programsize * len(text) > _MAX_STEPS:
            raise self._too_long(f"on a text of {len(text)} characters")
        started = time.thread_time()
        matches = program.search(_SURROGATES.sub("\ufffd", text)) is not None
        self._seconds += time.thread_time() - started
        if self._seconds > _MAX_SECONDS:
            raise self._too_long(f"on all texts together ({_MAX_SECONDS:g} s)")
        return matches

    def _too_long(self, where: str) -> PatternError:
        return PatternError(f"the regular expression {self._source[:_SHOWN]} takes too long {where}")


@lru_cache(256)
def _compiled(translated: str) -> _Program:
    options = re2.Options()
    options.log_errors, options.never_capture, options.max_mem = False, True, _MAX_BYTES
    try:
        return re2.compile(translated, options)
    except UnicodeEncodeError:
        raise PatternError("a lone surrogate is not part of a regular expression") from None
    except re2.error as error:
        raise PatternError(f"not a valid regular expression: {_told(error)}; {_ADVICE}") from None


def _told(error: re2.error) -> str:
    [message] = error.args
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return text[:_SHOWN]


def _translated(source: str, classes: Mapping[str, str]) -> str:
    """Return *source*, as Python reads it, as RE2 reads it, with these *classes*."""
    translated: list[str] = []
    inside = False
    for token in _TOKEN.findall(source):
        translated.append(_inside(token, classes) if inside else _outside(token, classes))
        if token == "]" or not re.fullmatch(_POSIX, token):
            inside = token != "]" if inside else token.startswith("[")
    return "".join(translated)


def _inside(token: str, classes: Mapping[str, str]) -> str:
    return classes.get(token) or _character(token)


def _outside(token: str, classes: Mapping[str, str]) -> str:
    if token in classes:
        # A negation also covers the characters that RE2's tables do not know yet.
        return f"[^{classes[token.lower()]}]" if token[1].isupper() else f"[{classes[token]}]"
    if token == r"\Z":
        return r"\z"
    return _count(token) if token.startswith("{") else _character(token)


def _character(token: str) -> str:
    return rf"\x{{{token[2:]}}}" if token.startswith(r"\u") and len(token) > 2 else token


def _count(token: str) -> str:
    """Return a count that RE2 reads as one; it takes braces that are no count of its own for plain text."""
    count = _COUNT.fullmatch(token)
    if count and token != "{}" and token != "{,}":
        if any(number and int(number) > 1000 for number in count.groups()):
            raise PatternError(f"not a valid regular expression: count {token}; {_ADVICE}")
        return token.replace("{,", "{0,")
    if _FUZZY.fullmatch(token) and re.search(r"[<=]|^\{[eids,]+\}$", token):
        raise PatternError(f"not a valid regular expression: fuzzy matching {token}; {_ADVICE}")
    return "\\" + token

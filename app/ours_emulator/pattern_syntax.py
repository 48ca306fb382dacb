r"""Translates regular expressions as Python's `re` reads them into the syntax of RE2. Pure rules.

RE2 searches in time proportional to the text, but reads some things otherwise: its classes know ASCII only, and its `$`
does not match before a final newline. What RE2 cannot do (look-around, back-references, atomic groups and possessive
counts) is an error that names the construct. Beside Python's syntax there are `[[:alpha:]]`, `\p{…}` and `\z`.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_COUNT = 1000
_SHOWN = 40

_NAMED_ESCAPE = r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x\{[0-9a-fA-F]{1,6}\}|N\{[^{}]+\}"
_PROPERTY = r"[pP](?:\{\^?\w+\}|[A-Z])"
_ESCAPE = rf"\\(?:[0-7]{{3}}|0[0-7]{{0,2}}|[0-9]{{1,2}}|{_NAMED_ESCAPE}|{_PROPERTY}|.|\Z)"
_ESCAPE_IN_SET = rf"\\(?:[0-7]{{1,3}}|{_NAMED_ESCAPE}|{_PROPERTY}|.)"
_POSIX = r"\[:\^?[a-z]+:\]"
_TOKEN = re.compile(
    r"(?P<comment>\(\?#[^)]*\))"
    r"|(?P<flags>\(\?(?:(?:[a-zA-Z]*-)?[a-zA-Z]+[:)]|:))"
    r"|(?P<named>\(\?P?<[^\W\d]\w*>)"
    r"|(?P<extension>\(\?(?:P[=>]|<[=!]|[=!>(])?)"
    r"|(?P<group>\()"
    r"|(?P<close>\))"
    r"|(?P<branch>\|)"
    rf"|(?P<set>\[\^?+\]?+(?>{_POSIX}|\\.|[^\]\\])*+\])"
    rf"|(?P<escape>{_ESCAPE})"
    r"|(?P<repeat>(?:[*+?]|\{(?:[0-9]+,?[0-9]*|,[0-9]*)\})[?+]?)"
    r"|(?P<dollar>\$)"
    r"|(?P<start>\^)"
    r"|(?P<character>.)",
    re.DOTALL,
)
_BEGINNING = re.compile(r"(?:\(\?#[^)]*\)|\(\?[a-zA-Z]+\))*")
_CLASS = re.compile(rf"{_POSIX}|\\{_PROPERTY}|\\[dDsSwW]")
_ITEM = re.compile(
    rf"(?P<class>{_CLASS.pattern})|(?P<low>{_ESCAPE_IN_SET}|.)(?:-(?P<high>{_ESCAPE_IN_SET}|.))?", re.DOTALL
)

_LETTERS = r"\p{L}\p{N}_"
# Categories instead of a negation, which RE2 does not know inside brackets: all but letters, numbers and "_".
_NO_LETTERS = (
    r"\p{C}\p{M}\p{S}\p{Z}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}"
    r"\x{203f}\x{2040}\x{2054}\x{fe33}\x{fe34}\x{fe4d}-\x{fe4f}\x{ff3f}"
)
_SPACES = {
    r"\s": r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}",
    r"\S": r"\x00-\x08\x0e-\x1b\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}"
    r"\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}",
}
Classes = Mapping[str, str]
ASCII: Classes = {
    r"\w": "0-9A-Za-z_", r"\W": r"\x00-/:-@\[-\^`{-\x7f", r"\d": "0-9", r"\D": r"\x00-/:-\x7f", **_SPACES
}  # fmt: skip
UNICODE: Classes = {r"\w": _LETTERS, r"\W": _NO_LETTERS, r"\d": r"\p{Nd}", r"\D": r"\P{Nd}", **_SPACES}
"""What a class of Python stands for, inside brackets: in texts that are ASCII, and in all texts."""

_AT_MOST_ONCE = re.compile(r"\?|\{(?:0*[01]?,)?0*[01]\}")
_EXTENSIONS = {
    "(?=": "look-ahead",
    "(?!": "look-ahead",
    "(?<=": "look-behind",
    "(?<!": "look-behind",
    "(?P=": "back-reference",
    "(?>": "atomic group",
    "(?(": "conditional group",
}
_ANCHORS = {r"\A": r"\A", r"\Z": r"\z", r"\z": r"\z", r"\b": r"\b", r"\B": r"\B"}
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class PatternError(ValueError):
    """A pattern that is not valid, or takes too long. The message is one line without a place."""


def translated(source: str, classes: Classes) -> str:
    """Return the regular expression *source* in the syntax of RE2. Raises PatternError if it is not valid there."""
    return _Translator(source, classes).result()


def problem(construct: str, position: int, what: str) -> PatternError:
    """Return the error that says *what* is wrong with the *construct* at *position*, which counts from 0."""
    shown = construct if construct.isprintable() else ascii(construct)[1:-1]
    return PatternError(f"{shown[:_SHOWN]} at position {position} {what}")


@dataclass
class _Group:
    """An open group; the outermost one is the whole expression."""

    position: int
    is_multiline: bool
    dollar: int | None = None
    """The position of the `$` that ends the current alternative, and of one that ends an earlier one."""
    earlier_dollar: int | None = None


class _Translator:
    def __init__(self, source: str, classes: Classes) -> None:
        self._source = source
        self._classes = classes
        beginning = _BEGINNING.match(source)
        self._flags_end = beginning.end() if beginning else 0
        self._names: set[str] = set()
        self._groups = [_Group(0, is_multiline=False)]
        self._repeatable = ""
        """What may be repeated before the next token: an "atom", a "group" that ends with `$`, or nothing."""
        self._repeated = False

    def result(self) -> str:
        result = "".join(
            _READERS[match.lastgroup or ""](self, match[0], match.start()) for match in _TOKEN.finditer(self._source)
        )
        if len(self._groups) > 1:
            raise problem("(", self._groups[-1].position, r"is never closed; write \( for the character")
        return result

    def _atom(self) -> None:
        """Begin something that consumes text or looks at it, which nothing behind a `$` may do.

        The translation of `$` consumes a final newline, since RE2 cannot look ahead.
        """
        self._anchor()
        self._repeatable = "atom"

    def _anchor(self) -> None:
        dollar = self._groups[-1].dollar
        if dollar is not None:
            raise problem("$", dollar, r"must end the expression or an alternative; write \$ for the character")
        self._repeatable, self._repeated = "", False

    def comment(self, _token: str, _position: int) -> str:
        return ""

    def flags(self, token: str, position: int) -> str:
        on, _, off = token[2:-1].partition("-")
        for flag in on + off:
            if flag not in "ims":
                raise problem(token, position, f"sets the flag {flag}, which is not supported; use only i, m and s")
        is_multiline = "m" not in off and ("m" in on or self._groups[-1].is_multiline)
        if token.endswith(")"):
            if position >= self._flags_end:
                raise problem(token, position, f"must be at the beginning; use {token[:-1]}:…) for a part")
            self._groups[-1].is_multiline = is_multiline
        else:
            self._open(position, is_multiline=is_multiline)
        return token

    def named(self, token: str, position: int) -> str:
        name = token[token.index("<") + 1 : -1]
        if name in self._names:
            raise problem(token, position, "gives a name that another group has")
        self._names.add(name)
        return self.group("(", position)

    def group(self, token: str, position: int) -> str:
        self._open(position, is_multiline=self._groups[-1].is_multiline)
        return token

    def _open(self, position: int, *, is_multiline: bool) -> None:
        self._anchor()
        self._groups.append(_Group(position, is_multiline))

    def extension(self, token: str, position: int) -> str:
        name = _EXTENSIONS.get(token)
        raise problem(f"{name or 'group'} {token}", position, "is not supported")

    def close(self, token: str, position: int) -> str:
        if len(self._groups) == 1:
            raise problem(token, position, r"closes no group; write \) for the character")
        closed = self._groups.pop()
        dollar = closed.earlier_dollar if closed.dollar is None else closed.dollar
        self._groups[-1].dollar = dollar
        self._repeatable, self._repeated = "atom" if dollar is None else "group", False
        return token

    def branch(self, token: str, _position: int) -> str:
        group = self._groups[-1]
        group.dollar, group.earlier_dollar = None, group.earlier_dollar if group.dollar is None else group.dollar
        self._repeatable, self._repeated = "", False
        return token

    def dollar(self, token: str, position: int) -> str:
        group = self._groups[-1]
        self._repeatable, self._repeated = "", False
        if group.is_multiline:
            return token
        group.dollar = position if group.dollar is None else group.dollar
        return r"(?:\n?\z)"

    def start(self, token: str, _position: int) -> str:
        self._anchor()
        return token

    def repeat(self, token: str, position: int) -> str:
        count = token.rstrip("?+") or token[0]
        if self._repeated:
            raise problem(token, position, "repeats a repetition; put the first one into (?:…)")
        if not self._repeatable:
            raise problem(token, position, f"has nothing to repeat; write \\{token[0]} for the character")
        if len(token) > len(count) and token.endswith("+"):
            raise problem(f"possessive {token}", position, "is not supported")
        if self._repeatable == "group" and not _AT_MOST_ONCE.fullmatch(count):
            raise problem(token, position, "repeats a group that ends with $, which is not supported")
        self._repeated = True
        return _count(token, position) if token.startswith("{") else token

    def set(self, token: str, position: int) -> str:
        self._atom()
        begin = 2 if token.startswith("[^") else 1
        items = (self._item(match, position) for match in _ITEM.finditer(token, begin, len(token) - 1))
        return f"{token[:begin]}{''.join(items)}]"

    def _item(self, item: re.Match[str], position: int) -> str:
        """Return the class, character or range *item* of the set at *position*."""
        if item["class"]:
            return self._class(item["class"])
        low, high = item["low"], item["high"]
        return _literal(low, position + item.start()) if high is None else _range(item, position + item.start())

    def _class(self, token: str) -> str:
        return self._classes.get(token, token)

    def escape(self, token: str, position: int) -> str:
        if token in _ANCHORS:
            self._anchor()
            return _ANCHORS[token]
        self._atom()
        if token in self._classes:
            # A negation also covers the characters that RE2's tables do not know yet.
            negated = "^" if token[1].isupper() else ""
            return f"[{negated}{self._classes[token.lower()]}]"
        if re.fullmatch(r"\\[1-9][0-9]?", token):
            raise problem(f"back-reference {token}", position, "is not supported")
        return token if _CLASS.fullmatch(token) else _literal(token, position)

    def character(self, token: str, position: int) -> str:
        if token == "[":
            raise problem(token, position, r"is never closed; write \[ for the character")
        self._atom()
        return token if token == "." else _literal(token, position)


_READERS: Mapping[str, Callable[[_Translator, str, int], str]] = {
    name: getattr(_Translator, name) for name in _TOKEN.groupindex
}


def _count(token: str, position: int) -> str:
    low, comma, high = token.rstrip("?")[1:-1].partition(",")
    if any(number and int(number) > MAX_COUNT for number in (low, high)):
        raise problem(token, position, f"is a count over {MAX_COUNT}, which is not supported")
    if high and int(low or 0) > int(high):
        raise problem(token, position, "is a count whose end is below its start")
    return token if low else token.replace("{" + comma, "{0,")


def _range(item: re.Match[str], position: int) -> str:
    low, high = item["low"], item["high"]
    if _CLASS.fullmatch(high):
        raise problem(item[0], position, r"is not a range of characters; write \- for the character")
    high_position = position + len(low) + 1
    if _code(low, position) > _code(high, high_position):
        raise problem(item[0], position, "is a range whose end comes before its start")
    return f"{_literal(low, position)}-{_literal(high, high_position)}"


def _literal(item: str, position: int) -> str:
    """Return the character that *item* is or escapes, so that RE2 reads it as nothing else."""
    code = _code(item, position)
    return chr(code) if code > 0x7F or chr(code).isalnum() else rf"\x{{{code:x}}}"


def _code(item: str, position: int) -> int:
    code = _escaped(item, position) if item.startswith("\\") else ord(item)
    if 0xD800 <= code < 0xE000:
        raise problem(item, position, "is a lone surrogate, which is not supported")
    if code > 0x10FFFF or (item[1:2].isdigit() and code > 0xFF):
        raise problem(item, position, "is not the number of a character")
    return code


def _escaped(item: str, position: int) -> int:
    """Return the code point that the escape *item* stands for."""
    kind, rest = item[1:2], item[2:].strip("{}")
    if kind in "xuUN" and rest:
        return _named(rest, item, position) if kind == "N" else int(rest, 16)
    if kind and kind in "01234567":
        return int(item[1:], 8)
    if kind in _CONTROLS:
        return ord(_CONTROLS[kind])
    if not kind or (kind.isascii() and kind.isalnum()):
        raise problem(item, position, r"is not a known escape; write \\ for the backslash")
    return ord(kind)


def _named(name: str, item: str, position: int) -> int:
    try:
        return ord(unicodedata.lookup(name))
    except (KeyError, TypeError):
        raise problem(item, position, "names no character") from None

r"""Regular expressions: what Python reads is what RE2 does, and nothing that they ask for is costly."""

import re
import time

import pytest

from ours_emulator.patterns import Pattern, PatternError

CHARACTERS = [chr(code) for code in range(0x370) if not 0xB2 <= code < 0xBF] + list("日本語ñé\u3000\u2028٣")
"""Without the fractions and superscripts, of which `re` says that they belong to words and `regex` that they don't."""
UNSUPPORTED = {
    "(?=a)b": "(?=",
    "(?<!a)b": "(?<!",
    r"(a)\1": r"\1",
    "(?P<n>a)(?P=n)": "(?P",
    "(?>a)b": "(?>",
    "a++": "++",
    r"\X": r"\X",
    "(?:abc){e<=1}": "{e<=1}",
    "(?:abc){i}": "{i}",
    "a{1001}": "{1001}",
    "a{4000000000}": "{4000000000}",
    "a{10000000}": "{10000000}",
    "(?:(?:a{1000}){1000}){1000}": "{1000}",
    "(": "missing )",
    "*": "*",
    "[b-a]": "b-a",
}


@pytest.mark.parametrize(
    "source", [r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"[\w-]", r"[^\w.]", r"[\W_]", r"[^\s]", r"[\s\S]", r"[\S]"]
)
def test_a_class_means_what_python_means(source: str) -> None:
    pattern, python = Pattern(f"^{source}$"), re.compile(rf"\A{source}\Z")
    separators = "\x1c\x1d\x1e\x1f"  # Spaces to Python, but not to Unicode.
    combining = [character for character in CHARACTERS if "\u0300" <= character < "\u0370"]
    for character in CHARACTERS:
        if character not in separators and character not in combining:
            assert pattern.matches(character) is bool(python.match(character)), ascii(character)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"^\w{8}-\w{4}-\w{4}-\w{4}-\w{12}$", "0191e6c2-9f0e-7c3a-8d1b-3f5a7e9b1c2d"),
        (r"^Zo\w$", "Zoë"),
        ("a{,3}b", "aab"),
        ("^a{2,}$", "aaa"),
        ('{"a": 1}', '{"a": 1}'),
        ("^x{y}$", "x{y}"),
        (r"\u00e9\Z", "café"),
        ("^[]a{3}]+$", "]a{3"),
        ("^[[:digit:]]+$", "12"),
        (r"^[[:upper:]\d]+$", "A1٣"),
        ("(?i)^PURCHASE$", "Purchase"),
        ("(?P<n>a)b", "ab"),
        (r"a\x00b", "a\x00b"),
        ("a.b", "a\ud800b"),
    ],
)
def test_a_pattern_that_python_reads_is_read_alike(source: str, text: str) -> None:
    assert Pattern(source).matches(text)
    assert not Pattern(source).matches("something else, ß")


@pytest.mark.parametrize("source", UNSUPPORTED)
def test_what_is_not_supported_is_named(source: str) -> None:
    with pytest.raises(PatternError, match=f"^not a valid regular expression: .*{re.escape(UNSUPPORTED[source])}"):
        Pattern(source)


def test_a_pattern_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(PatternError, match="lone surrogate"):
        Pattern("\ud800")


@pytest.mark.parametrize("source", ["^(a|aa)+$", "(a+)+$", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)x"])
def test_a_pattern_that_backtracks_for_ever_elsewhere_is_matched(source: str) -> None:
    assert not Pattern(source).matches("a" * 100_000 + "!")


def test_a_pattern_that_would_take_seconds_for_one_text_is_refused_before_it_starts() -> None:
    started = time.thread_time()
    with pytest.raises(PatternError, match=r"takes too long on a text of 1100000 characters"):
        Pattern("[a-q][^u-z]{500}x").matches("abcdefghijk" * 100_000)
    assert time.thread_time() - started < 1


def test_a_pattern_that_takes_seconds_for_many_texts_is_ended() -> None:
    pattern, text = Pattern("[a-q][^u-z]{500}x"), "abcdefghijk" * 10_000
    with pytest.raises(PatternError, match="takes too long on all texts together"):
        any(pattern.matches(text) for _ in range(10_000))

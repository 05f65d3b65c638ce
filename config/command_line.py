"""The words that a command is called with, looked at by `manage.py` before any command is.

The promise: what no command can take is refused with a line that says what to write, and nothing was done.
"""

from collections.abc import Sequence

LONGEST = 1_000  # characters of a word, as of a reason over the API
USAGE = 2


def complaint(words: Sequence[str]) -> str:
    """What is wrong with them; empty: nothing."""
    for before, word in zip(("", *words), words, strict=False):
        if not word.isprintable() and any(0xD800 <= ord(one) <= 0xDFFF for one in word):
            return f"{word[:60].encode('utf-8', 'backslashreplace').decode()} is no text in UTF-8."
        if len(word) > LONGEST and "--data" not in (before, word.partition("=")[0]):
            return f"{word[:60]!r}... has {len(word):,} characters; a word of a command has {LONGEST:,} at most."
    return ""

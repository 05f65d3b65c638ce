"""What errors have in common: their text without the numbers, ids, addresses and quoted parts that differ. Pure.

Used by the ledger when a job fails for good; the admin groups failed jobs by it. The promise: two jobs that failed for
the same reason have the same signature, and no address of anybody is in it.
"""

import re

LONGEST = 200
LOST = "its worker was lost"

# In this order: what is longer and more certain first.
PARTS = (
    (re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"[^\s<>,;:\"'()=]+@[\w-]+(\.[\w-]+)+"), "<address>"),
    (re.compile(r"(?<!\w)'[^']*'(?!\w)|(?<!\w)\"[^\"]*\"(?!\w)|[„“][^“”]*[“”]|«[^»]*»|`[^`]*`"), "<text>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\+?\d+(?:[.,:/ -]?\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def of(error: str) -> str:
    """The signature of an error as the ledger tells it, "ValueError: no room 17": "ValueError: no room <n>"."""
    for pattern, placeholder in PARTS:
        error = pattern.sub(placeholder, error)
    return error.strip()[:LONGEST]

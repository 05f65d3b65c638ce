"""Identifiers: one UUIDv7 names a job everywhere, and sorts by when it was made."""

import sys
import uuid

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils.compat import uuid7

__all__ = ["new_id", "parsed"]


def new_id() -> uuid.UUID:
    """A new id. Ids made by one process sort in the order they were made."""
    made: uuid.UUID = uuid7()
    return made


def parsed(text: object) -> uuid.UUID | None:
    """None for what is no UUID: Celery's ids may be any text."""
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None

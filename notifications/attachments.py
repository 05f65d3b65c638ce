"""The files of direct messages: who may send them is asked when a message is written, and again when it goes.

Used by `direct` and `direct_words`. The promise: nothing leaves that its writer may not have at that moment.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied

from jobs.library import downloads, people, storage
from jobs.library.downloads import Files
from jobs.library.people import Person
from notifications.channels.base import Attachment
from notifications.models import DirectMessage

MOST = 10 * 1024**2  # bytes of all attachments of a message
SPARE = timedelta(hours=1)  # for a busy provider; what is kept for longer is not lost on the way


class Withheld(Exception):
    """A file that is gone, or that the writer may not send any more."""


def allowed(
    files: Sequence[UUID], person: Person, tenant: str, send_at: datetime, known: Files | None = None
) -> list[str]:
    """The ids of files that whoever writes may have himself, and that are still there when the message goes.

    Two statements; none where the files are `known`. Raises ValueError and PermissionDenied.
    """
    size, known = 0, known or Files(files)
    for pk in files:
        try:
            file = known.get(pk)
        except storage.Missing as exc:
            raise ValueError(str(exc)) from None
        if file.tenant != tenant:
            raise PermissionDenied(f"The file {pk} is not yours to send.")
        known.insist(file, person)
        if file.expires_at is not None and file.expires_at < send_at + SPARE:
            raise ValueError(
                f"The file {pk} is kept until {file.expires_at:%Y-%m-%d %H:%M} UTC, and goes out too late."
            )
        size += file.size
    if size > MOST:
        raise ValueError(f"The attachments have {size:,} bytes; {MOST:,} are the most. Send a link instead.")
    return [str(pk) for pk in files]


def opened(message: DirectMessage) -> tuple[Attachment, ...]:
    """Their contents, as they are now. Raises Withheld."""
    writer = _writer(message) if message.attachments else None
    return tuple(_attachment(pk, message, writer) for pk in message.attachments)


def _writer(message: DirectMessage) -> Person | None:
    """None for a program of ours. Raises Withheld for a user who is gone or locked out."""
    if message.user_id is None:
        return None
    user = get_user_model()._default_manager.filter(pk=message.user_id, is_active=True).first()
    if user is None:
        raise Withheld(f"{message.by}, who wrote it, may not send files any more.")
    return people.of(user)


def _attachment(pk: str, message: DirectMessage, writer: Person | None) -> Attachment:
    try:
        file = storage.get(pk)
        if file.tenant != message.tenant:
            raise Withheld(f"The file {pk} is of another tenant.")
        if writer is not None:
            downloads.insist(file, writer)
        with storage.read(file) as content:
            return Attachment(file.name, file.content_type, content.read())
    except storage.Missing as exc:
        raise Withheld(str(exc)) from None
    except PermissionDenied as exc:
        raise Withheld(f"{message.by} may not send the file {pk} any more: {exc}") from None

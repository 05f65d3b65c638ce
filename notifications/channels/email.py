"""Email, over Django's mail backends.

Called by `reminders.deliver`. One connection per worker process, kept open between messages and opened again when
the server closed it in the meantime. The Message-ID is the delivery's id, so a mail can be traced back from a mailbox.
"""

import smtplib
import threading
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from notifications.channels.base import Busy, Message, Receipt, Refused, Unknown
from notifications.channels.smtp import Unanswered


class Gone(Busy):
    """The connection broke before the message was handed over."""


_local = threading.local()  # a backend must not be shared between threads


def send(message: Message, *, idempotency_key: str) -> Receipt:
    """Hand one mail to the server. Raises Busy, Refused or Unknown, see `base`."""
    message_id = f"<{idempotency_key}@{_domain()}>"
    mail = EmailMultiAlternatives(
        message.subject,
        message.text,
        settings.DEFAULT_FROM_EMAIL,
        [message.to],
        headers={"Message-ID": message_id},
    )
    if message.html:
        mail.attach_alternative(message.html, "text/html")
    kept = getattr(_local, "backend", None)
    if kept is not None:
        try:
            return _hand_over(mail, kept, message.to)
        except Gone:  # certainly not taken; a connection that was closed while idle looks like this
            close()
    return _hand_over(mail, _open(), message.to)


def close() -> None:
    """Forget the connection. What the server has taken is not affected."""
    backend, _local.backend = getattr(_local, "backend", None), None
    if backend is not None:
        backend.close()


def _open() -> BaseEmailBackend:
    backend = get_connection()
    try:
        backend.open()
    except (OSError, smtplib.SMTPException) as exc:
        raise Busy(f"no connection to the mail server: {type(exc).__name__}") from exc
    _local.backend = backend
    return backend


def _hand_over(mail: EmailMultiAlternatives, backend: BaseEmailBackend, recipient: str) -> Receipt:
    try:
        if backend.send_messages([mail]) != 1:
            raise Refused("the mail backend took no message")
    except smtplib.SMTPRecipientsRefused as exc:
        code, reply = next(iter(exc.recipients.values()))
        raise _verdict(code, reply, recipient) from exc
    except Unanswered as exc:
        close()
        raise Unknown(str(exc)) from exc
    except smtplib.SMTPAuthenticationError as exc:  # ours to mend, not the message's fault
        close()
        raise Busy(f"the mail server refused our password ({exc.smtp_code})") from exc
    except smtplib.SMTPResponseException as exc:
        raise _verdict(exc.smtp_code, exc.smtp_error, recipient) from exc
    except (OSError, smtplib.SMTPException) as exc:
        close()
        raise Gone(f"the mail server went away: {type(exc).__name__}") from exc
    return Receipt(provider_id=str(mail.extra_headers["Message-ID"]))


def _verdict(code: int, reply: bytes | str, recipient: str) -> Busy | Refused:
    """5xx is for good, anything else for now. Servers like to repeat the address: it is left out."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    why = f"{code} {text}".replace(recipient, "(recipient)")[:500]
    if code == 421:  # the server closes the connection
        close()
    return Refused(why) if 500 <= code < 600 else Busy(why)


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")[2] or "localhost"

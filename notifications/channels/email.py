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

from notifications.channels.base import Busy, Message, NotSent, Receipt, Refused, Unknown
from notifications.channels.smtp import ExactBackend, Unanswered


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
    try:
        mail.message().as_bytes()
    except ValueError as exc:  # an address or header that no mail can carry; its text would tell the address
        raise Refused(f"no mail can be made of it: {type(exc).__name__}") from None
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
        raise Busy(f"no connection to the mail server: {type(exc).__name__}") from None
    _local.backend = backend
    return backend


def _hand_over(mail: EmailMultiAlternatives, backend: BaseEmailBackend, recipient: str) -> Receipt:
    """One attempt on one connection. The causes are cut off (`from None`): they print the address."""
    try:
        if backend.send_messages([mail]) != 1:
            raise Refused("the mail backend took no message")
    except smtplib.SMTPRecipientsRefused as exc:
        raise _verdict(*next(iter(exc.recipients.values())), recipient) from None
    except smtplib.SMTPSenderRefused as exc:  # ours to mend, not the customer's fault
        close()
        raise Busy(f"the mail server refuses our sender ({exc.smtp_code})") from None
    except smtplib.SMTPAuthenticationError as exc:
        close()
        raise Busy(f"the mail server refused our password ({exc.smtp_code})") from None
    except smtplib.SMTPResponseException as exc:
        raise _verdict(exc.smtp_code, exc.smtp_error, recipient) from None
    except Unanswered as exc:
        close()
        raise Unknown(str(exc)) from None
    except (OSError, smtplib.SMTPException) as exc:
        close()
        why = f"the mail server went away: {type(exc).__name__}"
        # Only our own SMTP backend tells how far it came; for an API's any broken connection may be a mail sent.
        raise (Gone if isinstance(backend, ExactBackend) else Unknown)(why) from None
    except ValueError as exc:  # an address that the backend cannot put on an envelope
        raise Refused(f"no mail can be sent to it: {type(exc).__name__}") from None
    except NotSent:
        raise
    except BaseException:
        close()  # interrupted in the middle of a dialogue: the next mail must not continue it
        raise
    return Receipt(provider_id=str(mail.extra_headers["Message-ID"]))


def _verdict(code: int, reply: bytes | str, recipient: str) -> Busy | Refused:
    """5xx is for good, anything else for now. Servers like to repeat the address, whole or in part: it is left out."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    local = recipient.partition("@")[0].lower()
    words = [word for word in text.split() if "@" not in word and local not in word.lower()]
    why = f"{code} {' '.join(words)}"[:500]
    if code == 421:  # the server closes the connection
        close()
    ours = code in (503, 530, 535, 538)  # a dialogue out of step, or one that we may not hold
    return Refused(why) if 500 <= code < 600 and not ours else Busy(why)


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")[2] or "localhost"

"""Email, over Django's mail backends: SMTP, files, and the providers that Anymail knows (`email_apis`).

Called by `reminders.deliver`. One connection per worker process, kept open between messages and opened again when
the server closed it in the meantime. The Message-ID is the delivery's id, so a mail can be traced back from a mailbox.
"""

import re
import smtplib
import threading
from email.utils import parseaddr

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError

from notifications.channels import deadline, email_apis, loopback
from notifications.channels.base import Busy, Down, Message, NotSent, Receipt, Refused, Unknown
from notifications.channels.smtp import ExactBackend, Unanswered

FILES = "django.core.mail.backends.filebased.EmailBackend"
NO_SUCH_MAILBOX = re.compile(r"5\.(1\.([1236]|10)|2\.1)\b")  # enhanced status codes, RFC 3463 and 7505


class Gone(Down):
    """The connection broke before the message was handed over."""


_local = threading.local()  # a backend must not be shared between threads


def send(message: Message, *, idempotency_key: str) -> Receipt:
    """Hand one mail to the server. Raises Busy, Refused or Unknown, see `base`."""
    mail = _mail(message, idempotency_key)
    with deadline.limit(settings.EMAIL_TOTAL_TIMEOUT):
        receipt = _over_kept_or_new(mail, message.to)
    if settings.EMAIL_BACKEND == FILES:
        _show(message, idempotency_key)
    return receipt


def _over_kept_or_new(mail: EmailMultiAlternatives, recipient: str) -> Receipt:
    kept = getattr(_local, "backend", None)
    if kept is not None:
        try:
            return _hand_over(mail, kept, recipient)
        except Gone:  # certainly not taken; a connection that was closed while idle looks like this
            close()
    return _hand_over(mail, _open(), recipient)


def provider(message: Message) -> str:
    """Files and memory cannot be down."""
    if email_apis.used():
        return f"email {email_apis.name()}"
    return "smtp" if settings.EMAIL_BACKEND.endswith(("smtp.ExactBackend", "smtp.EmailBackend")) else ""


def _mail(message: Message, key: str) -> EmailMultiAlternatives:
    """Raises Refused for an address or header that no mail can carry."""
    headers = {**message.headers, "Message-ID": f"<{key}@{_domain()}>"}
    mail = EmailMultiAlternatives(
        message.subject, message.text, settings.DEFAULT_FROM_EMAIL, [message.to], headers=headers
    )
    if message.html:
        mail.attach_alternative(message.html, "text/html")
    for attachment in message.attachments:
        mail.attach(attachment.name, attachment.content, attachment.mime)
    mail.metadata = {"delivery": key}  # type: ignore[attr-defined]  # Anymail's: comes back in its webhooks
    try:
        mail.message().as_bytes()
    except ValueError as exc:  # its text would tell the address
        raise Refused(f"no mail can be made of it: {type(exc).__name__}") from None
    return mail


def _show(message: Message, key: str) -> None:
    """In development the admin shows what the files hold. The mail is written: nothing here may fail it."""
    try:
        loopback.keep("email", message, key)
    except DatabaseError:
        return


def close() -> None:
    """Forget the connection. What the server has taken is not affected."""
    backend, _local.backend = getattr(_local, "backend", None), None
    if backend is not None:
        backend.close()


def _open() -> BaseEmailBackend:
    try:
        backend = get_connection()
        backend.open()
    except ImproperlyConfigured as exc:
        raise Down(f"the mail backend is not configured: {type(exc).__name__}") from None
    except (OSError, smtplib.SMTPException) as exc:
        raise Down(f"no connection to the mail server: {type(exc).__name__}") from None
    email_apis.limit(backend)
    _local.backend = backend
    return backend


def _hand_over(mail: EmailMultiAlternatives, backend: BaseEmailBackend, recipient: str) -> Receipt:
    """One attempt on one connection. The causes are cut off (`from None`): they print the address."""
    if email_apis.used():
        return email_apis.hand_over(mail, backend)
    deadline.watch(getattr(getattr(backend, "connection", None), "sock", None))
    try:
        if backend.send_messages([mail]) != 1:
            raise Refused("the mail backend took no message")
    except smtplib.SMTPRecipientsRefused as exc:
        raise _verdict(*next(iter(exc.recipients.values())), recipient) from None
    except smtplib.SMTPSenderRefused as exc:  # ours to mend, not the customer's fault
        close()
        raise Down(f"the mail server refuses our sender ({exc.smtp_code})") from None
    except smtplib.SMTPAuthenticationError as exc:
        close()
        raise Down(f"the mail server refused our password ({exc.smtp_code})") from None
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
    if code in (421, 503, 530, 535, 538):  # closing, a dialogue out of step, or one that we may not hold
        return Down(why)
    if 500 <= code < 600:
        return Refused(why, suppress="bounce" if NO_SUCH_MAILBOX.match(text) else "")
    return Busy(why)


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")[2] or "localhost"

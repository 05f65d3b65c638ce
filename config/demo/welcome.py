"""A welcome mail that goes out once for an account, however often it is asked for. With DEBUG only.

POST /demo/signup makes the job, under the unique key `welcome-<user>`. The promise: the intent is written before the
mail server is called, so what nobody knows is told to a person and not sent again.
"""

import smtplib
import socket

from celery import shared_task
from django.contrib.auth.models import User
from django.core.mail import EmailMessage

from jobs.durable import Durable, Permanent

INTENT = "sending"
# The mail has certainly not been taken.
NOT_TAKEN = (
    ConnectionRefusedError,
    socket.gaierror,
    smtplib.SMTPConnectError,
    smtplib.SMTPHeloError,
    smtplib.SMTPAuthenticationError,
)


@shared_task(
    base=Durable,
    bind=True,
    name="demo.welcome",
    internal=True,
    queue="messages",
    autoretry_for=NOT_TAKEN,
    retry_backoff=2,
    retry_backoff_max=60,
    retry_jitter=False,
    max_retries=5,
)
def welcome(self: Durable, user_id: int) -> None:
    """The address is read now: it is in no job and in no message."""
    if self.running.saved == INTENT:
        raise Permanent("a worker died while it sent the mail: look whether it went out")
    user = User.objects.get(pk=user_id)
    mail = EmailMessage("Welcome", "Your account is there.", to=[user.email])
    mail.extra_headers["Message-ID"] = f"<{self.request.id}@welcome>"
    self.running.checkpoint(INTENT)
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as exc:
        raise Permanent("INVALID_EMAIL: the mail server refused the address") from exc
    except NOT_TAKEN:
        self.running.checkpoint(None)
        raise
    except OSError as exc:
        raise Permanent(f"nobody knows whether the mail went out ({type(exc).__name__})") from exc

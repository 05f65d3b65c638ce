"""A stored template with a real booking or payment: to look at, and to send as a test to an address of one's own.

Called by the admin and by `manage.py send_test`. Written by the code that sends, and sent through the real channel with
its limits in time, but it is no delivery: it is marked as a test, its links do nothing in the customer's name, and
nobody's consent is needed because the operator names the address. The promise: every test is on record before its
provider is called, and there are only a few a minute.
"""

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from jobs.ids import new_id
from notifications import rendering, tenants
from notifications.channels import CHANNELS, sms
from notifications.channels.base import Busy, Message, Refused, Unknown
from notifications.models import Booking, Channel, Customer, Delivery, MessageTemplate, Payment, ReminderRule, Trial
from notifications.wording import Words

A_MINUTE = 5  # tests that one operator may send
MINUTE = timedelta(minutes=1)
MARK, BANNER = "TEST", "This is a test. Nobody has an appointment or owes anything because of it."


class TooMany(Exception):
    """This operator has sent enough tests for a minute."""


def written(template: MessageTemplate, anchor: Booking | Payment, *, marked: bool = False) -> Message:
    """What the anchor's customer would get. Raises tenants.OtherTenant and wording.BadTemplate."""
    if not tenants.speaks_to(template, anchor.tenant):
        raise tenants.OtherTenant(_("These words are of another tenant."))
    of_booking = isinstance(anchor, Booking)
    kind = ReminderRule.Anchor.BOOKING_START if of_booking else ReminderRule.Anchor.PAYMENT_DUE
    delivery = Delivery(
        rule=ReminderRule(anchor=kind, message=template.message),
        customer=anchor.customer,
        channel=template.channel,
        revision=anchor.revision,
        **{"booking" if of_booking else "payment": anchor},
    )
    own = Words(template.subject, template.text, template.html, template.locale)
    return rendering.render(delivery, own=_marked(own, template.channel) if marked else own, harmless=True)


def send(template: MessageTemplate, anchor: Booking | Payment, address: str, actor: AbstractBaseUser) -> Trial:
    """Send it to that address, outside of any transaction. What the provider said is in the answer.

    Raises ValueError for an address that is none, tenants.OtherTenant, wording.BadTemplate, and TooMany.
    """
    address = checked(template.channel, address)
    message = _harmless(written(template, anchor, marked=True), template.channel, address, anchor)
    trial = _admitted(template, anchor.tenant, address, actor)
    trial.answer = _answer(template.channel, message)
    Trial.objects.filter(pk=trial.pk).update(answer=trial.answer)
    return trial


def send_plain(channel: str, address: str, by: str) -> Trial:
    """A few words of ours, to see whether a channel works at all: no template, no booking. From the command line.

    Raises ValueError for an address that is none, and TooMany.
    """
    address = _of_customer(address) if channel == Channel.INBOX else checked(channel, address)
    secret = f"whsec_{b64encode(token_bytes(24)).decode()}" if channel == Channel.WEBHOOK else ""
    text = f"{MARK}: {BANNER}"
    message = Message(address, f"[{MARK}] Punctual", text, metadata={"test": True}, secret=secret)
    with transaction.atomic():
        # Their last one, so that two at the same moment count one another. Who has none has not sent too many.
        list(Trial.objects.filter(actor=by).order_by("-at", "-pk").select_for_update().values_list("pk", flat=True)[:1])
        trial = _counted(by, message="", channel=channel, address=address)
    trial.answer = _answer(channel, message)
    Trial.objects.filter(pk=trial.pk).update(answer=trial.answer)
    return trial


def _of_customer(pk: str) -> str:
    if not pk.isdecimal() or not Customer.objects.filter(pk=pk).exists():
        raise ValueError(_("An inbox belongs to a customer: name the number of one."))
    return pk


def checked(channel: str, address: str) -> str:
    """The address, if the channel can have it. Raises ValueError."""
    address = address.strip()
    try:
        if channel == Channel.EMAIL:
            validate_email(address)
        elif channel == Channel.SMS and not sms.E164.fullmatch(address):
            raise ValidationError(_("A number starts with + and the country's code and has only digits."))
        elif channel == Channel.WEBHOOK:
            URLValidator(schemes=["http", "https"])(address)
        elif channel == Channel.INBOX:
            raise ValidationError(_("An inbox belongs to a customer: look at the preview instead."))
    except ValidationError as exc:
        raise ValueError(" ".join(exc.messages)) from None
    return address


def _marked(own: Words, channel: str) -> Words:
    if channel == Channel.SMS:
        return replace(own, text=f"{MARK}: {own.text}")
    html = f"<p><strong>{MARK}: {BANNER}</strong></p>\n{own.html}" if own.html.strip() else ""
    return Words(f"[{MARK}] {own.subject}", f"{MARK}: {BANNER}\n\n{own.text}", html, own.locale)


def _harmless(message: Message, channel: str, address: str, anchor: Booking | Payment) -> Message:
    """Without the buttons and the calendar entry, with which a stranger would answer for the customer."""
    secret = ""
    if channel == Channel.WEBHOOK:  # a customer's signature is for the customer's own address
        own = address == anchor.customer.webhook_url
        secret = message.secret if own else f"whsec_{b64encode(token_bytes(24)).decode()}"
    data = {**message.metadata, "test": True} if channel == Channel.WEBHOOK else {}
    return replace(message, to=address, headers={}, attachments=(), metadata=data, secret=secret)


def _admitted(template: MessageTemplate, tenant: str, address: str, actor: AbstractBaseUser) -> Trial:
    """Counted and written under the operator's row, so that clicks at the same moment count one another."""
    name = actor.get_username()
    with transaction.atomic():
        # no_key: what they do elsewhere may refer to them meanwhile
        list(get_user_model()._default_manager.select_for_update(no_key=True).filter(pk=actor.pk).values_list("pk"))
        about = {"tenant": tenant, "template": template, "message": template.message, "channel": template.channel}
        return _counted(name, address=address, **about)


def _counted(name: str, **about: Any) -> Trial:
    if Trial.objects.filter(actor=name, at__gt=Now() - MINUTE).count() >= A_MINUTE:
        raise TooMany(_("{number} tests a minute are enough. Wait a little.").format(number=A_MINUTE))
    return Trial.objects.create(**about, actor=name, at=Now())


def _answer(channel: str, message: Message) -> str:
    """What the provider said, in a sentence. Its text is one of ours and holds no address."""
    try:
        CHANNELS[channel].ready(message)
        return _("taken by the provider: {id}").format(
            id=CHANNELS[channel](message, idempotency_key=str(new_id())).provider_id
        )
    except Busy as exc:
        return _("not taken, for now: {why}").format(why=exc)
    except Refused as exc:
        return _("refused: {why}").format(why=exc)
    except Unknown as exc:
        return _("nobody knows whether it was taken: {why}").format(why=exc)
    except Exception as exc:  # a defect or a setting: the operator is the one to see it
        return _("nobody knows whether it was taken: {why}").format(why=type(exc).__name__)

"""Whether a customer may be written to by a channel: an address, consent, and no suppression of the address.

Used by the intent fence as conditions of its UPDATE, by `fallbacks` to choose a channel, and by `consent`. The
promise: what a customer or a provider said before the intent was written counts, whoever wrote it into the tables.
"""

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower

from notifications.models import Channel, Consent, Customer, Delivery, Suppression

Reason = Delivery.Reason
COLUMNS = {Channel.EMAIL: "email", Channel.SMS: "phone", Channel.WEBHOOK: "webhook_url"}  # an inbox everybody has


def normalised(channel: str, address: str) -> str:
    """The address as suppressions have it: mail addresses do not differ by case here."""
    return address.strip().lower() if channel == Channel.EMAIL else address.strip()


def conditions(channel: str, address: str) -> list[tuple[str, Q]]:
    """For deliveries by `channel` to `address`: what has to hold, and the reason why not where it does not."""
    said = Consent.objects.filter(customer=OuterRef("customer_id"), channel=channel)
    not_refused = ~Q(Exists(said.filter(granted=False)))
    column = COLUMNS.get(Channel(channel))
    # An inbox everybody has. Not an empty Q, which `fence.why_not` could not ask for.
    always = Q(pk__isnull=False)
    same = Q(Exists(Customer.objects.filter(pk=OuterRef("customer_id"), **{column: address}))) if column else always
    barred = Suppression.objects.filter(channel=channel, address=normalised(channel, address))
    return [
        (Reason.NO_ADDRESS, same if address else Q(pk__in=[])),
        (Reason.OPTED_OUT, Q(Exists(said.filter(granted=True))) if opt_in(channel) else not_refused),
        (Reason.SUPPRESSED, ~Q(Exists(barred))),
    ]


def opt_in(channel: str) -> bool:
    """Whether silence is a no on that channel (OPT_IN_CHANNELS)."""
    return channel in settings.OPT_IN_CHANNELS


def obstacle(customer: Customer, channel: str) -> str:
    """Why this customer cannot be reached by that channel now; empty if they can."""
    address = customer.address(channel)
    if not address:
        return Reason.NO_ADDRESS
    said = Consent.objects.filter(customer=customer, channel=channel).values_list("granted", flat=True).first()
    if said is False or (said is None and opt_in(channel)):
        return Reason.OPTED_OUT
    barred = Suppression.objects.filter(channel=channel, address=normalised(channel, address))
    return Reason.SUPPRESSED if barred.exists() else ""


def reachable() -> Q:
    """A condition on deliveries of any channel: nothing stands between them and their customer."""
    said = Consent.objects.filter(customer=OuterRef("customer_id"), channel=OuterRef("channel"))
    barred = Suppression.objects.filter(
        Q(channel=Channel.EMAIL, address=Lower(OuterRef("customer__email")))
        | Q(channel=Channel.SMS, address=OuterRef("customer__phone"))
        | Q(channel=Channel.WEBHOOK, address=OuterRef("customer__webhook_url")),
        channel=OuterRef("channel"),
    )
    asked = Q(channel__in=list(settings.OPT_IN_CHANNELS))
    return ~Q(Exists(said.filter(granted=False))) & (~asked | Q(Exists(said.filter(granted=True)))) & ~Q(Exists(barred))

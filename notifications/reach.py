"""Whether a customer may be written to by a channel: an address, consent, and no suppression of the address.

Used by the intent fences as conditions of their UPDATE, by `fallbacks` to choose a channel, and by `consent`. The
promise: what a customer or a provider said before the intent was written counts, whoever wrote it into the tables.
"""

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower

from notifications.models import Channel, Consent, Customer, Delivery, Suppression

Reason = Delivery.Reason
COLUMNS = {Channel.EMAIL: "email", Channel.SMS: "phone", Channel.WEBHOOK: "webhook_url"}  # an inbox everybody has


def normalised(channel: str, address: str) -> str:
    """The address as suppressions have it: of mail addresses neither case nor the domain's spelling makes another."""
    return spellings(address.strip())[0] if channel == Channel.EMAIL else address.strip()


def spellings(address: str) -> list[str]:
    """Of a mail address, without capitals: as people write its domain, and as mail servers and providers do."""
    user, at, domain = address.lower().rpartition("@")
    try:
        read = domain.encode("ascii").decode("idna") if "xn--" in domain else domain
        written = read.encode("idna").decode("ascii")
    except UnicodeError:
        return [address.lower()]
    return list(dict.fromkeys([f"{user}{at}{read}", f"{user}{at}{written}"]))


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


def of_address(channel: str, address: str) -> list[tuple[str, Q]]:
    """The same for direct messages to an address that names nobody: a customer of the tenant may have it all the same,
    and what one of them has said about it counts.
    """
    having = {
        Channel.EMAIL: Customer.objects.alias(lower=Lower("email")).filter(lower__in=spellings(address)),
        Channel.SMS: Customer.objects.filter(phone=address),
    }[Channel(channel)]
    refused = Consent.objects.filter(channel=channel, granted=False)
    barred = Suppression.objects.filter(channel=channel, address=normalised(channel, address))
    return [
        (Reason.OPTED_OUT, ~Q(Exists(refused.filter(customer__in=having.filter(tenant=OuterRef(OuterRef("tenant"))))))),
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

"""By which channel a customer is reached: what they prefer, where they have an address, what they agreed to.

Used by `planning` for many customers at once. The promise: two queries for all of them, and one answer at a time;
the fence asks again before anything is sent.
"""

from collections.abc import Iterable

from notifications.models import Channel, Consent, Customer, Delivery, ReminderRule, Suppression
from notifications.reach import COLUMNS, normalised, opt_in

Reason = Delivery.Reason
MOST_TELLING = (Reason.OPTED_OUT, Reason.SUPPRESSED, Reason.NO_ADDRESS)  # when there are several
UNREACHABLE = frozenset(MOST_TELLING)


class Routes:
    """The consents and suppressions of some customers, in memory."""

    def __init__(self, customers: Iterable[Customer]) -> None:
        people = {customer.pk: customer for customer in customers}
        consents = Consent.objects.filter(customer__in=people)
        self._consents = {(row.customer_id, row.channel): row.granted for row in consents}
        addresses = {address for customer in people.values() for address in _addresses(customer)}
        suppressed = Suppression.objects.filter(address__in=addresses)
        self._suppressed = set(suppressed.values_list("channel", "address"))

    def channel(self, rule: ReminderRule, customer: Customer) -> tuple[str, str]:
        """The best channel that reaches the customer, and an empty reason; or one that does not, and why not."""
        reasons: dict[str, str] = {}
        for channel in by_preference(rule, customer):
            reason = self.why_not(customer, channel)
            if not reason:
                return channel, ""
            reasons.setdefault(reason, channel)
        reason = next((reason for reason in MOST_TELLING if reason in reasons), Reason.NO_ADDRESS)
        return reasons.get(reason, Channel.EMAIL), reason  # a rule without any channel must not end all planning

    def why_not(self, customer: Customer, channel: str) -> str:
        """Why nothing goes to the customer by that channel; empty if it may."""
        address = normalised(channel, customer.address(channel))
        if not address:
            return Reason.NO_ADDRESS
        if not self._consents.get((customer.pk, channel), not opt_in(channel)):
            return Reason.OPTED_OUT
        return Reason.SUPPRESSED if (channel, address) in self._suppressed else ""


def by_preference(rule: ReminderRule, customer: Customer) -> list[str]:
    """The rule's channels: those that the customer prefers first, then the others in the rule's order."""
    preferred = [channel for channel in customer.channels if channel in rule.channels]
    return preferred + [channel for channel in rule.channels if channel not in preferred]


def _addresses(customer: Customer) -> set[str]:
    return {normalised(channel, customer.address(channel)) for channel in COLUMNS} - {""}

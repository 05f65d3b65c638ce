"""What is different about a rule for a customer, a service or a location.

Used by `planning` for many anchors at once, and when a delivery is sent. The promise: one query for all rules, and
one answer: for the customer comes before service and location, that before service, that before location; and for each
of these the tenant's own before the one of all tenants.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from copy import copy

from django.db.models import Exists, OuterRef, Q

from notifications.models import Booking, Delivery, Payment, ReminderRule, RuleOverride

Anchor = Booking | Payment
FIELDS = ("active", "offset", "at_time", "channels", "useful_for")  # None: as the rule says
Place = tuple[str, int | None, str, str]


class Overrides:
    """The overrides of some rules, in memory."""

    def __init__(self, rows: Iterable[RuleOverride]) -> None:
        self._of: dict[int, dict[Place, RuleOverride]] = defaultdict(dict)
        for row in rows:
            self._of[row.rule_id][row.tenant, row.customer_id, row.service, row.location] = row
        self._made: dict[tuple[int, int], ReminderRule] = {}

    @classmethod
    def of(cls, rules: Iterable[ReminderRule], tenants: Collection[str] | None = None) -> "Overrides":
        """Those of some tenants, or all."""
        rows = RuleOverride.objects.filter(rule__in=[rule.pk for rule in rules])
        return cls(rows if tenants is None else rows.filter(tenant__in=tenants))

    def apply(self, rule: ReminderRule, anchor: Anchor) -> ReminderRule:
        """The rule as it is for this anchor: itself, or a copy, not to be saved."""
        found = self._of.get(rule.pk) and self._find(rule, anchor)
        if not found:
            return rule
        key = (rule.pk, id(found))
        if key not in self._made:
            self._made[key] = changed(rule, found)
        return self._made[key]

    def _find(self, rule: ReminderRule, anchor: Anchor) -> RuleOverride | None:
        mine = self._of[rule.pk]
        for place in _places(anchor):
            if place in mine:
                return mine[place]
        return None


def rule_of(delivery: Delivery) -> ReminderRule:
    """The rule of a delivery as it is for what the delivery is about. One query."""
    return Overrides.of([delivery.rule], {"", delivery.anchor.tenant}).apply(delivery.rule, delivery.anchor)


def changed(rule: ReminderRule, override: RuleOverride) -> ReminderRule:
    made = copy(rule)
    for name in FIELDS:
        if (value := getattr(override, name)) is not None:
            setattr(made, name, value)
    made.message = override.message or rule.message
    return made


def _places(anchor: Anchor) -> Iterable[Place]:
    """From the most specific on. A payment has no service; one for a booking has the booking's."""
    booking = anchor if isinstance(anchor, Booking) else anchor.booking
    service, location = (booking.service, booking.location) if booking else ("", "")
    for customer in (anchor.customer_id, None):
        for place in ((service, location), (service, ""), ("", location), ("", "")):
            for tenant in dict.fromkeys((anchor.tenant, "")):
                yield tenant, customer, *place


def switched_on() -> Q:
    """A condition on deliveries, for the fence: their rule is on, or on for some of those they are of."""
    rule = ReminderRule.objects.filter(pk=OuterRef("rule_id"), active=True)
    some = RuleOverride.objects.filter(
        Q(tenant="") | Q(tenant=OuterRef("tenant")), rule=OuterRef("rule_id"), active=True
    )
    mine = some.filter(Q(customer__isnull=True) | Q(customer=OuterRef("customer_id")))
    return Q(Exists(rule)) | Q(Exists(mine))

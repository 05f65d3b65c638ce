"""The tables of the product: customers, bookings, payments, rules, and the deliveries that rules make of them.

Descriptions only. Bookings change through `bookings.py`, payments through `payments.py`, deliveries through
`reminders.py`; each of these changes are guarded UPDATEs.
"""

from notifications.models.anchors import Booking, Payment, ZoneDatabase
from notifications.models.columns import Channel
from notifications.models.customers import Consent, ConsentEvent, Customer, Suppression
from notifications.models.deliveries import Delivery
from notifications.models.direct import DirectMessage
from notifications.models.messages import Breaker, BulkChange, InboxItem, OutboxMessage, ProviderEvent, Trial
from notifications.models.reports import Report, ReportMail
from notifications.models.rules import MessageTemplate, ReminderRule, RuleOverride

__all__ = [
    "Booking",
    "Breaker",
    "BulkChange",
    "Channel",
    "Consent",
    "ConsentEvent",
    "Customer",
    "Delivery",
    "DirectMessage",
    "InboxItem",
    "MessageTemplate",
    "OutboxMessage",
    "Payment",
    "ProviderEvent",
    "ReminderRule",
    "Report",
    "ReportMail",
    "RuleOverride",
    "Suppression",
    "Trial",
    "ZoneDatabase",
]

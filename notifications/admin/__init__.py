"""The owner's screens, a file for each noun. Bookings and payments change through their modules, never by a raw save,
so that reminders always follow.
"""

from notifications.admin.bookings import BookingAdmin as BookingAdmin
from notifications.admin.bulk_changes import BulkChangeAdmin as BulkChangeAdmin
from notifications.admin.consents import SuppressionAdmin as SuppressionAdmin
from notifications.admin.customers import CustomerAdmin as CustomerAdmin
from notifications.admin.deliveries import DeliveryAdmin as DeliveryAdmin
from notifications.admin.direct_messages import DirectMessageAdmin as DirectMessageAdmin
from notifications.admin.outbox import OutboxMessageAdmin as OutboxMessageAdmin
from notifications.admin.payments import PaymentAdmin as PaymentAdmin
from notifications.admin.report_mails import ReportMailAdmin as ReportMailAdmin
from notifications.admin.reports import ReportAdmin as ReportAdmin
from notifications.admin.rules import ReminderRuleAdmin as ReminderRuleAdmin
from notifications.admin.words import MessageTemplateAdmin as MessageTemplateAdmin

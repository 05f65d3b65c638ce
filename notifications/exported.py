"""What of the product may be exported: bookings, payments, deliveries and customers, with their columns and filters.

Registered by the app when it starts (`jobs.library.sources`). The promise: what tells who a customer is has a mask, for
whoever may not know; secrets, tokens and the words of messages are not here at all.
"""

from datetime import date
from typing import Literal

from django.db.models import Model
from pydantic import AwareDatetime

from jobs.library.sources import Column, Filter, Source
from notifications import privacy
from notifications.models import Booking, Channel, Customer, Delivery, Payment


def _texts(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "integer") for name in names)


def _moments(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "moment") for name in names)


def _customer(prefix: str) -> tuple[Column, ...]:
    """Who it is, seen from a row that belongs to a customer."""
    return (
        Column("customer", "integer", "customer_id"),
        Column("customer_name", path=f"{prefix}name", mask=privacy.name),
        Column("customer_email", path=f"{prefix}email", mask=privacy.email),
        Column("customer_phone", path=f"{prefix}phone", mask=privacy.phone),
    )


def _of_customers(model: type[Model], name: str, columns: tuple[Column, ...], filters: dict[str, Filter]) -> Source:
    return Source(
        name=name,
        rows=model._default_manager.all,
        permission=f"notifications.view_{model._meta.model_name}",
        reveals="notifications.reveal_customer",
        tenant="tenant",
        columns=columns,
        filters=filters,
    )


BOOKINGS = _of_customers(
    Booking,
    "bookings",
    columns=(
        *_numbers("id"),
        Column("external_id", mask=privacy.nothing),
        *_customer("customer__"),
        *_texts("service", "location", "status", "time_zone"),
        Column("wall_date", "date"),
        *_texts("wall_time"),
        *_moments("starts_at", "ends_at", "confirmed_at", "created_at"),
        *_numbers("revision"),
    ),
    filters={
        "status": Filter("status", Literal[tuple(Booking.Status.values)]),
        "customer": Filter("customer_id", int),
        "service": Filter("service"),
        "location": Filter("location"),
        "day_from": Filter("wall_date__gte", date),
        "day_until": Filter("wall_date__lte", date),
        "starts_from": Filter("starts_at__gte", AwareDatetime),
        "starts_before": Filter("starts_at__lt", AwareDatetime),
    },
)
PAYMENTS = _of_customers(
    Payment,
    "payments",
    columns=(
        *_numbers("id"),
        Column("external_id", mask=privacy.nothing),
        *_customer("customer__"),
        Column("booking", "integer", "booking_id"),
        *_texts("subject", "status", "currency"),
        Column("amount_minor", "integer", "amount"),
        Column("paid_minor", "integer", "paid_amount"),
        Column("refunded_minor", "integer", "refunded_amount"),
        Column("due_on", "date"),
        *_texts("time_zone"),
        *_moments("created_at", "closed_at"),
    ),
    filters={
        "status": Filter("status", Literal[tuple(Payment.Status.values)]),
        "customer": Filter("customer_id", int),
        "currency": Filter("currency"),
        "due_from": Filter("due_on__gte", date),
        "due_until": Filter("due_on__lte", date),
    },
)
DELIVERIES = _of_customers(
    Delivery,
    "deliveries",
    columns=(
        *_texts("id"),
        Column("rule", path="rule__name"),
        Column("booking", "integer", "booking_id"),
        Column("payment", "integer", "payment_id"),
        *_customer("customer__"),
        *_texts("channel", "state", "reason", "outcome", "provider_id"),
        Column("detail", mask=privacy.text),
        *_moments("send_at", "useful_until", "intent_at", "sent_at", "outcome_at"),
        *_numbers("revision", "occurrence", "doubts", "segments"),
        *_texts("cost", "cost_currency"),
    ),
    filters={
        "state": Filter("state", Literal[tuple(Delivery.State.values)]),
        "channel": Filter("channel", Literal[tuple(Channel.values)]),
        "customer": Filter("customer_id", int),
        "booking": Filter("booking_id", int),
        "payment": Filter("payment_id", int),
        "send_from": Filter("send_at__gte", AwareDatetime),
        "send_before": Filter("send_at__lt", AwareDatetime),
    },
)
CUSTOMERS = _of_customers(
    Customer,
    "customers",
    columns=(
        *_numbers("id"),
        Column("external_id", mask=privacy.nothing),
        Column("name", mask=privacy.name),
        Column("email", mask=privacy.email),
        Column("phone", mask=privacy.phone),
        *_texts("locale", "time_zone"),
    ),
    filters={"locale": Filter("locale"), "time_zone": Filter("time_zone")},
)
SOURCES = (BOOKINGS, PAYMENTS, DELIVERIES, CUSTOMERS)

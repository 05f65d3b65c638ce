"""The product's routers, all of them."""

from notifications.api import (
    booking_verbs,
    bookings,
    bulk_changes,
    consents,
    customers,
    deliveries,
    imports,
    inbox,
    messages,
    overrides,
    payment_verbs,
    payments,
    rules,
    templates,
)

ALL = (
    bookings.router,
    booking_verbs.router,
    payments.router,
    payment_verbs.router,
    customers.router,
    consents.router,
    rules.router,
    overrides.router,
    templates.router,
    deliveries.router,
    inbox.router,
    bulk_changes.router,
    imports.router,
    messages.router,
)

"""The product's scopes, and the permission of the admin that each one is.

Registered by the app when it starts. Making and deleting rows needs the permission for that too (`Caller.permit`).
"""

SCOPES = {
    "bookings:read": "notifications.view_booking",
    "bookings:write": "notifications.change_booking",
    "payments:read": "notifications.view_payment",
    "payments:write": "notifications.change_payment",
    "customers:read": "notifications.view_customer",
    "customers:write": "notifications.change_customer",
    "customers:reveal": "notifications.reveal_customer",
    "consents:write": "notifications.change_customer",
    "suppressions:read": "notifications.view_suppression",
    "suppressions:write": "notifications.add_suppression",
    "rules:read": "notifications.view_reminderrule",
    "rules:write": "notifications.change_reminderrule",
    "templates:read": "notifications.view_messagetemplate",
    "templates:write": "notifications.change_messagetemplate",
    "deliveries:read": "notifications.view_delivery",
    "deliveries:cancel": "notifications.cancel_delivery",
    "deliveries:resend": "notifications.retry_delivery",
    "deliveries:resolve": "notifications.resolve_delivery",
    "messages:read": "notifications.view_directmessage",
    "messages:send": "notifications.send_directmessage",
    "reports:ask": "notifications.add_report",
    "bulk:read": "notifications.view_bulkchange",
    "bulk:run": "notifications.run_bulkchange",
    # a token shows a customer's messages as they are
    "inbox:issue": "notifications.reveal_customer",
}
REVEAL = "customers:reveal"

"""The settings of what goes out: mail, SMS, webhooks, and how long a failing provider is left alone.

Part of `settings`, which imports all of it; `.env.example` explains each variable.
"""

import os
from decimal import Decimal
from typing import Any

from config.environment import DATA_DIR, HTTPS, env

EMAIL_URL = env.str("EMAIL_URL", default=f"filemail:///{DATA_DIR / 'outbox'}")
if EMAIL_URL.startswith("anymail://"):  # anymail://postmark, with ANYMAIL_POSTMARK_SERVER_TOKEN and so on
    _email: dict[str, Any] = {"EMAIL_BACKEND": f"anymail.backends.{EMAIL_URL.removeprefix('anymail://')}.EmailBackend"}
else:
    _email = env.email("EMAIL_URL", default=EMAIL_URL)
EMAIL_BACKEND = _email["EMAIL_BACKEND"]
if EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend":
    EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"  # knows whether the server took the message
EMAIL_HOST = _email.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = _email.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _email.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _email.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = _email.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _email.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _email.get("EMAIL_FILE_PATH")
EMAIL_TIMEOUT = 10  # seconds, for each answer of a mail server
EMAIL_TOTAL_TIMEOUT = 30.0  # for a whole mail
EMAIL_LIMITS: dict[str, Any] = {"connect": 5.0, "read": 15.0, "total": 25.0}  # of a provider's API
_anymail = {name.removesuffix("_FILE") for name in os.environ if name.startswith("ANYMAIL_")}
ANYMAIL: dict[str, Any] = {
    "IGNORE_UNSUPPORTED_FEATURES": True,  # a header that a provider cannot carry must not stop the mail
    **{name.removeprefix("ANYMAIL_"): env.str(name) for name in _anymail},
}
DEFAULT_FROM_EMAIL = env.str("FROM_EMAIL", default="Punctual <reminders@localhost>")

# What to do when nobody knows whether a provider took a message: see notifications/guarantees.py.
CHANNEL_POLICIES = env.dict("CHANNEL_POLICIES", default={})  # email=resend,webhook=hold
KEYS_LAST_HOURS = env.dict("KEYS_LAST_HOURS", default={})  # email=24: how long a provider knows repetitions

BREAKER_FAILURES = env.int("BREAKER_FAILURES", default=5)  # in a row, then a provider is left alone
BREAKER_SECONDS = env.int("BREAKER_SECONDS", default=30)  # until one message goes as a probe

TWILIO_ACCOUNT_SID = env.str("TWILIO_ACCOUNT_SID", default="")  # empty: SMS stay in the outbox
TWILIO_AUTH_TOKEN = env.str("TWILIO_AUTH_TOKEN", default="")  # also signs what Twilio tells us
TWILIO_API_KEY = env.str("TWILIO_API_KEY", default="")
TWILIO_API_SECRET = env.str("TWILIO_API_SECRET", default="")
TWILIO_FROM = env.str("TWILIO_FROM", default="")
TWILIO_MESSAGING_SERVICE_SID = env.str("TWILIO_MESSAGING_SERVICE_SID", default="")
TWILIO_API_BASE = env.str("TWILIO_API_BASE", default="https://api.twilio.com")
TWILIO_CA_FILE = env.str("TWILIO_CA_FILE", default="")
TWILIO_LIMITS: dict[str, Any] = {"connect": 5.0, "read": 10.0, "total": 20.0}  # seconds
SMS_PRICE = Decimal(price) if (price := env.str("SMS_PRICE", default="")) else None  # of one part, as an estimate
SMS_PRICE_CURRENCY = env.str("SMS_PRICE_CURRENCY", default="USD")

WEBHOOK_ALLOW_PRIVATE = env.bool(
    "WEBHOOK_ALLOW_PRIVATE", default=False
)  # http and private addresses: never in production
WEBHOOK_OUTBOX = env.bool("WEBHOOK_OUTBOX", default=not HTTPS)  # keep them in the outbox instead of sending them
WEBHOOK_CA_FILE = env.str("WEBHOOK_CA_FILE", default="")
WEBHOOK_LIMITS: dict[str, Any] = {"connect": 5.0, "read": 10.0, "total": 15.0, "body": 65536}

CALLBACK_SECRET = env.str("CALLBACK_SECRET", default="")  # of callbacks in our own format; empty: none are accepted

# Channels on which a customer gets nothing before they said yes; on the others, until they say no.
OPT_IN_CHANNELS = env.list("OPT_IN_CHANNELS", default=[])

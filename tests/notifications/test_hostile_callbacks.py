"""What is signed and no event: refused as what is not signed, and never a mistake of ours."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from standardwebhooks.webhooks import Webhook

from notifications.models import ProviderEvent

pytestmark = pytest.mark.django_db
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODIES = {
    "no JSON": ("{", 403),
    "100,000 deep": ("[" * 100_000, 403),
    "a list": ("[]", 400),
    "half a surrogate pair": (r'{"type": "delivered", "data": {"code": "\ud800"}}', 400),
    "a type that there is not": ('{"type": "opened", "data": {}}', 400),
}


@pytest.mark.parametrize("body, status", BODIES.values(), ids=BODIES)
def test_what_is_no_event_is_refused(client: Client, settings: Any, body: str, status: int) -> None:
    settings.CALLBACK_SECRET, now = SECRET, datetime.now(UTC)
    headers = {
        "webhook-id": "e-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("e-1", now, body),
    }
    answer = client.post("/callbacks/generic/", body, content_type="application/json", headers=headers)
    assert answer.status_code == status and not ProviderEvent.objects.exists()

"""The limit of an address: whoever tries a password or two on each of many names is stopped too.

Used by axes (AXES_HANDLER), which keeps the count per name and address and looks at one pair at a time.
"""

from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest

from config.logins import client_address


class Handler(AxesDatabaseHandler):  # type: ignore[misc]  # untyped
    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        return bool(super().is_locked(request, credentials)) or self._is_guessing(request)

    def _is_guessing(self, request: HttpRequest) -> bool:
        lately = AccessAttempt.objects.filter(
            ip_address=client_address(request), attempt_time__gte=get_cool_off_threshold(request)
        )
        failures: int | None = lately.aggregate(failures=Sum("failures_since_start"))["failures"]
        return (failures or 0) >= int(settings.LOGIN_ATTEMPTS_OF_ADDRESS)

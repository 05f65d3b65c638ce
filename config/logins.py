"""How often one may try to log in, and call the API. Imported whole by `settings`.

Too many wrong passwords for one name from one address refuse that pair for a while, the right password included. An
address that has tried too many, whichever names it gave, waits as well (`lockout.py`). Of IPv6 a network (/64) counts
as one address. The count is in the database, so that all web processes know it. Names that nobody has are treated as
the others.
"""

from datetime import timedelta
from ipaddress import ip_address, ip_network

from django.http import HttpRequest

from config.environment import env

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]

AXES_FAILURE_LIMIT = env.int("LOGIN_ATTEMPTS", default=5)
LOGIN_ATTEMPTS_OF_ADDRESS = env.int("LOGIN_ATTEMPTS_OF_ADDRESS", default=50)  # many people may share one
AXES_HANDLER = "config.lockout.Handler"
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_WAIT_MINUTES", default=15))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # of the name alone, anybody could lock out everybody
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the wait ends as promised
AXES_CLIENT_IP_CALLABLE = "config.logins.client_address"
AXES_LOCKOUT_TEMPLATE = "admin/too_many_logins.html"
AXES_DISABLE_ACCESS_LOG = True  # who logged in is in the user's row
AXES_ENABLE_ADMIN = False  # config/admin.py has it, in the theme
AXES_VERBOSE = False

# Requests a minute through the API; 0: no limit. A key may have one of its own; behind an address may be many programs.
API_RATE_OF_KEY = env.int("API_RATE_OF_KEY", default=600)
API_RATE_OF_ADDRESS = env.int("API_RATE_OF_ADDRESS", default=3000)

_BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)


def client_address(request: HttpRequest) -> str:
    """Where a request comes from, as it is counted. Of X-Forwarded-For the last entry is the proxy's; anybody can write
    the others.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if _BEHIND_PROXY else ""
    return _counted_as(forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", "")))


def _counted_as(address: str) -> str:
    """Of IPv6 the first address of its /64: one subscriber has all 2^64 of them. IPv4 within IPv6 is IPv4. What is no
    address (a socket's empty name) stays as it is.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ip_network((int(found), 64), strict=False).network_address)

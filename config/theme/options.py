"""The theme's options and what browsers may load. Imported whole by `settings`, like `config/messages.py`.

The promise: pages ask no other host for anything, and no script runs but those that we serve.
"""

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.utils.translation import gettext_lazy as _

from config.environment import env

# Where people reach Flower; `make run` sets it. Empty: the admin has no link to it.
FLOWER_URL = env.str("FLOWER_URL", default="")

LANGUAGES = [("en", _("English")), ("de", _("German"))]

UNFOLD = {
    "SITE_TITLE": "Punctual",
    "SITE_HEADER": "Punctual",
    "SITE_SUBHEADER": _("Reminders, once and on time"),
    "SITE_SYMBOL": "schedule",
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "#eff6ff",
            "100": "#dbeafe",
            "200": "#bfdbfe",
            "300": "#93c5fd",
            "400": "#60a5fa",
            "500": "#3b82f6",
            "600": "#1d4ed8",
            "700": "#1e40af",
            "800": "#1e3a8a",
            "900": "#172554",
            "950": "#0f172a",
        },
        "font": {
            # The theme's own grey on grey is too faint to be read (WCAG AA asks for 4.5 : 1).
            "subtle-light": "var(--color-base-600)",
            "subtle-dark": "var(--color-base-300)",
            "default-light": "var(--color-base-700)",
            "default-dark": "var(--color-base-200)",
            "important-light": "var(--color-base-900)",
            "important-dark": "var(--color-base-100)",
        },
    },
    "STYLES": ["config.theme.files.style"],
    "SCRIPTS": ["config.theme.files.script"],
    "DASHBOARD_CALLBACK": "config.dashboard.page.callback",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "config.theme.files.icon"}],
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "config.theme.sidebar.navigation",
    },
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # The theme's Alpine evaluates the expressions in its templates. The nonce is for what is inline in ours.
        "script-src": [SELF, UNSAFE_EVAL, NONCE],
        "style-src": [SELF, UNSAFE_INLINE],  # style attributes of the theme and of its charts
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

"""Addresses of our own style sheet, script and icon, asked for by the theme with each page."""

from django.http import HttpRequest
from django.templatetags.static import static


def style(request: HttpRequest) -> str:
    return static("theme/theme.css")


def script(request: HttpRequest) -> str:
    return static("theme/theme.js")


def icon(request: HttpRequest) -> str:
    return static("theme/icon.svg")

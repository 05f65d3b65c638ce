"""The pages behind the links in messages: unsubscribe and confirm. No login: the link is the permission.

The promise: opening a link changes nothing (mail scanners and previews open them all), a POST does, and doing it twice
is doing it once. Mail programs unsubscribe with a POST of their own, RFC 8058, which brings no CSRF token.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications import bookings, consent, links
from notifications.models import Booking, Channel, Consent, Customer
from notifications.rendering import facts_of

Source = consent.Source
Page = Callable[[HttpRequest, str], HttpResponse]


def _public(page: Page) -> Page:
    """For everybody with a link: not kept by caches, not found by search engines, not told to the next site."""

    @wraps(page)
    def guarded(request: HttpRequest, token: str) -> HttpResponse:
        try:
            answer = page(request, token)
        except (links.Broken, Customer.DoesNotExist, Booking.DoesNotExist):
            answer = render(request, "public/broken.html", status=404)
        answer["Referrer-Policy"] = "no-referrer"
        answer["X-Robots-Tag"] = "noindex"
        return answer

    return csrf_exempt(require_http_methods(["GET", "HEAD", "POST"])(never_cache(guarded)))


@_public
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows; POST says no, or with `again` yes."""
    link = links.read_unsubscribe(token)
    customer, channel = Customer.objects.get(pk=link.customer), Channel(link.channel)
    if request.method == "POST":
        one_click = request.POST.get("List-Unsubscribe") == "One-Click"
        consent.record(
            customer,
            channel,
            granted="again" in request.POST,
            source=Source.ONE_CLICK if one_click else Source.UNSUBSCRIBE_LINK,
            actor="the customer",
            evidence=f"POST from a browser, {request.headers.get('User-Agent', 'without a name')[:200]}",
        )
    said = Consent.objects.filter(customer=customer, channel=channel).first()
    return _page(request, customer, "unsubscribe", channel=channel.label, off=bool(said and not said.granted))


@_public
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows the booking; POST says that the customer will come."""
    link = links.read_confirm(token)
    booking = Booking.objects.select_related("customer").get(pk=link.booking)
    refused = ""
    if request.method == "POST":
        try:
            bookings.confirm(booking, revision=link.revision)
        except bookings.NotOpen:
            booking.refresh_from_db()
            refused = "yes"
    status = 409 if refused else 200
    outdated = booking.revision != link.revision or booking.status != Booking.Status.BOOKED
    facts = facts_of(booking, booking.customer)
    return _page(request, booking.customer, "confirm", status, booking=booking, outdated=outdated, facts=facts)


def _page(request: HttpRequest, customer: Customer, name: str, status: int = 200, **context: Any) -> HttpResponse:
    language = customer.locale.replace("_", "-").lower()
    with translation.override(language):
        return render(request, f"public/{name}.html", {"customer": customer, **context}, status=status)


urlpatterns = [
    path("unsubscribe/<str:token>", unsubscribe, name="unsubscribe"),
    path("confirm/<str:token>", confirm, name="confirm"),
]

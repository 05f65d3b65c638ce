"""Money: as many decimals as ISO 4217 counts, said as the reader's language says it."""

from decimal import Decimal

import pytest
from babel import Locale
from babel.numbers import format_currency, list_currencies
from django.utils import translation

from notifications import amounts, rendering
from notifications.imports import cells
from tests.factories import alice, make_payment


@pytest.mark.parametrize(
    ("currency", "minor", "english", "german"),
    [
        ("EUR", 1250, "€12.50", "12,50 €"),
        ("JPY", 1250, "¥1,250", "1.250 ¥"),
        ("KWD", 1250, "KWD1.250", "1,250 KWD"),
        ("RSD", 125050, "RSD1,250.50", "1.250,50 RSD"),
        ("ALL", 50000, "ALL500.00", "500,00 ALL"),
        ("IQD", 1250000, "IQD1,250.000", "1.250,000 IQD"),
    ],
    ids=["EUR", "JPY", "KWD", "RSD", "ALL", "IQD"],
)
def test_minor_units_are_those_of_iso_4217(currency: str, minor: int, english: str, german: str) -> None:
    """A hundred times of it was asked for where Babel counts no coins: Serbia, Albania, Iraq ..."""
    for language, expected in (("en", english), ("de", german)):
        with translation.override(language):
            shown = amounts.written(minor, currency).replace("\xa0", " ")
        assert shown == expected
    assert amounts.minor(amounts.major(minor, currency), currency) == minor
    assert cells.money(str(amounts.major(minor, currency)), currency) == minor


@pytest.mark.django_db
def test_the_customer_is_asked_for_what_was_handed_over() -> None:
    payment = make_payment(alice(locale="en"), amount=125050, currency="RSD")
    facts = rendering.facts_of(payment, payment.customer)
    assert facts["owed"] == facts["payments"][0]["owed"] == facts["total"] == "RSD1,250.50"


@pytest.mark.parametrize("language", ["en", "de", "fr_CH", "hi", "ar", "ja"])
def test_everywhere_else_it_is_said_as_babel_says_it(language: str) -> None:
    locale = Locale.parse(language)
    for currency in sorted(list_currencies() - amounts.ISO.keys()):
        for minor in (0, 7, -50, 123_456_789):
            amount = Decimal(minor).scaleb(-amounts.decimals(currency))
            assert amounts.said(minor, currency, locale) == format_currency(amount, currency, locale=locale)

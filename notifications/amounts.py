"""Money between people and rows: rows count minor units (1250 is twelve euros fifty), people read and type 12.50.

Used by the admin's forms and pages, the importers and the words of messages. The promise: no amount is rounded; one
with too many decimals is refused; and how many there are is what ISO 4217 says, since that is what programs hand over.
"""

from copy import copy
from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.numbers import get_currency_precision, is_currency
from django.utils.translation import get_language, gettext as _

MOST = 10**15  # minor units; more is a slip of the hand
# Babel counts the decimals that people still write. Where coins have gone out of use ISO counts them all the same:
# 125000 RSD are 1,250 dinars and not a hundred times as much.
TWO = ("AFN", "ALL", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SLL", "SOS", "SYP", "YER")
ISO = dict.fromkeys(TWO, 2) | {"IQD": 3}


def decimals(currency: str) -> int:
    return ISO.get(currency, get_currency_precision(currency))


def minor(amount: Decimal, currency: str) -> int:
    """In minor units. Raises ValueError for what the currency has no coins for, and for absurd sums."""
    if not is_currency(currency):
        return int(amount)  # whoever checks the currency says what is wrong
    exact = amount.scaleb(decimals(currency))
    if exact != exact.to_integral_value():
        raise ValueError(_("{currency} has no such small coins.").format(currency=currency))
    if abs(exact) > MOST:
        raise ValueError(_("That is too much."))
    return int(exact)


def major(amount: int, currency: str) -> Decimal:
    """As people write it."""
    return Decimal(amount).scaleb(-decimals(currency))


def written(amount: int, currency: str) -> str:
    """As the reader's language writes it: €12.50."""
    try:
        locale = Locale.parse((get_language() or "en").replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        locale = Locale("en")
    return said(amount, currency, locale)


def said(amount: int, currency: str, locale: Locale) -> str:
    """The same in a language of one's choice."""
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (decimals(currency),) * 2
    return str(pattern.apply(major(amount, currency), locale, currency=currency, currency_digits=False))

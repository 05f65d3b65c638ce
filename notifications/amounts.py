"""Money between people and rows: rows count minor units (1250 is twelve euros fifty), people read and type 12.50.

Used by the admin's forms and pages. The promise: no amount is rounded; one with too many decimals is refused.
"""

from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, get_currency_precision, is_currency
from django.utils.translation import get_language, gettext as _

MOST = 10**15  # minor units; more is a slip of the hand


def minor(amount: Decimal, currency: str) -> int:
    """In minor units. Raises ValueError for what the currency has no coins for, and for absurd sums."""
    if not is_currency(currency):
        return int(amount)  # whoever checks the currency says what is wrong
    exact = amount.scaleb(get_currency_precision(currency))
    if exact != exact.to_integral_value():
        raise ValueError(_("{currency} has no such small coins.").format(currency=currency))
    if abs(exact) > MOST:
        raise ValueError(_("That is too much."))
    return int(exact)


def major(amount: int, currency: str) -> Decimal:
    """As people write it."""
    return Decimal(amount).scaleb(-get_currency_precision(currency))


def written(amount: int, currency: str) -> str:
    """As the reader's language writes it: €12.50."""
    try:
        locale = Locale.parse((get_language() or "en").replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        locale = Locale("en")
    return str(format_currency(major(amount, currency), currency, locale=locale))

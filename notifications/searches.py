"""What a search among bookings means: in the admin's list, and in a change to many that keeps it.

Each word, or "several in quotes", has to be found: in the customer's name, e-mail address or phone number (any part;
an address with something before its @ from its beginning, a number of five digits or more), or at the beginning of the
booking's number or of its service. The promise: the customers are looked through, who are fewer, and
bookings only for what is found in many of them.
"""

import re

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.utils.text import smart_split, unescape_string_literal

from notifications.models import Booking, Customer

FEWEST_DIGITS = 5  # of a phone number: shorter ones are rather a booking's
SEPARATORS = re.compile(r"[\s()/.-]")
RARE = 10_000  # bookings, and customers, that a word may find to be looked up by ids; a list counts no further either


def searched(rows: QuerySet[Booking], text: str, *, whole: bool = False) -> QuerySet[Booking]:
    """Those that all words are found for. `whole`: of a customer only a whole name, address or number."""
    for word in [text.strip()] if whole and '"' not in text and text.strip() else words(text):
        rows = rows.filter(_rare(word, whole) or _common(word, whole))
    return rows


def _rare(word: str, whole: bool) -> Q | None:
    """What the word finds, by two queries. None if that is much.

    Asked for the newest 50 of it, PostgreSQL would rather walk through all bookings, the newest first, and hope.
    """
    people = list(_customers(word, whole).order_by().values_list("pk", flat=True)[: RARE + 1])
    if len(people) > RARE:
        return None
    mine = Booking.objects.order_by().values_list("pk", flat=True)
    ways = [mine.filter(external_id__begins=word), mine.filter(service__begins=word)]
    ids = list(mine.filter(customer__id__among=people).union(*ways, all=True)[: RARE + 1])
    return Q(pk__among=ids) if len(ids) <= RARE else None


def _common(word: str, whole: bool) -> Q:
    """The same. Of what is found often the newest 50 are soon found."""
    either = Q(external_id__begins=word) | Q(service__begins=word)
    return either | Q(customer__in=_customers(word, whole).values("pk"))


def words(text: str) -> list[str]:
    """As the admin splits them."""
    return [plain for word in smart_split(text) if (plain := _plain(word).strip())]


def _plain(word: str) -> str:
    quoted = len(word) > 1 and word[0] in "\"'" and word[0] == word[-1]
    return unescape_string_literal(word) if quoted else word


def _customers(word: str, whole: bool) -> QuerySet[Customer]:
    number = _number(word)
    if "@" in word[1:]:
        if whole:
            return Customer.objects.alias(lower_email=Lower("email")).filter(lower_email=word.lower())
        return Customer.objects.filter(email__begins=word)
    if whole:
        return Customer.objects.filter(Q(name__iexact=word) | Q(phone=f"+{number}"))
    either = Q(name__icontains=word) | Q(email__icontains=word)
    return Customer.objects.filter(either | Q(phone__contains=number.lstrip("0")) if number else either)


def _number(word: str) -> str:
    """The digits of what looks like a phone number. Empty for anything else."""
    digits = SEPARATORS.sub("", word).removeprefix("+")
    looks_so = digits.isascii() and digits.isdecimal() and len(digits.lstrip("0")) >= FEWEST_DIGITS
    return digits if looks_so else ""

"""What the product's verbs refuse, as problems of the API.

Used by the routers around every verb. The promise: a refusal has changed nothing, and says what is in the way.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pydantic

from jobs.api.problems import Problem, invalid
from notifications.bookings import NotOpen
from notifications.wording import BadTemplate


@contextmanager
def refusing(field: str) -> Iterator[None]:
    """`field` is what a ValueError within speaks of."""
    try:
        yield
    except NotOpen as exc:
        raise Problem(409, str(exc)) from exc
    except BadTemplate as exc:
        raise Problem(422, str(exc), errors=[{"field": field, "message": str(exc)}]) from exc
    except pydantic.ValidationError as exc:
        told = "; ".join(str(error["msg"]).removeprefix("Value error, ") for error in exc.errors())
        raise invalid(field, told) from exc
    except ValueError as exc:
        raise invalid(field, str(exc)) from exc

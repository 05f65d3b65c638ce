"""One mapping from every scale of priorities to the four names: LOW, NORMAL, HIGH, URGENT. Pure.

Used by `Priority.of`, for the API, imports and Django's tasks. Numbers of different systems mean opposite things (1 is
the last of 1 to 20, and the first of 1 to 10), so a number is never passed on: it is read on its own scale, to a name.
"""

from bisect import bisect_right

NAMES = ("LOW", "NORMAL", "HIGH", "URGENT")
WORDS = {"low": "LOW", "normal": "NORMAL", "medium": "NORMAL", "high": "HIGH", "urgent": "URGENT", "critical": "URGENT"}

# scale: (least, greatest, where the second, third and fourth name begin, the names in that order)
SCALES = {
    "ours": (1, 20, (5, 10, 20), NAMES),  # higher first; LOW 1, NORMAL 5, HIGH 10, URGENT 20
    "ten": (1, 10, (3, 5, 8), NAMES[::-1]),  # 1 first, as in BullMQ: 1-2, 3-4, 5-7, 8-10
    "bullmq": (1, 2**21, (3, 5, 8), NAMES[::-1]),  # the same, and all past 10 are LOW; 0 is none there
    "agenda": (-20, 20, (0, 10, 20), NAMES),  # higher first; low -10, normal 0, high 10, highest 20
    "django": (-100, 100, (0, 1, 51), NAMES),  # higher first, 0 is usual
    "redis": (0, 9, (3, 6, 9), NAMES[::-1]),  # Celery on Redis: 0 first, in kombu's four steps 0, 3, 6, 9
    "amqp": (0, 9, (3, 6, 9), NAMES),  # Celery on RabbitMQ: 9 first
}


def name_of(value: int | str, scale: str = "ours") -> str:
    """The name for a word, in any case, or for a number of the scale. Raises ValueError."""
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        name = WORDS.get(value.strip().lower())
        if name is None:
            raise ValueError(f"There is no priority {value!r}. There are {', '.join(WORDS)}.")
        return name
    if scale not in SCALES:
        raise ValueError(f"There is no scale {scale!r}. There are {', '.join(SCALES)}.")
    least, greatest, begins, names = SCALES[scale]
    number = int(value)
    if not least <= number <= greatest:
        raise ValueError(f"The priority {number} is not on the scale {scale!r} from {least} to {greatest}.")
    return names[bisect_right(begins, number)]

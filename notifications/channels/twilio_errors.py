"""What Twilio's error codes mean for us. Data only; used when sending and for status callbacks.

https://www.twilio.com/docs/api/errors. A code that is not here is judged by the HTTP status when sending, and in a
callback means that this one message was not delivered.
"""

from enum import Enum

from notifications.channels.base import Busy, Down, Refused, Throttled, Unknown


class Kind(Enum):
    RATE = "told to slow down"
    DOWN = "the provider is not well"
    OURS = "our account or number has to be mended"
    UNKNOWN = "nobody knows what became of it"
    TRANSIENT = "not reachable at the moment"
    REFUSED = "not this message"
    NO_SUCH_NUMBER = "the number takes no SMS"
    STOPPED = "the recipient said STOP"
    BLOCKED = "the recipient's carrier blocks us"


SUPPRESS = {Kind.NO_SUCH_NUMBER: "bounce", Kind.STOPPED: "stop", Kind.BLOCKED: "blocked"}

_CODES: dict[Kind, tuple[int, ...]] = {
    Kind.RATE: (14107, 20429, 21611, 30001, 30017, 30022, 30023, 63018, 63038),
    Kind.DOWN: (20503, 30028),
    Kind.OURS: (
        *(20003, 20005, 20006, 20008, 20404),  # credentials, account
        *(21601, 21603, 21606, 21659, 21660, 21661),  # the sending number
        *(21609, 21701, 21703, 21704, 21705),  # the callback's address, the messaging service
        *(30002, 30018, 30034, 90010),  # suspended, not registered with carriers
    ),
    Kind.UNKNOWN: (20500, 20504),
    Kind.TRANSIENT: (30003, 30008, 30009, 30010, 30036),
    Kind.REFUSED: (21408, 21602, 21604, 21605, 21608, 21612, 21617, 21619, 21620, 21623, 30007, 30019),
    Kind.NO_SUCH_NUMBER: (21211, 21214, 21217, 21614, 21635, 30005, 30006, 60200),
    Kind.STOPPED: (21610,),
    Kind.BLOCKED: (30004,),
}
KINDS: dict[int, Kind] = {code: kind for kind, codes in _CODES.items() for code in codes}

RAISES: dict[Kind, type[Exception]] = {
    Kind.RATE: Throttled,
    Kind.DOWN: Down,
    Kind.OURS: Down,
    Kind.UNKNOWN: Unknown,
    Kind.TRANSIENT: Busy,
    Kind.REFUSED: Refused,
    Kind.NO_SUCH_NUMBER: Refused,
    Kind.STOPPED: Refused,
    Kind.BLOCKED: Refused,
}


def kind(code: int, status: int) -> Kind:
    """Of an answer to a request: by Twilio's code, else by the HTTP status (a gateway's words have no code)."""
    if code in KINDS:
        return KINDS[code]
    if status == 429:
        return Kind.RATE
    if status in (401, 403, 404):
        return Kind.OURS
    return Kind.REFUSED if 400 <= status < 500 else Kind.UNKNOWN

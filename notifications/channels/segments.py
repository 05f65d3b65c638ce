"""How many parts an SMS has, which is what it costs. Pure.

160 septets of the GSM 03.38 alphabet fit into one SMS, 153 into each part of a longer one; a single other character
makes it UCS-2: 70, and 67 per part. An escaped character (two septets) or a surrogate pair is never cut in two.
"""

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
ESCAPED = frozenset("\f^{}\\[~]|€")


def is_gsm(text: str) -> bool:
    return all(sign in BASIC or sign in ESCAPED for sign in text)


def count(text: str) -> int:
    """Parts that a text is sent in; 1 for an empty one."""
    if is_gsm(text):
        return _parts([2 if sign in ESCAPED else 1 for sign in text], 160, 153)
    return _parts([2 if ord(sign) > 0xFFFF else 1 for sign in text], 70, 67)


def _parts(widths: list[int], alone: int, each: int) -> int:
    if sum(widths) <= alone:
        return 1
    parts, used = 1, 0
    for width in widths:
        if used + width > each:
            parts, used = parts + 1, 0
        used += width
    return parts

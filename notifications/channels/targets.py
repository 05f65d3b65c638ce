"""Which addresses of the network a customer's webhook may reach: public ones, judged after the name was resolved.

Pure. The accident: a webhook address that names our own database, a neighbour or the cloud's metadata service.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last 32 bits
# Public by their numbers only: of the IETF's protocols (Oracle's metadata), Azure's host agent, sites of old
NOT_PUBLIC = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"), IPv6Network("fec0::/10"))
PORTS_BELOW_1024 = {80, 443}


def is_public(address: str) -> bool:
    """Whether the whole world can reach this IP address; False for anything that is none."""
    try:
        ip = _within(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or any(ip in net for net in NOT_PUBLIC))


def _within(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, since that is where packets may end."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


def problem(url: str, *, https_only: bool) -> str:
    """What is wrong with the address of a webhook before anything is resolved; empty if nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "the address is none"
    if parts.scheme not in (("https",) if https_only else ("https", "http")):
        return "the address is not https"
    if not parts.hostname or not url.isascii() or any(sign in url for sign in " \t\r\n\\"):
        return "the address is none"
    if "@" in parts.netloc:
        return "the address holds a user name"
    if https_only and port < 1024 and port not in PORTS_BELOW_1024:
        return "the address names a port of another service"
    return ""

"""Which addresses a webhook may reach: those that anybody on the internet could reach anyway."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]

# In brackets, or without a colon, or (IPv6 alone) with several; then the port.
_NAME_SERVER = re.compile(
    r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*))(?::([0-9]{1,5}))?"
)

# Not `ipaddress.is_global`: what it says differs between patch levels of Python. For IPv6 most of the space is not
# in use, so what is in use is listed, and what of that is special.
_REFUSED_4 = (
    "0.0.0.0/8",  # this network, RFC 791
    "10.0.0.0/8",  # private, RFC 1918
    "100.64.0.0/10",  # shared by carriers, RFC 6598; Alibaba's metadata too, 100.100.100.200
    "127.0.0.0/8",  # loopback, RFC 1122
    "168.63.129.16/32",  # Azure's wire server; its block is public otherwise
    "169.254.0.0/16",  # link-local, RFC 3927; most clouds' metadata, 169.254.169.254
    "172.16.0.0/12",  # private, RFC 1918
    "192.0.0.0/24",  # protocol assignments, RFC 6890; Oracle's metadata too, 192.0.0.192
    "192.0.2.0/24",  # documentation, RFC 5737
    "192.31.196.0/24",  # AS112, RFC 7535
    "192.52.193.0/24",  # AMT, RFC 7450
    "192.88.99.0/24",  # relays of 6to4, RFC 7526
    "192.168.0.0/16",  # private, RFC 1918
    "192.175.48.0/24",  # AS112, RFC 7534
    "198.18.0.0/15",  # benchmarks, RFC 2544
    "198.51.100.0/24",  # documentation, RFC 5737
    "203.0.113.0/24",  # documentation, RFC 5737
    "224.0.0.0/4",  # multicast, RFC 5771
    "240.0.0.0/4",  # reserved, RFC 1112; broadcast, RFC 919
)
_GLOBAL_6 = "2000::/3"  # global unicast, RFC 4291
# All else is refused by that: ::/8 with loopback, mapped and compatible addresses, 64:ff9b::/96 (NAT64, RFC 6052),
# 64:ff9b:1::/48 (RFC 8215), 100::/64 (discard, RFC 6666), 5f00::/16 (RFC 9602), fc00::/7 (ULA, RFC 4193; metadata of
# AWS, fd00:ec2::254), fe80::/10 (link-local), fec0::/10 (site-local, RFC 3879), ff00::/8 (multicast).
_REFUSED_6 = (
    "2001::/23",  # protocol assignments, RFC 2928: Teredo (RFC 4380), benchmarks (RFC 5180), ORCHID (RFC 7343)
    "2001:db8::/32",  # documentation, RFC 3849
    "2002::/16",  # 6to4: embeds an IPv4 address, RFC 3056
    "2620:4f:8000::/48",  # AS112, RFC 7534
    "3ffe::/16",  # 6bone, given back, RFC 3701
    "3fff::/20",  # documentation, RFC 9637
)
_TABLE_4 = tuple(IPv4Network(network) for network in _REFUSED_4)
_TABLE_6 = tuple(IPv6Network(network) for network in _REFUSED_6)
_UNICAST_6 = IPv6Network(_GLOBAL_6)
# ISATAP (RFC 5214) puts the IPv4 address last, after 0000:5efe or 0200:5efe.
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


def address_allowed(address: Address, allowed: Networks) -> bool:
    """Whether requests may go to the address: anybody may reach it, or it lies in one of the `allowed` networks.

    What embeds an IPv4 address is refused whatever that is, and allowed by an IPv6 network alone.
    """
    return listed(address, allowed) or _public(address)


def listed(address: Address, networks: Networks) -> bool:
    """Whether the address lies in one of the networks."""
    return any(address in network for network in networks)


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks from a list with commas, such as `10.1.2.0/24, ::1`; an address alone is a network of one.

    Raises ValueError, which says what to write.
    """
    try:
        return tuple(ip_network(part) for part in map(str.strip, text.split(",")) if part)
    except ValueError as error:
        # An address with bits behind the mask is refused rather than rounded: it may be a mask mistyped.
        raise ValueError(
            "Write networks as in 10.1.2.0/24,::1/128: with commas, no bits set behind the mask."
        ) from error


def parse_name_server(text: str) -> tuple[str, int]:
    """Address and port of a DNS server: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:53`.

    Raises ValueError, which says what to write.
    """
    match = _NAME_SERVER.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        address, port = ip_address(match[1] or match[2]), int(match[3] or 53)
        if not 0 < port < 65_536:
            raise ValueError
    except ValueError as error:
        raise ValueError(
            "Write DNS servers as addresses, as in 192.0.2.53,192.0.2.54:5353,[2001:db8::53]:53."
        ) from error
    return str(address), port


def parse_name_servers(text: str) -> list[tuple[str, int]]:
    """The same for all of a list, `ADDRESS,ADDRESS`; it may be empty."""
    return [parse_name_server(server) for server in text.split(",") if server]


def _public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not listed(address, _TABLE_4)
    # A zone names an interface of this machine.
    if address.scope_id is not None or address not in _UNICAST_6 or listed(address, _TABLE_6):
        return False
    return int(address) >> 32 & 0xFFFF_FFFF not in _ISATAP

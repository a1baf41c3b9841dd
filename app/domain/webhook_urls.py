"""The URLs that a webhook may have, as far as this can be told without asking the DNS."""

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

from app.domain.errors import InvalidRequestError
from app.domain.webhook_addresses import Address, Networks, address_allowed, listed, parse_networks

__all__ = ["Networks", "WebhookUrl", "WebhookUrlError", "address_allowed", "parse_networks", "parse_webhook_url"]

INVALID = "invalid_webhook_url"
NOT_ALLOWED = "webhook_url_not_allowed"
MAX_LENGTH = 2_048

_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_DEFAULT_PORTS = {"https": 443, "http": 80}
# From 1024 on, the bad ports of the Fetch standard: servers that might read a request as their own language.
_BAD_PORTS = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080)
)
# RFC 3986, appendix B, with the authority taken apart. urlsplit() is not used: it drops tabs, line ends and blanks.
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^#]*)(#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?", re.ASCII)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
# What inet_aton or a browser takes for an IPv4 address: the last part is a number. No top-level domain is one.
_NUMBER_LAST = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
# Other names in IDNA 2003, which the standard library has, than in the browsers' IDNA: not for us to choose.
_AMBIGUOUS = frozenset("ß\u03c2\u200c\u200d")
_INSIDE = (".local", ".internal", ".home.arpa", ".localdomain")
_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")
# What may stand in a path or query as it is; `%` was looked at before.
_TARGET = "%/?:@!$&'()*+,;=[]|"


class WebhookUrlError(InvalidRequestError):
    """The URL is none (INVALID), or leads where requests may not go (NOT_ALLOWED)."""

    code = INVALID


@dataclass(frozen=True)
class WebhookUrl:
    """A URL taken apart. All of it is ASCII; `host` is in lower case, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def address(self) -> Address | None:
        """The host, if it is a literal address."""
        return _literal(self.host)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that the host is known to mean without the DNS; empty if the DNS is to be asked."""
        if self.host == "localhost":
            return _LOOPBACK
        return (self.address,) if self.address else ()

    @property
    def netloc(self) -> str:
        """Host and port as a Host header has them: the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, always with the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def parse_webhook_url(url: str, allowed: Networks, *, param: str = "url") -> WebhookUrl:
    """Take `url` apart. Raises WebhookUrlError with `param`, for a literal address that may not be reached too.

    In an `allowed` loopback network http will do as well.
    """
    try:
        parsed = _parse(url)
        _check_scheme(parsed, allowed)
        _check_host(parsed, allowed)
    except WebhookUrlError as error:
        error.param = param
        raise
    return parsed


def _parse(url: str) -> WebhookUrl:
    if len(url) > MAX_LENGTH:
        raise _invalid(f"Shorten the URL to {MAX_LENGTH} characters.")
    if "\\" in url or not all(map(_visible, url)):
        raise _invalid("Write the URL without blanks, control characters and backslashes.")
    match = _URL.fullmatch(url)
    if match is None or match[1].lower() not in _DEFAULT_PORTS:
        raise _invalid("Write a URL that begins with https://.")
    if match[4]:
        raise _invalid("Leave out the fragment, from # on: it is never sent.")
    scheme = match[1].lower()
    host, port = _authority(match[2], scheme)
    parsed = WebhookUrl(scheme, host, port, _target(match[3]))
    if len(str(parsed)) > MAX_LENGTH:
        raise _invalid(f"Shorten the URL to {MAX_LENGTH} characters, counted with its escapes.")
    return parsed


def _visible(character: str) -> bool:
    # C: control, format (joins and direction marks), surrogates, unassigned; Z: all kinds of blanks.
    return unicodedata.category(character)[0] not in "CZ"


def _authority(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        raise _invalid("Leave out user name and password.")
    match = _AUTHORITY.fullmatch(authority)
    if match is None or not match[1]:
        raise _invalid("Write a host, and after a colon a port if need be, behind https://.")
    return _host(match[1]), int(match[2]) if match[2] else _DEFAULT_PORTS[scheme]


def _host(written: str) -> str:
    if written.startswith("["):
        return _ipv6(written[1:-1])
    host = written.lower() if written.isascii() else _to_ascii(written)
    host = host.removesuffix(".")
    if not _NAME.fullmatch(host):
        raise _invalid("Write the host as a name or an address, a name with special characters in its xn-- form.")
    if _NUMBER_LAST.fullmatch(host) and _literal(host) is None:
        raise WebhookUrlError("Write the address as four decimal numbers.", code=NOT_ALLOWED)
    return host


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        raise _invalid("Write an IPv6 address in the brackets.") from error
    if address.scope_id is not None:
        raise _invalid("Leave out the address's zone, from % on.")
    return str(address)


def _to_ascii(host: str) -> str:
    """The name as the DNS has it, fullwidth letters and digits made plain ones."""
    # The codec would normalise as well, but what is ambiguous has variants that have to be made plain before.
    host = unicodedata.normalize("NFKC", host).lower()
    # The codec takes time that grows with the square of the length.
    if len(host) > 253 or _AMBIGUOUS & set(host):
        raise _invalid("Write the host in its xn-- form.")
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise _invalid("Write the host in its xn-- form.") from error


def _target(written: str) -> str:
    if _BAD_ESCAPE.search(written):
        raise _invalid("Write each % of the URL's path and query as %25, or two hexadecimal digits behind it.")
    target = quote(written, safe=_TARGET)
    return target if target.startswith("/") else f"/{target}"


def _check_scheme(url: WebhookUrl, allowed: Networks) -> None:
    if url.scheme == "http" and not any(address.is_loopback for address in _listed(url, allowed)):
        raise _invalid("Use https.")
    if (url.port != 443 and not 1_024 <= url.port <= 65_535) or url.port in _BAD_PORTS:
        raise _invalid("Use port 443, or one from 1024 on that belongs to no other protocol.")


def _check_host(url: WebhookUrl, allowed: Networks) -> None:
    if url.address is None:
        _check_name(url, allowed)
    elif not address_allowed(url.address, allowed):
        raise WebhookUrlError("Use an address that anybody on the internet can reach.", code=NOT_ALLOWED)


def _check_name(url: WebhookUrl, allowed: Networks) -> None:
    if url.host == "localhost" or url.host.endswith(".localhost"):
        inside = not _listed(url, allowed)
    else:
        # Whoever allows a network has names for what is in it; these are judged by their addresses.
        inside = not allowed and ("." not in url.host or url.host.endswith(_INSIDE))
    if inside:
        raise WebhookUrlError("Use a name that anybody on the internet can look up.", code=NOT_ALLOWED)


def _listed(url: WebhookUrl, allowed: Networks) -> list[Address]:
    """What the host is known to mean without the DNS, as far as it lies in the allowed networks."""
    return [address for address in url.addresses if listed(address, allowed)]


def _literal(host: str) -> Address | None:
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(host)
        except AddressValueError:
            continue
    return None


def _invalid(message: str) -> WebhookUrlError:
    return WebhookUrlError(message, code=INVALID)

"""Which URLs a webhook may have: each form of each address that must not be reached, and URLs that are none."""
# ruff: noqa: RUF001 - characters that look like others are what this is about

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.webhook_addresses import address_allowed, parse_networks
from app.domain.webhook_urls import INVALID, NOT_ALLOWED, WebhookUrlError, parse_webhook_url

# Networks that nothing may connect to, and how each is called.
REFUSED = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carriers; 100.100.100.200 is Alibaba's metadata",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "Azure's wire server",
    "169.254.0.0/16": "link-local; 169.254.169.254 is the metadata of most clouds",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocols",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/96": "IPv4-compatible, unspecified and loopback",
    "::ffff:0:0/96": "IPv4-mapped",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64 of one's own",
    "100::/64": "discard",
    "2001::/32": "Teredo",
    "2001:2::/48": "benchmarks",
    "2001:10::/28": "ORCHID",
    "2001:20::/28": "ORCHIDv2",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "unique local; fd00:ec2::254 is the metadata of AWS",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
NETWORKS = [ip_network(text) for text in REFUSED]
REACHABLE = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "168.63.129.17", "172.15.255.255", "172.32.0.0",
             "192.0.1.0", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
             "2001:200::1", "2001:4860:4860::8888", "2003::1", "2a00:1450::1"]  # fmt: skip

# Refused with NOT_ALLOWED, and with INVALID.
HOSTS_NOT_ALLOWED = [
    "127.0.0.1", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "168.63.129.16", "100.64.0.1", "100.100.100.200", "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.0.192",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:a9fe:a9fe]", "[::ffff:8.8.8.8]",
    "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::8.8.8.8]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2002:0808:0808::1]", "[2001:0:7f00:1::]", "[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]",
    "[FD00:EC2::254]", "[ff02::1]", "[2606:4700::5efe:10.0.0.1]", "[2606:4700::200:5efe:10.0.0.1]", "[100::1]",
    # What inet_aton reads as an address.
    "2130706433", "017700000001", "0x7f000001", "0X7F000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1",
    "0x7f.0.0.1", "127.0.0.01", "127.0.0.0x1", "1", "0", "0x", "0x7f.0x0.0x0.0x1", "134744072", "8.8.2056",
    "256.256.256.256", "1.2.3.4.5", "foo.1", "foo.0x1", "00000127.0.0.1",
    "127.0.0.1.", "127.1.", "2130706433.", "localhost.",
    # What becomes an address when it is normalised.
    "１２７.０.０.１", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "①②⑦.⓪.⓪.①", "𝟙𝟚𝟟.𝟘.𝟘.𝟙", "０ｘ７ｆ.1",
    "２１３０７０６４３３", "⒑0.0.1", "\U0001fbf1\U0001fbf2\U0001fbf7.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    # Names of the inside.
    "localhost", "LOCALHOST", "a.localhost", "a.b.localhost.", "printer.local", "metadata.google.internal",
    "metadata", "intranet", "db.internal.", "router.home.arpa", "x.localdomain",
]  # fmt: skip
URLS_INVALID = [
    "", " ", "https", "https:", "https:/", "https://", "https:///x", "https://?x", "https://:443", "//example.com",
    "example.com", "/hook", "http://example.com", "HTTP://example.com", "http://127.0.0.1:8000",
    "http://localhost:8000", "file:///etc/passwd", "ftp://example.com", "gopher://example.com", "javascript:alert(1)",
    "wss://example.com", "https+unix://example.com", "https:example.com", "https:\\\\example.com",
    # user information
    "https://user@example.com", "https://user:pass@example.com", "https://@example.com", "https://:@example.com",
    "https://example.com:443@127.0.0.1", "https://127.0.0.1@example.com", "https://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    # ports
    "https://example.com:22", "https://example.com:0", "https://example.com:80", "https://example.com:1023",
    "https://example.com:65536", "https://example.com:99999", "https://example.com:000443", "https://example.com:-1",
    "https://example.com:+443", "https://example.com:x", "https://example.com:8４43", "https://example.com:443:443",
    "https://example.com:6000", "https://example.com:6667", "https://example.com:10080", "https://example.com:2049",
    "https://example.com:0x1bb", "https://8.8.8.8:22",
    # characters
    "https://example.com/#x", "https://example.com#@127.0.0.1", "https://example.com#", "https://exam ple.com",
    " https://example.com", "https://example.com\n", "https://example.com/\r\nHost: x", "https://exa\tmple.com",
    "https://example.com/a b", "https://example.com\\@127.0.0.1", "https://example.com/\\x", "https://example.com/\0",
    "https://example.com/\x7f", "https://example.com/\u00a0", "https://example.com/\u2028", "https://example.com/\u202e",
    "https://exa\u00admple.com", "https://exa\u200bmple.com", "https://127.0.0\u200d.1", "https://example.com/\ud800",
    "https://example.com/%", "https://example.com/%4", "https://example.com/%zz", "https://example.com/?%u0041",
    # hosts
    "https://127.0.0.1%00.example.com", "https://127%2e0.0.1", "https://ex%61mple.com", "https://a..b", "https://.a.b",
    "https://a.b..", "https://.", "https://-a.com", "https://a-.com", f"https://{'a' * 64}.com",
    f"https://{'a.' * 130}com", "https://a,b.com", "https://a!b.com", "https://℀.com", "https://a／b.com",
    "https://a＠b.com", "https://a：443", "https://straße.de", "https://STRASSE\u1e9e.de", "https://βόλος.com", "https://\U0001d6d3.com",
    "https://[fe80::1%25eth0]", "https://[fe80::1%eth0]", "https://[::1", "https://::1", "https://[]", "https://[v1.x]",
    "https://[1.2.3.4]", "https://[::1]x", "https://x[::1]", "https://[[::1]]", "https://fe80::1",
    f"https://example.com/{'a' * 2048}", f"https://example.com/{'é' * 400}",
]  # fmt: skip


def code_of(url: str, networks: str = "") -> str | None:
    try:
        parse_webhook_url(url, parse_networks(networks))
    except WebhookUrlError as error:
        return error.error_code
    return None


@pytest.mark.parametrize("host", HOSTS_NOT_ALLOWED)
def test_a_host_that_leads_inside(host: str) -> None:
    assert code_of(f"https://{host}/hook") == NOT_ALLOWED
    assert code_of(f"https://{host}:8443") == NOT_ALLOWED


@pytest.mark.parametrize("url", URLS_INVALID, ids=lambda url: url.encode("unicode_escape").decode()[:60])
def test_a_url_that_is_none(url: str) -> None:
    assert code_of(url) == INVALID
    with pytest.raises(WebhookUrlError) as caught:
        parse_webhook_url(url, (), param="webhook.url")
    assert caught.value.param == "webhook.url"
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com.:443/A?b=C", "https://example.com/A?b=C"),
        ("https://example.com:", "https://example.com/"),
        ("https://example.com?x=[1]", "https://example.com/?x=[1]"),
        ("https://example.com:8443/a%20b/../c;d=e", "https://example.com:8443/a%20b/../c;d=e"),
        ("https://münchen.example/ä?ö=<>", "https://xn--mnchen-3ya.example/%C3%A4?%C3%B6=%3C%3E"),
        ("https://ＥＸＡＭＰＬＥ。com/", "https://example.com/"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example/"),
        ("https://hook_1.example.com", "https://hook_1.example.com/"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700:0::1111]:8443", "https://[2606:4700::1111]:8443/"),
        ("https://10.example.com", "https://10.example.com/"),
        ("https://internal.example.com", "https://internal.example.com/"),
        ("https://localhost.example.com", "https://localhost.example.com/"),
    ],
)
def test_a_url_that_may_be(url: str, written: str) -> None:
    parsed = parse_webhook_url(url, ())
    assert str(parsed) == written
    assert parse_webhook_url(written, ()) == parsed


def test_a_url_taken_apart() -> None:
    parsed = parse_webhook_url("https://[2606:4700::1111]/a?b", ())
    assert (parsed.scheme, parsed.host, parsed.port) == ("https", "2606:4700::1111", 443)
    assert (parsed.netloc, parsed.origin, parsed.target) == (
        "[2606:4700::1111]",
        "https://[2606:4700::1111]:443",
        "/a?b",
    )
    assert parsed.addresses == (IPv6Address("2606:4700::1111"),)
    assert parse_webhook_url("https://example.com", ()).addresses == ()


@pytest.mark.parametrize("url", [*URLS_INVALID[5:], *(f"https://{host}/" for host in HOSTS_NOT_ALLOWED)])
def test_no_message_shows_the_url(url: str) -> None:
    with pytest.raises(WebhookUrlError) as caught:
        parse_webhook_url(url.replace("example", "qqsecretqq"), ())
    assert "qqsecretqq" not in caught.value.message
    assert "127" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "networks", "code"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", None),
        ("http://127.0.0.1:8000", "127.0.0.0/8", None),
        ("http://127.0.0.2:8000", "127.0.0.1", INVALID),
        ("https://127.0.0.2:8000", "127.0.0.1", NOT_ALLOWED),
        ("http://[::1]:8000", "::1", None),
        ("http://localhost:8000", "127.0.0.1", None),
        ("http://localhost:8000", "::1", None),
        ("https://localhost:8000", "::1", None),
        ("http://localhost:8000", "10.0.0.0/8", INVALID),
        ("https://localhost:8000", "10.0.0.0/8", NOT_ALLOWED),
        ("http://a.localhost:8000", "127.0.0.0/8", INVALID),
        ("https://a.localhost:8000", "127.0.0.0/8", NOT_ALLOWED),
        ("http://localhost.example.com:8000", "127.0.0.0/8", INVALID),
        ("http://127.0.0.1", "127.0.0.1", INVALID),
        ("http://127.0.0.1:22", "127.0.0.1", INVALID),
        ("http://127.1:8000", "127.0.0.1", NOT_ALLOWED),
        ("http://[::ffff:127.0.0.1]:8000", "127.0.0.0/8", INVALID),
        ("https://[::ffff:127.0.0.1]:8000", "127.0.0.0/8", NOT_ALLOWED),
        ("https://[::ffff:127.0.0.1]:8000", "::ffff:0:0/96", None),
        ("https://10.1.2.3", "10.1.0.0/16", None),
        ("http://10.1.2.3:8000", "10.1.0.0/16", INVALID),
        ("https://10.2.2.3", "10.1.0.0/16", NOT_ALLOWED),
        # Judged by what it resolves to.
        ("https://receiver", "10.1.0.0/16", None),
        ("https://receiver.internal", "10.1.0.0/16", None),
    ],
)  # fmt: skip
def test_networks_that_the_administrator_allows(url: str, networks: str, code: str | None) -> None:
    assert code_of(url, networks) == code


@pytest.mark.parametrize("text", REFUSED)
def test_the_ends_of_a_refused_network(text: str) -> None:
    network = ip_network(text)
    assert not address_allowed(network[0], ())
    assert not address_allowed(network[-1], ())
    assert address_allowed(network[-1], [network])


@pytest.mark.parametrize("text", REACHABLE)
def test_what_lies_beside_is_reached(text: str) -> None:
    assert address_allowed(ip_address(text), ())


def test_an_address_with_a_zone_is_refused() -> None:
    assert not address_allowed(IPv6Address("2606:4700::1%eth0"), ())


@st.composite
def refused_addresses(draw: st.DrawFn) -> IPv4Address | IPv6Address:
    network = draw(st.sampled_from(NETWORKS))
    return network[draw(st.integers(0, network.num_addresses - 1))]


def spellings(address: IPv4Address | IPv6Address) -> list[str]:
    """What the address may be written as in a URL."""
    if isinstance(address, IPv6Address):
        low = IPv4Address(int(address) & 0xFFFF_FFFF)
        mixed = f"{address.exploded[:29]}:{low}"
        return [f"[{text}]" for text in (address.compressed, address.exploded, address.exploded.upper(), mixed)]
    number, parts = int(address), str(address).split(".")
    wide = str(address).translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    mapped = [f"[{prefix}{address}]" for prefix in ("::ffff:", "::", "64:ff9b::", "2606:4700::5efe:")]
    six_to_four = IPv6Network((0x2002 << 112 | number << 80, 48))
    return [
        str(address),
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(hex(int(part)) for part in parts),
        ".".join(f"0{int(part):o}" for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        wide,
        wide.replace(".", "\u3002"),
        f"[{six_to_four[1]}]",
        *mapped,
    ]


@given(refused_addresses())
def test_no_spelling_of_a_refused_address_passes(address: IPv4Address | IPv6Address) -> None:
    assert not address_allowed(address, ())
    assert {code_of(f"https://{text}/") for text in spellings(address)} == {NOT_ALLOWED}


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_ipv6_address_that_embeds_one_of_ipv4_passes(address: IPv4Address) -> None:
    assert {code_of(f"https://{text}/") for text in spellings(address) if text.startswith("[")} == {NOT_ALLOWED}


@given(st.text(alphabet=st.sampled_from("htps:/.@[]%?#\\0127x①。 \u00ad\u200d１aß\ud800\n"), max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    for url in (text, f"https://{text}"):
        try:
            parsed = parse_webhook_url(url, ())
        except WebhookUrlError:
            continue
        # What was taken is plain, and would be taken for the same again.
        assert parse_webhook_url(str(parsed), ()) == parsed
        assert str(parsed).isascii()


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", []),
        (" , ", []),
        ("127.0.0.1", ["127.0.0.1/32"]),
        (" 10.0.0.0/8 , ::1,", ["10.0.0.0/8", "::1/128"]),
    ],
)
def test_networks_are_read(text: str, networks: list[str]) -> None:
    assert [str(network) for network in parse_networks(text)] == networks


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "10", "[::1]"])
def test_networks_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Write networks as in 10\.1\.2\.0/24,"):
        parse_networks(text)

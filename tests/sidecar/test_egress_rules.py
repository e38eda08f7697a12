"""The pure parts of the egress proxy: addresses, targets, greetings, headers."""

from __future__ import annotations

import contextlib
import ssl
from ipaddress import ip_address

import h11
import pytest
from cloister.sidecar.proxy.addresses import special_kind
from cloister.sidecar.proxy.forwarding import end_to_end, require_one_framing, rewrite_request
from cloister.sidecar.proxy.hello import (
    IncompleteHelloError,
    MalformedHelloError,
    read_client_hello,
)
from cloister.sidecar.proxy.refusal import Refusal
from cloister.sidecar.proxy.target import (
    Destination,
    parse_absolute_form,
    parse_authority,
    require_same_host,
)
from cloister.sidecar.proxy.tunnel import check_first_bytes
from hypothesis import given
from hypothesis import strategies as st


def hello_for(name: str | None) -> bytes:
    """The greeting that OpenSSL really sends."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.31.255.255", "192.168.0.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "0.0.0.0",
        "255.255.255.255", "224.0.0.1", "198.18.0.1", "192.0.0.192", "::1", "::", "fe80::1",
        "fe80::1%1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:4136:e378::1", "2001:db8::1",
        "::7f00:1", "fec0::1",
    ],
)  # fmt: skip
def test_calls_special_addresses_special(text: str) -> None:
    assert special_kind(ip_address(text)) is not None


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_calls_public_addresses_public(text: str) -> None:
    assert special_kind(ip_address(text)) is None


@given(st.ip_addresses(v=4))
def test_never_calls_an_address_public_that_python_calls_local(address) -> None:
    local = address.is_private or address.is_loopback or address.is_link_local
    if local or address.is_multicast or address.is_reserved or address.is_unspecified:
        assert special_kind(address) is not None


@given(st.ip_addresses(v=4))
def test_never_lets_an_ipv4_address_through_in_ipv6_clothes(address) -> None:
    number = int(address)
    dressed = [
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ]
    assert all(special_kind(ip_address(text)) is not None for text in dressed)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("Example.ORG:443", "example.org", 443),
        ("example.org.:443", "example.org", 443),
        ("a_b.example.org:8443", "a_b.example.org", 8443),
        ("93.184.216.34:443", "93.184.216.34", 443),
        ("[2606:4700:0::1111]:443", "2606:4700::1111", 443),
        ("localhost:5000", "localhost", 5000),
    ],
)
def test_reads_plain_destinations(text: str, host: str, port: int) -> None:
    assert parse_authority(text, default_port=None) == Destination(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "", ":443", "example.org", "example.org:", "example.org:0", "example.org:65536",
        "example.org:443:443", "user@example.org:443", "user:pw@example.org:443",
        "example.org\\@evil.org:443", "exam ple.org:443", "example.org:+443", "example..org:443",
        "example.org..:443", ".example.org:443", "127.1:443", "2130706433:443", "0x7f000001:443",
        "0177.0.0.1:443", "127.0.0.01:443", "1.2.3.4.:443x", "[::1%25eth0]:443", "[127.0.0.1]:443",
        "[::1:443", "::1:443", "ex%61mple.org:443", "b\u00fccher.example:443",
        "\uff45xample.org:443", "example.org:\u0664\u0664\u0663", "a" * 64 + ".org:443",
        "example.org:443\n", "example.org#:443",
    ],
)  # fmt: skip
def test_refuses_destinations_that_can_be_read_twice(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_authority(text, default_port=None)
    assert refused.value.code == "CLO-EGRESS-008"


@given(st.text(max_size=60))
def test_a_destination_that_is_read_is_read_again_the_same(text: str) -> None:
    try:
        first = parse_authority(text, default_port=443)
    except Refusal:
        return
    assert parse_authority(first.authority(default_port=0), default_port=None) == first


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("http://example.org", "/"),
        ("http://example.org?q=1", "/?q=1"),
        ("HTTP://example.org/a//b?x=http://other.org/", "/a//b?x=http://other.org/"),
    ],
)
def test_turns_absolute_form_into_origin_form(target: str, rest: str) -> None:
    assert parse_absolute_form(target) == (Destination("example.org", 80), rest)


@pytest.mark.parametrize(
    "target",
    ["/path", "*", "https://example.org/", "ftp://example.org/", "http:/example.org/", "http://",
     "http://user@example.org/", "http://example.org\\.evil.org/", "http://example.org/#f",
     "http://example.org/\u00fc"],
)  # fmt: skip
def test_refuses_other_targets(target: str) -> None:
    with pytest.raises(Refusal):
        parse_absolute_form(target)


@pytest.mark.parametrize(
    "header", ["example.org", "EXAMPLE.org.", "example.org:80", " example.org "]
)
def test_accepts_a_host_header_that_means_the_same(header: str) -> None:
    require_same_host(header, Destination("example.org", 80), default_port=80)


@pytest.mark.parametrize("header", ["evil.org", "example.org:81", "example.org.evil.org"])
def test_denies_a_host_header_that_names_another_host(header: str) -> None:
    with pytest.raises(Refusal) as refused:
        require_same_host(header, Destination("example.org", 80), default_port=80)
    assert refused.value.rule == "egress.host-mismatch"


# Greetings ---------------------------------------------------------------------------------------


def test_reads_the_name_of_a_real_greeting() -> None:
    hello = read_client_hello(hello_for("Example.org"))
    assert hello is not None
    assert hello.server_name == "example.org"
    assert not hello.has_hidden_name


def test_reads_a_greeting_without_a_name() -> None:
    hello = read_client_hello(hello_for(None))
    assert hello is not None
    assert hello.server_name is None


def test_asks_for_more_at_every_cut_of_a_greeting() -> None:
    whole = hello_for("example.org")
    for cut in range(len(whole)):
        with pytest.raises(IncompleteHelloError):
            read_client_hello(whole[:cut])


@given(st.integers(min_value=1, max_value=200))
def test_joins_a_greeting_that_is_cut_into_records(size: int) -> None:
    message = hello_for("example.org")[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    records = b"".join(b"\x16\x03\x01" + len(p).to_bytes(2, "big") + p for p in pieces)
    hello = read_client_hello(records)
    assert hello is not None
    assert hello.server_name == "example.org"


@given(st.binary(max_size=300))
def test_never_breaks_on_bytes_that_begin_like_tls(data: bytes) -> None:
    record = b"\x16\x03\x01" + len(data).to_bytes(2, "big") + data
    with contextlib.suppress(IncompleteHelloError, MalformedHelloError):
        read_client_hello(record)


def _with_extension(kind: int, content: bytes) -> bytes:
    """The greeting for example.org with one more extension at its end."""
    body = bytearray(hello_for("example.org")[9:])
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    extensions = bytes(body[at + 2 :])
    extensions += kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content
    body[at:] = len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + bytes(body)
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def test_refuses_a_greeting_with_two_names() -> None:
    second = b"\x00\x08\x00\x00\x05evil."
    with pytest.raises(MalformedHelloError):
        read_client_hello(_with_extension(0, second))


def test_denies_a_greeting_that_hides_its_name() -> None:
    with pytest.raises(Refusal) as refused:
        check_first_bytes(_with_extension(0xFE0D, b"\x00" * 8), Destination("example.org", 443))
    assert refused.value.rule == "egress.tls-name"


@pytest.mark.parametrize("name", ["other.org", "sub.example.org", None])
def test_denies_a_greeting_for_another_name_on_any_port(name: str | None) -> None:
    for port in (443, 8443):
        with pytest.raises(Refusal) as refused:
            check_first_bytes(hello_for(name), Destination("example.org", port))
        assert refused.value.rule == "egress.tls-name"


def test_denies_a_greeting_with_a_name_on_a_connection_to_an_address() -> None:
    check_first_bytes(hello_for(None), Destination("93.184.216.34", 443))
    with pytest.raises(Refusal):
        check_first_bytes(hello_for("example.org"), Destination("93.184.216.34", 443))


def test_wants_tls_on_port_443_of_a_name_and_nowhere_else() -> None:
    with pytest.raises(Refusal) as refused:
        check_first_bytes(b"SSH-2.0-x\r\n", Destination("example.org", 443))
    assert refused.value.rule == "egress.tls-required"
    check_first_bytes(b"SSH-2.0-x\r\n", Destination("example.org", 22))


# Headers -----------------------------------------------------------------------------------------


def _request(*headers: tuple[str, str], version: str = "1.1") -> h11.Request:
    return h11.Request(
        method="POST",
        target="http://example.org/",
        headers=[("Host", "example.org"), *headers],
        http_version=version,
    )


def test_keeps_what_belongs_to_the_connection_on_the_connection() -> None:
    request = _request(
        ("Connection", "keep-alive, X-Local, Host, Content-Length"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic c2VjcmV0"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("X-Local", "1"),
        ("X-Cloister-Code", "forged"),
        ("Expect", "100-continue"),
        ("Content-Length", "3"),
        ("Accept", "*/*"),
    )
    sent = rewrite_request(request, "/", Destination("example.org", 8080))
    assert list(sent.headers.raw_items()) == [
        (b"Host", b"example.org:8080"),
        (b"Content-Length", b"3"),
        (b"Accept", b"*/*"),
    ]


def test_refuses_two_lengths() -> None:
    with pytest.raises(Refusal):
        require_one_framing(_request(("Content-Length", "3"), ("Transfer-Encoding", "chunked")))
    with pytest.raises(Refusal):
        require_one_framing(_request(("Transfer-Encoding", "chunked"), version="1.0"))


@given(st.lists(st.tuples(st.sampled_from([b"Connection", b"Via", b"X-A"]), st.just(b"x-a"))))
def test_dropping_headers_twice_drops_no_more(headers: list[tuple[bytes, bytes]]) -> None:
    once = end_to_end(headers)
    assert end_to_end(once) == once


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_refusal_fits_into_headers_whatever_it_says(message: str, remedy: str) -> None:
    try:
        f"{message}{remedy}".encode()
    except UnicodeEncodeError:
        return
    refusal = Refusal(403, message, code="CLO-EGRESS-001", rule="egress.default", remedy=remedy)
    h11.Response(status_code=403, headers=refusal.headers())

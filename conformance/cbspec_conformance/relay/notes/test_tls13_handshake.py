"""Source: Notes / all connections must use TLS 1.3; RFC 8446, 4 and 9. The handshake.

The suite's own TLS client sends handshakes that RFC 8446 allows and common clients don't send. If a server MUST
understand or ignore the unusual part, the same request must draw the same answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.probe.client_hello import GROUPS, Offer
from cbspec_conformance.probe.tls_client import NotAgreed, TlsClient
from cbspec_conformance.relay.tls_by_hand import SERVED, HandMade
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.relay import RelayUnderTest

_SUITES = (0x1301, 0x1302, 0x1303, 0x1304)
_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019)
_UNKNOWN = {
    "unknown cipher suites": Offer(suites=(0x0A0A, 0x13FE, *_SUITES, 0xFAFA)),
    "cipher suites of TLS 1.2": Offer(suites=(0xC02B, 0xC02F, *_SUITES, 0x00FF)),
    "unknown extensions": Offer(extensions={0x0A0A: b"", 0xFE31: b"\x00\x01\x02", 0x7A7A: b"\x00"}),
    "60 unknown extensions": Offer(extensions={0xFE00 + number: b"" for number in range(60)}),
    "unknown groups": Offer(groups=(0x2A2A, 0xFE0F, *_GROUPS), odd_shares=((0x2A2A, b"\x00"),)),
    "unknown versions": Offer(versions=(0x3A3A, 0x0305, 0x0304, 0x7F1C)),
    "older versions, too": Offer(versions=(0x0304, 0x0303, 0x0302)),
    "unknown signature algorithms": Offer(signatures=(0x4A4A, 0xFE01, *Offer().signatures)),
    "unknown modes of resumption": Offer(modes=b"\x0b\x01\xfe"),
    "no mode of resumption that is known": Offer(modes=b"\x0b"),
    "a ClientHello of 8 KiB": Offer(extensions={0xFE32: bytes(8000)}),
    "padding": Offer(extensions={21: bytes(300)}),
}
_LEGACY = {
    "a record of version 1.2": Offer(record=b"\x03\x03"),
    "a record of version 1.1": Offer(record=b"\x03\x02"),
    "a record of version 1.3": Offer(record=b"\x03\x04"),
    "a record of SSL 3.0": Offer(record=b"\x03\x00"),
    "a session id of 32 bytes": Offer(session=bytes(range(32))),
}
_SENTINEL = b"DOWNGRD"
_LIMIT = 512  # bytes of a record; some servers accept no lower limit
_SIGNATURES = {
    0x0401: "rsa_pkcs1_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
}


@requirement("CB-TLS-008")
def test_hello_retry_request(relay: RelayUnderTest) -> None:
    """Offer groups without a key share, or with a share of one group only, and complete the handshake."""
    hand = HandMade(relay)

    def retried(client: TlsClient) -> str:
        outcome = hand.after_handshake(client)
        return outcome if client.seen.retried or outcome else "a ServerHello without a HelloRetryRequest"

    group = hand.control().seen.group
    names = {number: name for name, number in GROUPS.items()}
    attempts = {
        "a ClientHello with an empty key_share": Offer(shares=()),
        f"a ClientHello that offers {names[group]} only, with an empty key_share": Offer(groups=(group,), shares=()),
        "a ClientHello with an empty key_share and a session id": Offer(shares=(), session=os.urandom(32)),
    }
    hand.each(
        "a HelloRetryRequest, and a handshake that works",
        {name: partial(hand.attempted, offer, retried) for name, offer in attempts.items()},
    )


@requirement("CB-TLS-011")
def test_split_handshake_messages(relay: RelayUnderTest) -> None:
    """Split the ClientHello and the Finished over records."""
    hand = HandMade(relay)
    hand.each(
        "a handshake that works",
        {
            f"handshake messages in records of {size} bytes": partial(
                hand.attempted, None, hand.after_handshake, fragment=size
            )
            for size in (7, 100)  # some servers need the header of a message in one record
        },
    )


@requirements("CB-TLS-012", "CB-TLS-015")
def test_unknown_values_and_old_fields(relay: RelayUnderTest, identifier: str) -> None:
    """Offer values that nobody knows (GREASE), or set fields that only older versions use."""
    hand = HandMade(relay)
    offers = _UNKNOWN if identifier == "CB-TLS-012" else _LEGACY
    hand.each(
        "a handshake that works",
        {name: partial(hand.attempted, offer, hand.after_handshake) for name, offer in offers.items()},
    )


@requirement("CB-TLS-013")
def test_answer_to_the_client_hello(relay: RelayUnderTest) -> None:
    """Compare the ServerHello and its extensions with the ClientHello: with and without a session id, and retried."""
    hand = HandMade(relay)
    randoms: set[bytes] = set()
    for offer in (
        Offer(),
        Offer(session=os.urandom(32)),
        Offer(session=os.urandom(5)),
        Offer(shares=(), session=os.urandom(32)),
    ):
        with hand.connected(offer) as client:
            try:
                client.greet()
                client.agree()
            except NotAgreed:
                continue  # another requirement is broken
        seen = client.seen
        unasked = set(seen.hello_extensions) - {43, 51} | set(seen.encrypted_extensions) - {0, 10}
        if seen.sessions - {offer.session}:
            which = "a HelloRetryRequest and a ServerHello" if seen.retried else "a ServerHello"
            raise Broken(f"{which} with the session id of the ClientHello", "another session id")
        if odd := seen.records - {b"\x03\x03"}:
            raise Broken("records of version 0x0303", f"a record of version 0x{max(odd).hex()}")
        if seen.legacy != b"\x03\x03" or seen.compression:
            raise Broken("legacy_version 0x0303, no compression", f"0x{seen.legacy.hex()}, {seen.compression}")
        if unasked:
            raise Broken("only extensions that the ClientHello offers", f"extensions {sorted(unasked)}")
        if seen.random in randoms or seen.random[24:31] == _SENTINEL:
            raise Broken("a new random value in each ServerHello", "a value used before, or a downgrade sentinel")
        randoms.add(seen.random)


@requirements("CB-TLS-014", "CB-TLS-024")
def test_change_cipher_spec(relay: RelayUnderTest, identifier: str) -> None:
    """Send change_cipher_spec before the second flight, as in middlebox compatibility mode, or at other places too."""
    hand = HandMade(relay)
    session = os.urandom(32)
    offers = {
        "with a session id": Offer(session=session),
        "after a HelloRetryRequest": Offer(shares=(), session=session),
    }
    if identifier == "CB-TLS-024":
        offers["without a session id"] = Offer()
    usual, changes = ("", "once") if identifier == "CB-TLS-014" else ("once", "everywhere")

    def attempts(changes: str) -> dict[str, Callable[[], str]]:
        made = partial(hand.attempted, attempt=hand.after_handshake, changes=changes)
        return {name: partial(made, offer) for name, offer in offers.items()}

    hand.each(f"change_cipher_spec, sent {changes}, that is ignored", attempts(changes), attempts(usual))


@requirement("CB-TLS-021")
def test_record_size_limit(relay: RelayUnderTest) -> None:
    """Offer a record_size_limit of 512 bytes, and measure the relay's records if it agrees."""
    hand = HandMade(relay)
    with hand.connected(_limited()) as client:
        try:
            outcome = hand.after_handshake(client)
        except NotAgreed as error:
            outcome = str(error)
    if 28 not in client.seen.encrypted_extensions:
        raise NotExercised("the relay negotiates no record_size_limit")
    if outcome != SERVED:
        raise Broken(f"a session with records of at most {_LIMIT} bytes", outcome)
    if client.largest > _LIMIT + 16:  # the tag of the AEAD is not counted
        raise Broken(f"records of at most {_LIMIT} bytes, as negotiated", f"a record of {client.largest - 16} bytes")


@requirement("CB-TLS-022")
def test_order_of_the_chain(relay: RelayUnderTest) -> None:
    """Read the chain of certificates: each one certifies the one before it."""
    chain = [x509.load_der_x509_certificate(each) for each in HandMade(relay).control().seen.chain]
    for number, (certificate, issuer) in enumerate(pairwise(chain), start=1):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            expected = "a chain in which each certificate certifies the one before it"
            raise Broken(expected, f"certificate {number + 1} of {len(chain)} doesn't certify the one before") from None


# ------------------------------------------------------------------ open points, which are recorded and never judged


@requirement("CB-TLS-111")
def test_record_size_limit_is_negotiated(relay: RelayUnderTest) -> None:
    """Record whether the relay answers the extension record_size_limit."""
    hand = HandMade(relay)
    with hand.connected(_limited()) as client:
        try:
            client.greet()
            client.agree()
        except NotAgreed as error:
            relay.log.saw(f"refused: {error}")
        else:
            relay.log.saw("negotiated" if 28 in client.seen.encrypted_extensions else "ignored")


@requirement("CB-TLS-112")
def test_signature_algorithms(relay: RelayUnderTest) -> None:
    """Record the algorithm that signs the handshake, and those that sign the certificates."""
    seen = HandMade(relay).control().seen
    relay.log.saw(_SIGNATURES.get(seen.signature, f"{seen.signature:#06x}"), of="handshake")
    for certificate in seen.chain[:1]:
        parsed = x509.load_der_x509_certificate(certificate)
        hashed = parsed.signature_hash_algorithm
        name = getattr(parsed.signature_algorithm_oid, "_name", "unknown")
        relay.log.saw(
            name + (f" ({hashed.name})" if hashed and hashed.name not in name.lower() else ""), of="certificate"
        )


def _limited() -> Offer:
    return Offer(extensions={28: _LIMIT.to_bytes(2, "big")})

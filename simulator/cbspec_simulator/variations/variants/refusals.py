"""Ways to refuse with another code, where the specification leaves more than one."""

from __future__ import annotations

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator.base.state import Refused
from cbspec_simulator.variations.compose import Change, recoded, refusals
from cbspec_simulator.variations.variants.closing import BAD_HELLO, MALFORMED, TOO_EARLY
from cbspec_simulator.variations.variants.kind import Variant


def _as(code: ErrorCode, *requirements: str) -> Change:
    """Refuse with a code what breaks one of these requirements."""
    return refusals(lambda _, event: Refused(code, event.text) if event.requirement in requirements else None)


def _malformed_as(code: ErrorCode) -> Variant:
    name = code.value.replace("_", "-")
    return Variant(f"malformed-as-{name}", f"What is not JSON is refused with {code}.", _as(code, *MALFORMED))


VARIANTS = (
    *(_malformed_as(code) for code in ErrorCode if code is not ErrorCode.UNKNOWN_MESSAGE_TYPE),
    Variant(
        "bad-hello-as-invalid-token",
        "A hello that is not right is refused with invalid_token.",
        _as(ErrorCode.INVALID_TOKEN, *BAD_HELLO),
    ),
    Variant(
        "bad-hello-as-server-unavailable",
        "A hello that is not right is refused with server_unavailable.",
        _as(ErrorCode.SERVER_UNAVAILABLE, *BAD_HELLO),
    ),
    Variant(
        "early-message-as-invalid-token",
        "A message before hello is refused with invalid_token.",
        _as(ErrorCode.INVALID_TOKEN, *TOO_EARLY),
    ),
    Variant(
        "no-tenant-as-tenant-not-found",
        "A token that names no tenant is refused with tenant_not_found.",
        recoded("complete-claims", ErrorCode.TENANT_NOT_FOUND),
    ),
    Variant(
        "tunnel-without-tenant-as-tenant-not-found",
        "A tunnel_info that names no tenant is refused with tenant_not_found.",
        _as(ErrorCode.TENANT_NOT_FOUND, "CB-TEN-005"),
    ),
)

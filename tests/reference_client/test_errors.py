"""One exception per code, in one family."""

from __future__ import annotations

import inspect

import cbspec_client
from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.messages import Error
from cbspec_client import errors
from cbspec_client.errors import BY_CODE, ClientError, UnknownRelayError, refusal


def test_every_code_has_its_class_and_facts() -> None:
    assert [kind.__name__ for kind in BY_CODE.values()] == [code.title().replace("_", "") for code in ErrorCode]
    for code, kind in BY_CODE.items():
        error = refusal(Error(code.value, "because"))
        assert (type(error), error.code, str(error)) == (kind, code.value, f"{code.value}: because")
        assert (error.retryable, error.base_delay) == (FACTS[code].retryable, FACTS[code].base_delay)
    unknown = refusal(Error("INVALID_TOKEN", "because"))
    assert (type(unknown), unknown.code, unknown.retryable) == (UnknownRelayError, "INVALID_TOKEN", False)


def test_every_exception_is_exported() -> None:
    family = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, ClientError)}
    assert family <= set(vars(cbspec_client))

"""One exception per code, in one family."""

from __future__ import annotations

import inspect

import cbspec_client
from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.messages import Error
from cbspec_client import errors
from cbspec_client.errors import BY_CODE, ClientError, UnknownRelayError, refusal


def test_every_code_has_its_class_and_facts() -> None:
    assert list(BY_CODE) == list(ErrorCode)
    assert len(set(BY_CODE.values())) == len(ErrorCode)
    for code, kind in BY_CODE.items():
        assert kind.__name__ == "".join(word.title() for word in code.value.split("_"))
        error = refusal(Error(code.value, "because"))
        assert type(error) is kind
        assert (error.code, error.message, str(error)) == (code.value, "because", f"{code.value}: because")
        assert (error.retryable, error.base_delay) == (FACTS[code].retryable, FACTS[code].base_delay)


def test_an_unknown_code_has_a_class_too() -> None:
    error = refusal(Error("INVALID_TOKEN", "because"))
    assert type(error) is UnknownRelayError
    assert (error.code, error.retryable, error.base_delay) == ("INVALID_TOKEN", False, None)


def test_every_exception_is_exported() -> None:
    family = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, ClientError)}
    assert family <= set(vars(cbspec_client))

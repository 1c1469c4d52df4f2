"""A target that fails on purpose."""


def check(data: bytes) -> None:
    """Fail for an input that begins with "no"."""
    assert not data.startswith(b"no"), "planted failure"

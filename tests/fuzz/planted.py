"""A target that fails on purpose."""


def check(data: bytes) -> None:
    """Fail for an input that begins with n."""
    assert data[:1] != b"n", "planted failure"

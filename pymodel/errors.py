"""The exception that a user sees."""

__all__ = ["DeeplockError"]


class DeeplockError(ValueError):
    """A fault of the input, told to the user in one line."""

"""The exception that a user sees."""

__all__ = ["DeeplockError"]


class DeeplockError(ValueError):
    """A fault in the user's input; its text is one line for the user."""

"""The one error that a user can cause: it carries a single clear line."""

__all__ = ["ChandelierError"]


class ChandelierError(ValueError):
    """What was wrong, where, with which value, and what to do about it, in one line.

    The command line prints it and ends with exit code 2; besides, only an interrupt is caught there.
    """

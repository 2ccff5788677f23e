"""The errors that a user can cause: each carries a single clear line."""

__all__ = ["LONGEST", "ChandelierError", "SetupError"]

#: Most characters of the line.
LONGEST = 1000


class ChandelierError(ValueError):
    """What was wrong, where, with which value, and what to do about it, in one line.

    The command line prints it and ends with exit code 2; besides, only an interrupt is caught there. What the line
    quotes, of a file or of another library, may be of any length, and hold line breaks and signs that a terminal obeys:
    it becomes one line of printable characters, and what is beyond :data:`LONGEST` is left out of the middle.
    """

    def __init__(self, line: str) -> None:
        whole = " ".join(line.splitlines())
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in whole)
        half = LONGEST // 2
        super().__init__(shown if len(shown) <= LONGEST else f"{shown[: half - 3]} ... {shown[2 - half :]}")


class SetupError(ChandelierError):
    """What is wrong here, and not with the network: a file or folder in the way, a program or device that is not there.

    Where many networks are tried, the others would fail alike.
    """

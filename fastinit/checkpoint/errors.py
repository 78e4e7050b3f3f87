"""The errors for bad input."""

from typing import Any

#: The most characters of a message that is shown whole.
_LONGEST = 1000


def shortened(message: str) -> str:
    """Return a message that may quote input of any length, without its middle if it is long."""
    return message if len(message) <= _LONGEST else f"{message[:200]} ... {message[-95:]}"


class BadInput(ValueError):
    """Input that cannot be used. Its message is one line with the problem and its place."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class Damaged(BadInput):
    """A checkpoint of which a file is missing, cut short or unreadable."""


class Unmatched(BadInput):
    """Tensors that no rule matches.

    Attributes
    ----------
    first : str
        The message's first line.
    choices : list
        The choice of each tensor that a rule matches.
    specs : list
        All tensors, in order.
    details : str
        Its other lines, that list what is left, and rules to paste.
    """

    def __init__(self, message: str, details: str, choices: Any, specs: Any) -> None:
        super().__init__(f"{message}\n{details}")
        self.first, self.details, self.choices, self.specs = message, details, choices, specs

    def __str__(self) -> str:
        return ValueError.__str__(self)

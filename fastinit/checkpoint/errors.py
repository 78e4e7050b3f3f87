"""The error for bad input."""


class BadInput(ValueError):
    """Input that cannot be used. Its message is one line with the problem and its place."""

"""The one error that a user's input can cause."""


class BadInput(ValueError):
    """Input that cannot be used; its message is one line that says what is wrong and where."""

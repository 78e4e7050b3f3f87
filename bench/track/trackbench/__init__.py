"""Which commit made it slower: benchmarks recorded, compared, counted, drawn and bisected.

It serves any project with pytest-benchmark suites; it knows none. ``track --help``.
"""


class TrackError(Exception):
    """The request can't be carried out. The text is one line that says why, and possibly a log."""

"""Which commit made it slower: benchmarks recorded, compared, counted, drawn and bisected.

It serves any project with pytest-benchmark suites; it knows none. ``track --help``.
"""


class TrackError(Exception):
    """What the caller asked for can't be done; its text is one clear line, maybe with a log below."""

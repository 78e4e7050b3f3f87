"""Benchmarks: ``make bench`` (or ``pytest bench``), and the demonstration, ``make demo``."""

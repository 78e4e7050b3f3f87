"""Misreadings of docs/truncated_normal.md: (what, file, old, new, where)."""

LIST = []

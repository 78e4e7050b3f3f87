"""The tables of tests/vectors.json, each made by fastinit. `tools/vectors.py` writes them."""

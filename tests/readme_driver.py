"""Runs the blocks of README.md in order: each is a line of JSON on standard input, and answered by a line.

Blocks of Python share one namespace; others are commands of sh.
"""

import importlib
import json
import subprocess
import sys

if __name__ == "__main__":
    names = {"__name__": "readme"}
    for line in sys.stdin:
        language, code = json.loads(line)
        importlib.invalidate_caches()  # an install came between
        if language == "python":
            exec(compile(code, "README.md", "exec"), names)
        else:
            subprocess.run(["sh", "-ec", code], stdout=subprocess.DEVNULL, check=True)
        print("done", flush=True)

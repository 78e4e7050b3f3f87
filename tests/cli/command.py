"""The command as a process."""

import contextlib
import os
import pty
import subprocess
import sys

FASTINIT = [sys.executable, "-m", "fastinit"]
MODEL = {
    "fc.weight": {"dtype": "F32", "shape": [10, 784]},
    "fc.bias": {"dtype": "F32", "shape": [10]},
    "fc.position_ids": {"dtype": "I64", "shape": [1, 8]},
}


def shell(line, *arguments):
    """Run a line of sh in which "$@" is the command."""
    command = ["sh", "-c", line, "sh", *FASTINIT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def on_a_terminal(command, width=200):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    text = b""
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # a terminal's end
            while part := os.read(ours, 65536):
                text += part
    os.close(ours)
    assert process.returncode == 0
    return text.decode()

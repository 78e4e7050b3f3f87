"""``faults.py FAULTS.SO EVERY OFFSET`` writes checkpoints while each call to the system fails.

``faults.py FAULTS.SO signals COUNT`` sends signals at random moments instead, to runs with two threads. Both
run with tests/c/faults.c preloaded, and fork for each fault from a process in which all is imported.
After each: every visible file is an old or a new one to the last bit; an index lists files of one checkpoint;
nothing good is lost; there is no traceback; the command goes on afterwards.
"""

import ctypes
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from fastinit.checkpoint import generate
from fastinit.cli import main

MODEL = {f"fc{number}.weight": {"dtype": "F32", "shape": [40, 50]} for number in range(3)}
SHARDS, TWO, ONE = "8KB", "16KB", "1MB"  # three shards, two, one file
HOWS = {
    name: number
    for number, name in enumerate(
        [
            "never",
            "fails",
            "full",
            "lies",
            "killed before",
            "killed after",
            "SIGINT",
            "SIGTERM",
            "nothing",
            "half",
        ]
    )
}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
ENDS = {0, 1, 2, 129, 130, 143, *(-number for number in SIGNALS)}  # negative before the command hears them
LOCK = ".model.lock"
INDEX = "model.safetensors.index.json"


def fill(folder, seed, size):
    generate(MODEL, folder, seed=seed, init="he", max_shard_size=size, threads=1)


def cut(folder):
    """Leave what a kill leaves: a shard, and a part of another under its hidden name."""
    fill(folder, 1, SHARDS)
    (folder / INDEX).unlink()
    (folder / "model-00003-of-00003.safetensors").unlink()
    (folder / "model-00002-of-00003.safetensors").rename(folder / ".model.part")


# What is there before, as the seed and the size of shards, or a function; the size of new shards; the option.
SITUATIONS = {
    "a new folder": (None, SHARDS, ""),
    "a new file": (None, ONE, ""),
    "shards over shards": ((0, SHARDS), SHARDS, "--force"),
    "shards over other shards": ((0, TWO), SHARDS, "--force"),
    "a file over a file": ((0, ONE), ONE, "--force"),
    "a file over shards": ((0, SHARDS), ONE, "--force"),
    "shards over a file": ((0, ONE), SHARDS, "--force"),
    "a killed run resumed": (cut, SHARDS, "--resume"),
    "a whole checkpoint resumed": ((1, SHARDS), SHARDS, "--resume"),
}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


class Situation:
    def __init__(self, root, name, library):
        self.name, self.library = name, library
        self.before, self.size, self.option = SITUATIONS[name]
        self.root, self.saved = root, root / "saved"
        self.folder = root / "out"
        if callable(self.before):
            self.before(self.saved)
        elif self.before is not None:
            fill(self.saved, *self.before)
        self.old = {name: data for name, data in contents(self.saved).items() if name[0] != "."}
        fill(root / "new", 1, self.size)
        self.new = contents(root / "new")

    def run(self, number, how, *, log=-1, options=("--threads", "1"), kill=None):
        """Run the command in a fork, and return its status and what it printed.

        `kill` is a signal and the seconds after which it comes.
        """
        with tempfile.TemporaryFile() as said:
            child = os.fork()
            if not child:
                self.child(number, how, log, said, options)
            if kill:
                time.sleep(kill[1])
                os.kill(child, kill[0])
            _, status = os.waitpid(child, 0)
            said.seek(0)
            return os.waitstatus_to_exitcode(status), said.read().decode()

    def child(self, number, how, log, said, options):
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        status = 99
        try:
            os.chdir(self.root)
            argv = ["generate", "model.json", "-o", str(self.folder) + "/", "--seed", "1", "--init", "he"]
            argv += ["--max-shard-size", self.size, "--quiet", *options]
            argv += [self.option] if self.option else []
            self.library.fault_arm(os.fsencode(self.folder), number, HOWS[how], log)
            status = main(argv)
        except SystemExit as error:
            status = error.code
        except BaseException as error:
            print(f"Traceback: {type(error).__name__}: {error}")
        finally:
            sys.stdout.flush()
            os._exit(status)

    def reset(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.saved.exists():
            shutil.copytree(self.saved, self.folder)

    def calls(self):
        """Return the calls of a run in which none fails."""
        self.reset()
        with tempfile.TemporaryFile() as log:
            status, said = self.run(0, "never", log=log.fileno())
            assert (status, contents(self.folder)) == (0, self.new), (self.name, status, said)
            log.seek(0)
            return [line.split(" ", 1) for line in log.read().decode().splitlines()]

    def check(self, number, how, call):
        self.reset()
        status, said = self.run(number, how)
        self.judge(status, said, how, call, f"call {number} {how}")

    def check_signal(self, number, seconds):
        self.reset()
        status, said = self.run(0, "never", options=("--threads", "2"), kill=(number, seconds))
        name = signal.Signals(number).name
        self.judge(status, said, name, ("", ""), f"{name} after {seconds:.6f} s")

    def judge(self, status, said, how, call, when):
        """Check what a run has left after a fault, and that the next one goes on."""
        found = contents(self.folder)
        visible = {name: data for name, data in found.items() if name[0] != "."}
        where = f"{self.name}, {when}: status {status}: {said[:300]}"
        assert status in ENDS, where
        assert "Traceback" not in said, where
        assert said.count("\n") <= 1, where
        for name, data in visible.items():
            assert data in (self.old.get(name), self.new.get(name)), f"{where}: {name} is neither old nor new"
        if INDEX in visible:
            of = self.old if visible[INDEX] == self.old.get(INDEX) else self.new
            of_new = visible.items() >= self.new.items()
            listed = {name: data for name, data in of.items() if name in visible or of is self.old}
            assert of_new or listed.items() <= visible.items(), f"{where}: the index lists a mixture"
        whole = visible.items() >= self.old.items() or visible.items() >= self.new.items()
        kept = {*found.values()} >= {*self.new.values()} - (
            {self.new.get(INDEX)} if INDEX in self.new else set()
        )
        assert whole or kept or not self.lost(), f"{where}: neither the old nor the new is there"
        assert whole or how not in ("SIGINT", "SIGTERM", "SIGHUP") or not self.lost(), f"{where}: cut in two"
        if status != -signal.SIGKILL and whole:  # else the rest of the new files waits
            stay = found.keys() - visible.keys() - contents(self.saved).keys()
            # What could not be removed, and a lock that may be another's.
            stay -= {call[1]} if call[0] == "unlink" or call[1] == LOCK else set()
            assert not stay, f"{where}: {sorted(stay)} stay"
        if status == 0:
            assert visible == self.new, f"{where}: said to be done"
        again = [] if self.option == "--resume" else ["--resume"]
        status, said = self.run(0, "never", options=["--threads", "1", *again])
        assert (status, contents(self.folder)) == (0, self.new), (
            f"{where}: {status}: {said}: it does not go on"
        )

    def lost(self):
        """Whether there was something to lose: a whole checkpoint."""
        return bool(self.old) and not callable(self.before)


def check_order(situation, calls):
    """A file is synced after its last write and before it is closed, to get its name.

    The folder is synced before the index comes, which lists what is there; before the first old file goes,
    which new ones replace; and at the end. A folder that is made is synced, too, in its parent.
    """
    written, synced = set(), set()
    names = []  # what happened to names since the folder was synced
    for name, path in calls:
        if name == "pwrite64":
            written.add(path)
            synced.discard(path)
        elif name == "fsync":
            synced.add(path)
            names = [] if path == "." else names
        elif name == "close":
            assert path in synced or path not in written, f"{path} is closed before it is synced"
        elif name == "mkdir":
            synced.discard("..")
        elif name == "open64" and path.startswith(".model.part"):
            names.append(path)
        elif name in ("rename", "unlink") and path != LOCK:
            if path == INDEX:
                assert all(each.startswith(".") for each in names), f"{names} before the index"
            if situation.option == "--force" and path in situation.old:
                assert not any(each.startswith(".") for each in names), f"{names} before an old {path} goes"
            names.append(path)
    assert not names, f"{names} at the end"
    assert ".." in synced or situation.old, "the folder that was made isn't synced"
    assert not written or situation.old != situation.new, "a whole checkpoint is written again"


def prepared(root, library):
    for name in SITUATIONS:
        (root / name).mkdir()
        (root / name / "model.json").write_text(str(MODEL).replace("'", '"'))
        yield Situation(root / name, name, library)


def run(library, every, offset):
    library = ctypes.CDLL(library)
    with tempfile.TemporaryDirectory() as folder:
        total = 0
        for situation in prepared(Path(folder), library):
            calls = situation.calls()
            check_order(situation, calls)
            faults = itertools.product(range(1, len(calls) + 1), [*HOWS][1:])
            for number, how in itertools.islice(faults, offset, None, every):
                if how in ("nothing", "half") and calls[number - 1][0] != "pwrite64":
                    continue
                situation.check(number, how, calls[number - 1])
                total += 1
        print(f"{total} runs, nothing lost")


def run_signals(library, count):
    library, rng = ctypes.CDLL(library), random.Random(count)
    with tempfile.TemporaryDirectory() as folder:
        situations = [*prepared(Path(folder), library)]
        for number in range(count):
            situation = situations[number % len(situations)]
            situation.reset()
            began = time.monotonic()
            situation.run(0, "never")
            lasts = time.monotonic() - began
            situation.check_signal(rng.choice(SIGNALS), rng.random() * lasts)
        print(f"{count} runs, nothing lost")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as where nothing but the command hears it
    if sys.argv[2] == "signals":
        run_signals(sys.argv[1], int(sys.argv[3]))
    else:
        run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

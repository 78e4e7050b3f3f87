"""Two versions take turns in one run: A B B A, B A A B, ... in a pair of processes, over several pairs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import log
from multiprocessing import Pipe
from pathlib import Path
from statistics import median

from . import TrackError

TURN = 0.01  # the least seconds of a turn, long against starting and stopping the clock
SHARE = 0.25  # the seconds of a benchmark for all turns of a launch
BLOCKS = 5  # the least number of times A B B A
MOST_TIMES = 3  # at most this many times as many launches, if the first are unclear
SETTINGS = "pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg"


class Suite:
    """Benchmarks copied out of their project, so that both versions run the same and import no other copy.

    They keep their place, and so their names, and have each conftest.py between the root and them.
    `select` is an expression as for pytest's -k, or a benchmark's full name.
    """

    def __init__(self, repository: Path, name: str, folder: Path, select: str = ""):
        source = repository / name
        if not source.exists():
            raise TrackError(f"no such suite: {source}")
        self.folder = folder / "suite"
        inside = source.resolve().is_relative_to(repository.resolve())
        place = source.resolve().relative_to(repository.resolve()) if inside else Path(source.name)
        (self.folder / place).parent.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, self.folder / place, dirs_exist_ok=True)
        else:
            shutil.copy(source, self.folder / place)
        for file in (*SETTINGS, "conftest.py"):
            if (repository / file).is_file():
                shutil.copy(repository / file, self.folder)
        for above in place.parents[:-1] if inside else ():
            if (repository / above / "conftest.py").is_file():
                for module in (repository / above).glob("*.py"):  # it may import modules beside it
                    shutil.copy(module, self.folder / above)
        self.plugins = folder / "plugins"
        self.plugins.mkdir()
        shutil.copy(Path(__file__).with_name("worker.py"), self.plugins / "track_worker.py")
        chosen = [select] if "::" in select else [str(place), "-k", select]
        self.arguments = [f"--rootdir={self.folder}", *chosen]


class Failed(Exception):
    """A benchmark ended early, in this worker and for this reason."""


class Worker:
    """A pytest process whose benchmarks run when they're told to."""

    def __init__(self, python: Path, suite: Suite, label: str, prefix=(), environment=None):
        self.label = label
        self.at = ""  # the benchmark that waits for its turns
        self.pipe, theirs = Pipe()
        self.output = tempfile.TemporaryFile()
        command = [*prefix, python, "-m", "pytest", "-p", "track_worker", "-p", "no:cacheprovider"]
        self.process = subprocess.Popen(
            [*command, "--benchmark-only", "-q", *suite.arguments],
            cwd=suite.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(suite.plugins),
                "TRACK_PIPE": str(theirs.fileno()),
                **(environment or {}),
            },
            pass_fds=[theirs.fileno()],
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        theirs.close()

    def receive(self):
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.wait()
            self.output.seek(0)
            lines = self.output.read().decode(errors="replace").strip().splitlines()[-15:]
            raise TrackError("\n".join([f"{self.label}: pytest ended early:", *lines])) from None

    def collected(self) -> list[str]:
        _, names = self.receive()
        return names

    def start(self, name: str) -> str | None:
        """Bring benchmark `name` to its start, past those before it. Return why if it has none."""
        while True:
            event, at, about = self.receive()
            if event == "ready" and at == name:
                if about:
                    raise TrackError(f"{self.label}: {at} imports another build: {', '.join(about)}")
                self.at = name
                return self._trouble("it imports nothing of what was built" if about is None else "")
            if event == "ready":
                self._send(0)
            elif at == name:
                return self._trouble(about) or f"in {self.label}: it runs no benchmark"

    def take_turn(self, calls: int) -> float:
        """Return the seconds of a number of calls."""
        self._send(calls)
        answer = self.receive()
        if isinstance(answer, tuple):
            self.at = ""
            raise Failed(self, self._trouble(answer[2]))
        return answer

    def finish(self) -> str | None:
        """Let the benchmark end. Return what was wrong with its result, if anything."""
        self._send(0)
        _, _, about = self.receive()
        self.at = ""
        return self._trouble(about)

    def wait(self) -> None:
        """Let the process end."""
        self.process.wait()

    def _send(self, calls: int) -> None:
        try:
            self.pipe.send(calls)
        except BrokenPipeError:
            self.receive()  # the reason of the end

    def _trouble(self, text: str) -> str | None:
        return f"in {self.label}: {text.strip().splitlines()[0]}" if text.strip() else None

    def close(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.wait()
        self.output.close()


@contextmanager
def workers(*each) -> Iterator[list[Worker]]:
    """Context with workers for these arguments."""
    with ExitStack() as stack:
        made = []
        for arguments in each:
            worker = Worker(*arguments)
            stack.callback(worker.close)
            made.append(worker)
        yield made


class Result:
    """The logarithms of B's time over A's, one a launch, by benchmark; and why others have none."""

    def __init__(self) -> None:
        self.logarithms: dict[str, list[float]] = {}
        self.left_out: dict[str, str] = {}
        self.broken: set[str] = set()  # benchmarks that fail in B but not in A


def compare(
    pythons: list[Path],
    labels: list[str],
    suite: Suite,
    launches: int,
    unclear: Callable[[list[float]], bool],
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Run every benchmark that both versions have, in turns. `say` takes a line at each launch.

    Benchmarks of which `launches` launches say too little get as many more, up to `MOST_TIMES` times as many.
    """
    result, open_ = Result(), None
    for launch in range(launches * MOST_TIMES):
        if launch and launch % launches == 0:
            compared = result.logarithms.keys() - result.left_out.keys()
            open_ = {name for name in compared if unclear(result.logarithms[name])}
            if not open_:
                break
        say(f"launch {launch + 1}" + (f", of {len(open_)} that are unclear" if open_ else f" of {launches}"))
        with workers(
            *((python, suite, label) for python, label in zip(pythons, labels, strict=True))
        ) as pair:
            ours, theirs = (worker.collected() for worker in pair)
            for name, label in [*((n, labels[0]) for n in ours), *((n, labels[1]) for n in theirs)]:
                if (name in ours) != (name in theirs):
                    result.left_out[name] = f"only in {label}"
            for name in ours:
                if name not in theirs or (open_ is not None and name not in open_):
                    continue
                troubles = {worker: worker.start(name) for worker in pair}
                if not any(troubles.values()):
                    try:
                        ratio = _take_turns(*pair)
                        result.logarithms.setdefault(name, []).append(ratio)
                    except Failed as failed:
                        troubles.update([failed.args])
                for worker in pair:
                    if worker.at:
                        troubles[worker] = worker.finish() or troubles[worker]
                if any(troubles.values()):
                    result.left_out[name] = "; ".join(filter(None, troubles.values()))
                    if not troubles[pair[0]]:
                        result.broken.add(name)
    for name in result.left_out:
        result.logarithms.pop(name, None)
    if not result.logarithms:
        reasons = [f"{name}: {why}" for name, why in result.left_out.items()]
        raise TrackError("nothing could be compared: " + ("\n".join(reasons) or "no benchmark was selected"))
    return result


def _take_turns(a: Worker, b: Worker) -> float:
    calls = 1
    while (shortest := min(a.take_turn(calls), b.take_turn(calls))) < TURN:
        calls = max(2 * calls, round(calls * TURN / max(shortest, TURN / 100)))
    blocks = []
    began = time.monotonic()
    while len(blocks) < BLOCKS or time.monotonic() - began < SHARE:
        first, second = (a, b) if len(blocks) % 2 == 0 else (b, a)
        seconds = dict.fromkeys((a, b), 0.0)
        for worker in (first, second, second, first):
            seconds[worker] += worker.take_turn(calls)
        blocks.append(log(seconds[b] / seconds[a]))
    return median(blocks)

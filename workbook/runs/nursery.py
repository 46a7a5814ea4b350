"""Workers that start at once: one process loads the heavy packages, every job is a fork of it.

Loading torch and transformers takes four seconds of a core, more than a small job itself. Jobs keep what processes of
their own give: separate memory, a log each, and a crash that hurts nothing else. Forking needs a process without
threads and without a GPU, so builds of torch with CUDA, systems without fork and jobs of several processes start plain
workers (:class:`subprocess.Popen`), which are slower to start and otherwise the same.
"""

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from workbook.runs import worker

POLL_SECONDS = 0.05


class Nursery:
    """Starts workers from one loaded process, which begins with the first of them and ends with :meth:`close`."""

    def __init__(self):
        self.process: subprocess.Popen | None = None
        self.codes: dict[int, int] = {}
        self.started: list[int] = []
        self.unread = b""

    def start(self, arguments: Sequence[str], log: Path) -> "Child":
        """A worker with these arguments; what it prints is added to ``log``.

        Raises ChildProcessError if the loaded process has gone.
        """
        if self.process is None:
            command = [sys.executable, "-m", "workbook.runs.nursery"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = json.dumps({"arguments": list(arguments), "log": str(log)}) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        while not self.started:
            self._listen(None)
        return Child(self, self.started.pop())

    def _listen(self, seconds: float | None) -> None:
        """Wait at most so long (None: for ever) for what the process says, and note all of it."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return
        if not (more := os.read(self.process.stdout.fileno(), 65536)):
            raise ChildProcessError("the process that starts workers has gone, and all workers with it")
        *lines, self.unread = (self.unread + more).split(b"\n")
        for said in map(json.loads, lines):
            if "started" in said:
                self.started.append(said["started"])
            else:
                self.codes[said["ended"]] = said["code"]

    def code_of(self, pid: int, seconds: float = 0.0) -> int | None:
        """The exit code of a child, as :class:`subprocess.Popen` has it; None if it still runs after ``seconds``."""
        if pid not in self.codes:
            try:
                self._listen(seconds)
            except ChildProcessError:
                self.codes[pid] = -signal.SIGKILL
        return self.codes.get(pid)

    def close(self) -> None:
        """End the loaded process; a worker that still runs ends with it."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()
            self.process = None


class Child:
    """A worker, with the part of :class:`subprocess.Popen` that is needed to watch and to end it."""

    def __init__(self, nursery: Nursery, pid: int):
        self.nursery, self.pid = nursery, pid

    @property
    def returncode(self) -> int | None:
        return self.nursery.codes.get(self.pid)

    def poll(self) -> int | None:
        """The exit code, below zero for a signal; None while it runs."""
        return self.nursery.code_of(self.pid)

    def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        while (code := self.nursery.code_of(self.pid, 1.0)) is None:
            pass
        return code

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def can_fork() -> bool:
    """Whether workers may be forked from a process that has loaded torch: Linux, and a build of torch without CUDA."""
    try:
        return sys.platform == "linux" and "+cpu" in metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False


def serve() -> None:
    """Read one job a line from standard input, fork a worker for each, and say which started and which ended how.

    Ends with the input, which ends when whoever started this process is gone; workers that still run are killed then.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started us ends the workers
    answers = os.dup(1)
    os.dup2(2, 1)  # what a package prints while it is loaded is no answer
    worker.load_packages()
    running: set[int] = set()
    pending = b""

    def say(**what: int) -> None:
        os.write(answers, json.dumps(what).encode() + b"\n")

    while True:
        for pid in list(running):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                running.remove(pid)
                say(ended=pid, code=os.waitstatus_to_exitcode(status))
        if not select.select([0], [], [], POLL_SECONDS)[0]:
            continue
        if not (more := os.read(0, 65536)):
            break
        *lines, pending = (pending + more).split(b"\n")
        for line in lines:
            if not (pid := os.fork()):
                os.close(answers)
                _work(**json.loads(line))
            running.add(pid)
            say(started=pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _work(arguments: list[str], log: str) -> NoReturn:
    """Be a worker: as ``python -m workbook.runs.worker ARGUMENTS`` with all output in ``log``, and end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for source, standard in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, standard)
    code = 1
    try:
        worker.main(arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # nothing of the process this is a copy of must be cleaned up here


if __name__ == "__main__":
    serve()

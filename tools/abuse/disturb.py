"""How a run is disturbed: a signal, memory, time, disk, folder or clock, at a moment that is drawn by chance."""

import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.1  # seconds between two looks at a run
ORPHANS = 30.0  # seconds that a child may live on
DAY = 24 * 3600
MINE = ("-dac_override", "-dac_read_search")
"""Capabilities by which root writes where nobody may: a run that is to meet a read-only folder has none."""
MOUNT, UMOUNT, SETPRIV = (shutil.which(name) for name in ("mount", "umount", "setpriv"))


class Watched:
    """A run from the command line, its output in files, looked at until it ends.

    ``seen``: part ("run", "worker", "kernel") -> seconds from the start at which it was first and last there.
    """

    def __init__(self, command: Sequence[str], folder: Path, **popen):
        folder.mkdir(parents=True, exist_ok=True)
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, start_new_session=True, **popen
            )
        self.began, self.children, self.seen = time.monotonic(), set(), {}

    def look(self) -> dict[str, psutil.Process]:
        """Part -> its process, of those that are there now."""
        found = {}
        with suppress(psutil.Error):
            found["run"] = psutil.Process(self.process.pid)
            for child in found["run"].children(recursive=True):
                self.children.add(child)
                with suppress(psutil.Error):
                    words = " ".join(child.cmdline())
                    if "ipykernel" in words:
                        found["kernel"] = child
                    elif "forkserver" in words and child.ppid() != self.process.pid:  # its parent is the server
                        found["worker"] = child
        now = time.monotonic() - self.began
        for part in found:
            self.seen[part] = (self.seen.get(part, (now, now))[0], now)
        return found

    def wait(self, seconds: float, until: Callable[[dict[str, psutil.Process]], bool] = lambda parts: False) -> bool:
        """Whether ``until`` came to be true before the run ended or the seconds were over."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            if until(self.look()):
                return True
            time.sleep(EVERY)
        return False

    def ended(self, seconds: float) -> int | None:
        """Its exit code; None, after killing it, if it has not ended by then."""
        self.wait(seconds)
        if self.process.poll() is not None:
            return self.process.returncode
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return None

    def orphans(self) -> list[str]:
        """Children that live on after some time; they are then killed."""
        left = psutil.wait_procs(self.children, ORPHANS)[1]
        left = [child for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        for child in left:
            child.kill()
        return [f"process {child.pid}" for child in left]

    @property
    def last_words(self) -> str:
        """The last line on stderr."""
        return (self.err.read_text(errors="replace").strip().splitlines() or [""])[-1][:300]


@dataclass(frozen=True)
class Kind:
    """One kind of disturbance.

    Attributes:
        part: of the run that it strikes; the moment is drawn from the time that this part takes undisturbed.
        strike: done to this part's process and to the results folder at that moment; None: nothing, the run meets what
            ``place`` or ``words`` have prepared, or a second run.
        codes: with which a run may end that was struck; below zero where it had not begun to listen to signals.
        place: makes the results folder, of bytes that an undisturbed run needs.
        words: for the command, of the seconds at which it is to strike.
        mend: done to the results folder before the same command goes on.
        start: how the command is started.
        works: whether it can be done on this machine.
    """

    part: str
    strike: Callable[[psutil.Process, Path], None] | None
    codes: tuple[int, ...]
    place: Callable = lambda folder, needs, chance: _folder(folder)
    words: Callable[[float], list[str]] = lambda seconds: []
    mend: Callable[[Path, random.Random], None] = lambda folder, chance: None
    start: Callable[[Sequence[str]], list[str]] = list
    works: Callable[[], bool] = lambda: True


@contextmanager
def _folder(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True)
    yield folder


@contextmanager
def _small_disk(folder: Path, needs: int, chance: random.Random) -> Iterator[Path]:
    """A disk that holds a part of what a run needs."""
    folder.mkdir(parents=True)
    size = 4096 * round(8 + chance.random() * needs / 4096)
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    yield folder


def clear(place: Path) -> None:
    """Remove the folder of a point, also one that a killed matrix has left with a disk of its own."""
    if (place / "results").is_mount():
        subprocess.run([UMOUNT, "--lazy", str(place / "results")], check=True)
    shutil.rmtree(place, ignore_errors=True)


def _larger_disk(folder: Path, chance: random.Random) -> None:
    subprocess.run([MOUNT, "-o", "remount,size=2g", str(folder)], check=True)


def _mounts() -> bool:
    return os.geteuid() == 0 and None not in (MOUNT, UMOUNT)


def _kill(process: psutil.Process, folder: Path) -> None:
    process.kill()


def _starve(process: psutil.Process, folder: Path) -> None:
    """From now on the process gets no memory that it has not got already."""
    size = process.memory_info().vms
    process.rlimit(resource.RLIMIT_AS, (size, size))


def _interrupt(process: psutil.Process, folder: Path) -> None:
    """As a terminal does it: the signal goes to the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def _close(process: psutil.Process, folder: Path) -> None:
    _permit(folder, 0o555)


def _open(folder: Path, chance: random.Random) -> None:
    _permit(folder, 0o755)


def _permit(folder: Path, mode: int) -> None:
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        path.chmod(mode)


def _closable() -> bool:
    return os.geteuid() != 0 or SETPRIV is not None


def _bound(command: Sequence[str]) -> list[str]:
    """The command, which may write only where its user may, also as root."""
    if os.geteuid() != 0:
        return list(command)
    return [SETPRIV, "--inh-caps", ",".join(MINE), "--bounding-set", ",".join(MINE), *command]


def _other_day(folder: Path, chance: random.Random) -> None:
    """Everything that lies there is dated a day later or earlier, as if the clock had been set since."""
    shift = chance.choice((-DAY, DAY))
    for path in folder.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode):
            os.utime(path, (path.stat().st_mtime + shift,) * 2)


TWO = "two runs at once"
KINDS = {
    "kill -9 of the run": Kind("run", _kill, (-9,)),
    "kill -9 of a worker": Kind("worker", _kill, (3,)),
    "kill -9 of the kernel": Kind("kernel", _kill, (137,)),
    "no memory for a worker": Kind("worker", _starve, (3,)),
    "no memory for the kernel": Kind("kernel", _starve, (3, 4, 137)),
    "Ctrl-C": Kind("run", _interrupt, (130, -2)),
    "SIGTERM": Kind("run", lambda process, folder: process.terminate(), (143, -15)),
    "time limit": Kind("worker", None, (3,), words=lambda seconds: ["-p", f"limit_minutes={seconds / 60:.4f}"]),
    "full disk": Kind("run", None, (3, 4), place=_small_disk, mend=_larger_disk, works=_mounts),
    "read-only folder": Kind("run", _close, (3, 4), mend=_open, start=_bound, works=_closable),
    "clock set by a day": Kind("run", _kill, (-9,), mend=_other_day),
    TWO: Kind("run", None, (0, 3)),
}

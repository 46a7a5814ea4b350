"""A Slurm cluster of one node, this machine, on the loopback device: munged, slurmctld and slurmd, nothing kept.

For tests. Needs Debian's packages slurm-wlm and munge, and root. Keys, state
and logs lie in a folder of their own. /etc/slurm/slurm.conf points there while it runs, since job steps are started
without SLURM_CONF; a machine with a Slurm of its own is refused.
"""

import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS = 60.0
MEMORY_MB = 64_000  # nobody holds jobs to it: what they ask for must fit, as on a larger node
PLACE = Path("/etc/slurm/slurm.conf")
"""Where Slurm's programs look for their configuration."""

CONFIGURATION = """\
ClusterName=oryx
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,sched_interval=2
KillWait=5
# finished jobs stay listed for an hour: without an accounting database squeue is what tells how they ended
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class OneNode:
    """The cluster; a context manager. While it is open, sbatch, squeue and snakemake on this machine use it.

    Raises RuntimeError if the machine has a Slurm already, and with the ends of the logs if the node is not idle after
    a minute.
    """

    def __init__(self, folder: Path, cores: int | None = None):
        self.folder, self.cores = folder.resolve(), cores or os.cpu_count()
        self.configuration = self.folder / "slurm.conf"
        self.daemons: list[subprocess.Popen] = []

    def __enter__(self) -> "OneNode":
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        host, (controller, daemon) = socket.gethostname().split(".")[0], _free_ports(2)
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder, host=host, controller=controller, daemon=daemon, cores=self.cores, memory=MEMORY_MB
            )
        )
        self._claim()
        try:
            self._start_munge(key)
            self._start("slurmctld", "-D", "-c")
            self._start("slurmd", "-D", "-c")
            self._wait_until_idle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if len(self.daemons) == 3:
            self.ask("scancel", "--user", "root", check=False)
        for process in reversed(self.daemons):  # the node first, the keys last
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.daemons.clear()
        PLACE.unlink(missing_ok=True)

    def ask(self, *command: str, check: bool = True) -> str:
        """What a client command prints."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def _claim(self) -> None:
        if PLACE.is_symlink() and not self.ask("sinfo", "--noheader", check=False):  # left by one that was killed
            PLACE.unlink()
        try:
            PLACE.parent.mkdir(parents=True, exist_ok=True)
            PLACE.symlink_to(self.configuration)
        except FileExistsError:
            raise RuntimeError(f"{PLACE} is there already: this machine has a Slurm of its own") from None

    def _start_munge(self, key: Path) -> None:
        places = {"key-file": key, "pid-file": self.folder / "munge.pid", "seed-file": self.folder / "munge.seed"}
        places |= {"socket": self.folder / "munge.socket", "log-file": self.folder / "munge.log"}
        # --force: the folder lies where others may write (/tmp), which it would only warn of
        self._start("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in places.items()))
        _wait(places["socket"].exists, self.daemons[-1:], self._ends)

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("wb") as out:
            # stopped with this process, however it ends
            whole = ["setpriv", "--pdeathsig", "TERM", *command]
            self.daemons.append(subprocess.Popen(whole, stdout=out, stderr=out))

    def _wait_until_idle(self) -> None:
        def idle() -> bool:
            return self.ask("sinfo", "--noheader", "--format=%T", check=False).strip() == "idle"

        _wait(idle, self.daemons, self._ends)

    def _ends(self) -> str:
        logs = sorted([*self.folder.glob("*.out"), *self.folder.glob("*.log")])
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)


def _wait(condition, daemons: list[subprocess.Popen], ends) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > end or any(daemon.poll() is not None for daemon in daemons):
            raise RuntimeError(f"the one-node cluster did not start:\n{ends()}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    open_sockets = [socket.socket() for _ in range(count)]
    try:
        for one in open_sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in open_sockets]
    finally:
        for one in open_sockets:
            one.close()

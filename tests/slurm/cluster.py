"""A Slurm cluster of one node on the loopback interface: munged, slurmctld and slurmd, all of them
ended with the block."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun")
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SrunPortRange={ports[2]}-{ports[3]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdTimeout={timeout}
SlurmctldTimeout=30
KillWait={kill_wait}
MinJobAge={age}
ReturnToService=2
MailProg=/bin/true
PlugStackConfig=/dev/null
DefMemPerCPU=1000
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
PartitionName=short Nodes={host} MaxTime=1 State=UP
"""


def missing() -> list[str]:
    """The programs of a cluster that are not on this machine."""
    where = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=where) is None]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Cluster:
    """The daemons of a cluster, and the environment in which Slurm's commands find it."""

    def __init__(
        self, folder: Path, *, age: int = 300, timeout: int = 5, kill_wait: int = 5
    ) -> None:
        self.folder, self.host = folder, socket.gethostname().partition(".")[0]
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        ports = _free_ports(2)
        first = 60100
        settings = dict(age=age, timeout=timeout, kill_wait=kill_wait, memory=4000)
        conf = CONF.format(
            folder=folder, host=self.host, ports=[*ports, first, first + 300], **settings
        )
        self.conf = folder / "slurm.conf"
        self.conf.write_text(conf)
        (folder / "state").mkdir()
        (folder / "spool").mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o400)
        self.environment = {"SLURM_CONF": str(self.conf)}

    def start(self, name: str, *words: str) -> None:
        """A daemon in the foreground, as a child of this process and in a group of its own."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                [shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin"), *words],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_all(self) -> None:
        f = self.folder
        self.start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={f}/munge.key",
            f"--socket={f}/munge.socket",
            f"--pid-file={f}/munge.pid",
            f"--log-file={f}/munged.log",
            f"--seed-file={f}/munge.seed",
        )
        while not (f / "munge.socket").exists():
            time.sleep(0.05)
        self.start("slurmctld", "-D")
        self.start("slurmd", "-D")

    def stop_all(self):
        for name, process in reversed(self.daemons.items()):
            process.terminate()
        for process in self.daemons.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

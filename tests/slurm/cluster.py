"""A Slurm cluster of one node with two processors on the loopback interface, and its end."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun")
# where Debian has daemons
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
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
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
KillWait=10
ReturnToService=2
MailProg=/bin/true
PlugStackConfig=/dev/null
DefMemPerCPU=1500
MaxArraySize=4
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
PartitionName=short Nodes={host} MaxTime=1 State=UP
"""


def missing() -> str:
    """Why there can be no cluster on this machine; empty where there can."""
    if os.getuid():
        return "its daemons need root"
    absent = [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]
    return f"{absent[0]} is not installed" if absent else ""


def install() -> str:
    """`missing`, after Debian's packages were tried."""
    why = missing()
    if not why.endswith("not installed"):
        return why
    if shutil.which("apt-get") is None:
        return f"{why}, and this is no Debian"
    quietly = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        subprocess.run(
            ["apt-get", "-qq", *words],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stderr=subprocess.STDOUT,
            **quietly,
        )
    return f"{why}, and apt-get does not bring it" if (why := missing()) else ""


class Cluster:
    """Daemons as children of this process; `environment` is what Slurm's commands need to find
    them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().partition(".")[0]
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        with (
            socket.create_server(("127.0.0.1", 0)) as a,
            socket.create_server(("127.0.0.1", 0)) as b,
        ):
            ports = [one.getsockname()[1] for one in (a, b)]
        conf = folder / "slurm.conf"
        conf.write_text(CONF.format(folder=folder, host=self.host, ports=ports))
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "munge.key").write_bytes(os.urandom(64))
        (folder / "munge.key").chmod(0o400)
        self.environment = {"SLURM_CONF": str(conf)}

    def start(self, name: str, *words: str) -> None:
        """A daemon that ends with this process, however that ends, and in a session of its own, so
        that a Ctrl-C of the tests is not meant for it."""
        program = shutil.which(name, path=PLACES)
        assert program is not None
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", program, *words],
                env=os.environ | self.environment | {"PATH": PLACES},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> "Cluster":
        try:
            files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid"}
            files |= {"log-file": "munge.log", "seed-file": "munge.seed"}
            words = [f"--{key}={self.folder / name}" for key, name in files.items()]
            self.start("munged", "--foreground", "--force", *words)
            self.wait_for(lambda: (self.folder / "munge.socket").exists())
            self.start("slurmctld", "-D")
            self.start("slurmd", "-D")
            self.wait_for(lambda: "idle" in self.say("sinfo", "--noheader", "--format=%T"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *end: object) -> None:
        """No job, no process of a job and no daemon is left."""
        self.say("scancel", "--user=root", "--signal=KILL", "--full")
        self.say("scancel", "--user=root")
        self.wait_for(lambda: not self.steps(), seconds=20, must=False)
        for name in reversed(self.daemons):
            self.stop(name)
        for pid in self.steps():
            os.killpg(pid, signal.SIGKILL)

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """End one daemon."""
        process = self.daemons[name]
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def steps(self) -> list[int]:
        """The processes of Slurm's that hold the jobs of this cluster, by the spool folder that
        they work for."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and "slurmstepd" in (entry / "comm").read_text():
                    environment = (entry / "environ").read_bytes()
                    files = [os.readlink(one) for one in (entry / "fd").iterdir()]
                    here = str(self.folder)
                    if here.encode() in environment or any(one.startswith(here) for one in files):
                        found.append(int(entry.name))
            except OSError:
                continue
        return found

    def say(self, *words: str) -> str:
        """What one of Slurm's commands answers, errors too."""
        found = subprocess.run(
            words, env=os.environ | self.environment, capture_output=True, text=True, timeout=60
        )
        return found.stdout + found.stderr

    @staticmethod
    def wait_for(condition, seconds: float = 60, *, must: bool = True):
        """Until the condition holds; returns what it gave."""
        until = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > until:
                assert not must, "waited in vain"
                break
            time.sleep(0.1)
        return found


if __name__ == "__main__":
    if why := install():
        print(f"make test-slurm: the tests on Slurm are skipped: {why}")

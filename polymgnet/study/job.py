"""What runs in a job of Slurm: one run of a study, in as many processes as it has devices.

The time limit announces itself by SIGUSR1: the run saves, and the job's script, told by `AGAIN`,
has Slurm queue the job again. Any other end is told in one last line.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

AGAIN = 75  # sysexits' EX_TEMPFAIL
early: list[int] = []  # what came before the libraries were there


def main(book: Path, index: int) -> int:
    """Train the run of this index; its exit status."""
    from polymgnet.console import open_streams
    from polymgnet.errors import guarded
    from polymgnet.packages import prefer_own

    open_streams()
    prefer_own()
    return guarded(lambda: work(book, index))


def work(book: Path, index: int) -> int:
    """The exit status: 0 finished, `AGAIN` saved before its time limit, 128 + n stopped by another
    signal; Failure with the reason otherwise."""
    from mgtheory._files import read_json
    from nets.training.signals import StopRequest
    from polymgnet.errors import Failure, Stopped, reason
    from polymgnet.study.plan import KINDS

    listed = read_json(book, "list of a study's jobs")
    given: dict[str, Any] = listed["runs"][index]
    run = KINDS[listed["kind"]](**given | {"folder": Path(given["folder"])})
    with StopRequest(lambda: bool(early)) as asked:
        try:
            run(progress=True)
        except Stopped as stopped:
            if os.environ.get("SLURM_PROCID", "0") != "0":  # of several processes one tells
                return 0
            # another process of the run may have had the signal
            number = asked.signal or (early or [signal.SIGUSR1])[0]
            if number != signal.SIGUSR1:
                raise Stopped(str(stopped), number) from None
            print(stopped, file=sys.stderr)
            return AGAIN
        except Exception as error:
            raise Failure(reason(error)) from error
    return 0


def noting(numbers: list[int]) -> Callable[[int, object], None]:
    """A signal handler that writes its number down."""
    return lambda number, frame: numbers.append(number)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, noting(early))
    sys.exit(main(Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"])))

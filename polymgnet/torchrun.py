"""`python -m polymgnet.torchrun`: torchrun, where the last line of a run stands last.

torch's own launcher prints some forty lines of its traceback behind whatever its processes said,
whether these leave an error file for it or not.
"""

import logging
import signal
import sys
from collections.abc import Sequence

from polymgnet.console import note


def main(arguments: Sequence[str] | None = None) -> int:
    """Run torchrun with its own arguments; the exit status is that of the process that ended first,
    128 + n by signal n."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # which processes it ends, said behind the line of the process that is the reason
    logging.disable(logging.ERROR)
    try:
        run(parse_args(None if arguments is None else list(arguments)))  # type: ignore[no-untyped-call]
    except SignalException as error:  # the processes were told, and have told what they saved
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode) or 1
        name = signal.Signals(-failure.exitcode).name
        note(
            f"polymgnet: process {rank} of the run was ended by {name}; what was saved is kept, the"
            " same command with --resume goes on"
        )
        return 128 - int(failure.exitcode)
    return 0


if __name__ == "__main__":
    sys.exit(main())

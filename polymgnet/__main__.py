"""`python -m polymgnet` is the same as the console script `polymgnet`."""

import sys


def main() -> int:
    """Run the command; Ctrl-C while it is still loaded ends as it does later, without a
    traceback."""
    try:
        from polymgnet.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("polymgnet: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

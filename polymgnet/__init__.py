"""polymgnet: the command that ties multigrid theory, networks, analysis and figures together;
`polymgnet --help` lists what it does."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("polymgnet")
except PackageNotFoundError:  # run from a source tree that was not installed
    __version__ = "0+unknown"

__all__ = ["__version__"]

"""Programs for `make petsc`; no test is collected here."""

collect_ignore_glob = ["*.py"]

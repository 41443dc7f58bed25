"""One self-contained page on runs: words, tables and interactive pictures, which opens without a
network."""

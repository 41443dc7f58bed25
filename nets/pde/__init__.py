"""The bridge to differential equations: the multigrid cycle as a torch module, and learned
smoothers."""

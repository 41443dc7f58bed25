"""The bridge to differential equations, in three parts: the multigrid cycle as a torch module of
the networks' own levels (`cycle`, `transfers`, `solve`, and its `twin` without convolutions); the
matrix-free hierarchy on a GPU (`device`, its `levels` and `faces`, `loop`, and Triton's kernels of
them, `fused`); smoothers learned on the equation (`learn`, the cycle's `error` operator in `modes`
or as `energy`, and its `descent`)."""

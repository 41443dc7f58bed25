"""Multigrid with sparse matrices, from the `hierarchy` down: what is `given` and its `options`, the
`setup` that makes a `level` of another (by `transfer`, `blackbox` or `aggregates`), what smooths on
it (`applied`, `smoothings`), and the `cycle`, its `loop` and Krylov methods that solve with it."""

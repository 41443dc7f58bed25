"""Where eigenvalues are: intervals, bounds, Lanczos and Arnoldi processes and their estimates."""

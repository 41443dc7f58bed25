"""Multigrid theory: residual polynomials, Poisson problems, multigrid cycles and Fourier analysis, without torch."""

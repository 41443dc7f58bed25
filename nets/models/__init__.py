"""Poly-MgNet, MgNet and ResNet in PyTorch: the steps and levels (`blocks`), what they are made of
(`coefficients`, `placements`, `paddings`, `norms`), the networks around them, and the `registry`
that has them by name."""

"""Poly-MgNet, MgNet and ResNet in PyTorch, their steps, coefficients and registry."""

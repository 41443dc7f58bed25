"""What makes training fast on a GPU: norms, fused code, captured steps."""

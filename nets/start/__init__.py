"""The start of a network: operators A, schemes for its coefficients, and the report of both."""

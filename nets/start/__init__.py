"""The start of a network (`initialise`): its `operators` A and their `spectrum`, the `schemes` that
draw roots for it and the `factors` made of them, and the `report` of both."""

"""One level of a network as plain arrays, and what is measured of it: its spectra and dampings, its
polynomial with the batch norms folded in, which of its coefficients mean something, and whether
training kept, left or rediscovered the theory's; `report` puts them together."""

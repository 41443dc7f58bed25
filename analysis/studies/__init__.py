"""Studies: the rows of many runs as a grid of cells with their tests, and the words of a study's
page made of it."""

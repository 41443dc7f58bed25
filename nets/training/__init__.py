"""Training runs, from `train` down: the model is built (`build`), a `run` goes from state to state
by the `trainer`'s epochs and steps, and its `folder` has what is left of it; `predict` and `export`
use that."""

"""A run of seconds on the digits."""

from nets.config import load_config

TINY = [
    "width=4",
    "levels=2",
    "batch_size=256",
    "epochs=2",
    "tensorboard=false",
    "init=chebyshev4",
    "placement=relu_outside_nobn",
    "optim=sgd",
]


def config(*sets):
    return load_config("digits", [*TINY, *sets])

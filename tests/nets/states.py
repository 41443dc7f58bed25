"""What a caller's program may have set in torch and numpy, by name."""

from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def switched(read, write, value):
    before = read()
    write(value)
    try:
        yield
        assert read() == value  # the caller's again
    finally:
        write(before)


def flag(holder, name, value):
    return switched(
        lambda: getattr(holder, name), lambda given: setattr(holder, name, given), value
    )


def dtype(value):
    return switched(torch.get_default_dtype, torch.set_default_dtype, value)


# what the caller's program may have set: name -> context manager that sets it
STATES = {
    "float64": lambda: dtype(torch.float64),
    "float16": lambda: dtype(torch.float16),
    "inference_mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "meta": lambda: torch.device("meta"),
    "default device": lambda: switched(
        torch.get_default_device, torch.set_default_device, torch.device("meta")
    ),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": lambda: switched(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "products": lambda: switched(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "bfloat16 convolutions": lambda: flag(torch.backends, "fp32_precision", "bf16"),
    "bfloat16 convolutions of oneDNN": lambda: flag(
        torch.backends.mkldnn.conv, "fp32_precision", "bf16"
    ),
    "without oneDNN": lambda: flag(torch.backends.mkldnn, "enabled", False),
    "numpy raises": lambda: np.errstate(all="raise"),
}

"""Bytes and kernels of the generated code of a training step on a GPU, counted without one.

A step is traced as torch.compile traces it, and its two passes are lowered and scheduled by
TorchInductor for an H200 that is not there; nothing is compiled or run. What is counted is what the
generator itself expects its kernels to read and write. Convolutions, which are the library's, are
left out. The time is a model, not a measurement: bytes at --rate, and --launch for each kernel that
would be faster (benchmarks/results/train-h200.md has both).

Triton is needed, as `make gpu-kernels` puts it into build/triton:

    PYTHONPATH=.:build/triton python benchmarks/traffic.py --models q2,g4,g6,q8,mgnet,resnet18
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, fx, nn

import nets
from nets.fast.fusion import FUSION, prepare
from nets.models.classifier import MultigridClassifier

CUDA = torch.device("cuda", 0)
H200 = SimpleNamespace(
    name="NVIDIA H200",
    major=9,
    minor=0,
    gcnArchName="",
    multi_processor_count=132,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    regs_per_multiprocessor=65536,
    warp_size=32,
    total_memory=141 * 10**9,
    L2_cache_size=50 * 2**20,
    shared_memory_per_block=48 * 2**10,
    shared_memory_per_block_optin=227 * 2**10,
)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", default="q2,g4,g6,q8,mgnet,resnet18", help="by commas")
    parser.add_argument("--placement", help="of polynomial models; else each one's own")
    parser.add_argument("--usual", action="store_true", help="the generator's usual limits for all")
    parser.add_argument("--batch", type=int, default=1024, help="images (1024)")
    parser.add_argument("--rate", type=float, default=3.9, help="bytes a time, in TB/s (3.9)")
    parser.add_argument("--launch", type=float, default=2.0, help="least time of a kernel, us (2)")
    given = parser.parse_args()
    print(
        f"full width, 32 x 32, bfloat16, batch {given.batch}, torch {torch.__version__}: generated"
        " code of both passes"
    )
    print(f"{'model':28} {'MB/image':>9} {'kernels':>8} {'small':>6} {'ms, modelled':>13}")
    for name in given.models.split(","):
        options = {"placement": given.placement} if given.placement else {}
        model = nets.create_model(name, **options)
        moved = step_bytes(model, given.batch, lifted=not given.usual)
        times = [n / given.rate / 1e6 for n in moved]
        small = sum(time < given.launch for time in times)
        total = sum(max(time, given.launch) for time in times) / 1e3
        where = f"{name} {given.placement or ''}"
        print(
            f"{where:28} {sum(moved) / given.batch / 1e6:9.2f} {len(moved):8} {small:6}"
            f" {total:13.2f}",
            flush=True,
        )


def step_bytes(model: nn.Module, batch: int, *, lifted: bool = True) -> list[int]:
    """Bytes of every generated kernel of a training step, as the trainer prepares it for a GPU."""
    from torch._inductor import config

    found: list[int] = []
    limits = FUSION if lifted and isinstance(model, MultigridClassifier) else {}
    with config.patch(limits):
        twin = prepare(model.to(memory_format=torch.channels_last), CUDA, half=True, generated=True)
        x = torch.empty(batch, 3, 32, 32, dtype=torch.bfloat16, device="meta")
        _trace(twin, x, lambda graph, inputs: found.extend(_scheduled(graph, inputs)))
    return found


def _trace(model: nn.Module, x: Tensor, each: Callable[[fx.GraphModule, Any], None]) -> None:
    """Forward and backward pass, split as TorchInductor splits them, on fake tensors of a
    processor: autograd would look for a GPU."""
    from functorch.compile import aot_module, make_boxed_func
    from torch._dynamo import utils
    from torch._functorch.partitioners import min_cut_rematerialization_partition
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.fx_passes.joint_graph import joint_graph_passes
    from torch._subclasses import FakeTensorMode

    def split(joint: fx.GraphModule, inputs: Any, **more: Any) -> Any:
        more["compiler"] = "inductor"
        return min_cut_rematerialization_partition(joint_graph_passes(joint), inputs, **more)

    def compiler(graph: fx.GraphModule, inputs: Any) -> Any:
        each(graph, inputs)
        return make_boxed_func(graph.forward)

    table = select_decomp_table()
    fakes = mock.patch.object(utils, "assert_no_fake_params_or_buffers", always(None))
    # as cuDNN answers
    last = always(torch.channels_last)
    format_ = mock.patch.object(torch._C, "_conv_determine_backend_memory_format", last)
    with fakes, format_, FakeTensorMode(allow_non_fake_inputs=True):
        fake = {
            name: torch.empty_strided(one.shape, one.stride(), dtype=one.dtype)
            for name, one in model.state_dict(keep_vars=True).items()
        }
        parameters = dict(model.named_parameters())
        for name, one in fake.items():
            owner, _, last = name.rpartition(".")
            value = nn.Parameter(one) if name in parameters else one
            setattr(model.get_submodule(owner), last, value)
        traced = aot_module(
            model,
            fw_compiler=compiler,
            bw_compiler=compiler,
            decompositions=table,
            partition_fn=split,
        )
        image = torch.empty(x.shape, dtype=x.dtype).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = traced(image)
        scores.float().sum().backward()


def _scheduled(graph: fx.GraphModule, inputs: Any) -> list[int]:
    """Bytes of every kernel that is generated for a graph, moved to the GPU."""
    from torch._guards import detect_fake_mode
    from torch._inductor.compile_fx import fake_tensor_prop
    from torch._inductor.debug import DebugContext
    from torch._inductor.fx_passes.post_grad import post_grad_passes
    from torch._inductor.graph import GraphLowering
    from torch._inductor.scheduler import ExternKernelSchedulerNode, NopKernelSchedulerNode
    from torch._inductor.virtualized import V

    fake, graph = detect_fake_mode(inputs), copy.deepcopy(graph)
    for node in graph.graph.nodes:
        if "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": CUDA}
    graph.recompile()
    with pretended_gpu(), V.set_fake_mode(fake), V.set_debug_handler(DebugContext()):
        with fake:
            there = [_moved(one) for one in inputs]
            fake_tensor_prop(graph, there, True)
            post_grad_passes(graph, is_inference=False)
            fake_tensor_prop(graph, there, True)
        lowered = GraphLowering(graph, example_inputs=there, shape_env=fake.shape_env)
        with V.set_graph_handler(lowered):
            lowered.run(*there)
            lowered.codegen()
            return [
                node.get_read_write_buffers_sizes()
                for node in lowered.scheduler.nodes
                if not isinstance(node, ExternKernelSchedulerNode | NopKernelSchedulerNode)
            ]


def _moved(one: Any) -> Any:
    """A fake tensor on the GPU in the place of one on a processor."""
    if not isinstance(one, Tensor):
        return one
    return torch.empty_strided(one.shape, one.stride(), dtype=one.dtype, device=CUDA)


def always(value: Any) -> Any:
    """A function of anything with this result."""
    return lambda *_, **__: value


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Within, TorchInductor finds an H200."""
    import torch._inductor.inductor_prims
    import triton
    from torch._dynamo.device_interface import CudaInterface
    from torch._inductor.fx_passes import joint_graph, post_grad
    from torch._subclasses import fake_tensor
    from torch.utils import _triton
    from triton.backends.compiler import GPUTarget

    for passes in (joint_graph, post_grad):  # patterns of theirs are traced on the device found
        passes.lazy_init(None)
    driver = SimpleNamespace(
        get_current_target=lambda: GPUTarget("cuda", 90, 32),
        get_current_device=lambda: 0,
        get_active_torch_device=lambda: CUDA,
    )
    prim = torch.ops.prims.inductor_force_stride_order.default

    def like(x: Tensor, stride: Any) -> Any:
        return torch._prims.TensorMeta(
            shape=x.shape, strides=tuple(stride), dtype=x.dtype, device=x.device
        )

    with ExitStack() as stack:
        for owner, name, new in (
            (torch.cuda, "is_available", always(True)),
            (torch.cuda, "device_count", always(1)),
            (torch.cuda, "current_device", always(0)),
            (torch.cuda, "get_device_properties", always(H200)),
            (torch.cuda, "get_device_capability", always((9, 0))),
            (CudaInterface, "is_available", always(True)),
            (CudaInterface, "device_count", always(1)),
            (CudaInterface, "current_device", always(0)),
            (CudaInterface, "get_compute_capability", always("90")),
            (CudaInterface, "is_triton_capable", always(True)),
            (CudaInterface, "raise_if_triton_unavailable", always(None)),
            (CudaInterface, "get_device_properties", always(H200)),
            (CudaInterface.Worker, "get_device_properties", always(H200)),
            (CudaInterface.Worker, "current_device", always(0)),
            (fake_tensor, "init_gpu_context", always(None)),
            (_triton, "has_triton", always(True)),
            (joint_graph, "lazy_init", always(None)),
            (post_grad, "lazy_init", always(None)),
            (prim, "prim_meta_impl", like),
        ):
            stack.enter_context(mock.patch.object(owner, name, new, create=True))
        triton.runtime.driver.set_active(driver)
        yield


if __name__ == "__main__":
    main()

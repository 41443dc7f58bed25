"""How models are compiled for a GPU: which limits are lifted for whom, and that what is kept in
memory changes no number."""

import copy

import pytest
import torch

import nets
from nets.fast.fusion import FUSION, GENERATED, compiled, exchanged, prepare
from nets.fast.levels import (
    DenseSeparable,
    DenseTransfer,
    SingleTransfer,
    SplitTransfer,
    as_single,
)
from nets.fast.memory import channel_sums, kept, relu_of_normed, written
from nets.models.coefficients import Coefficients
from nets.models.convolutions import CONVOLUTIONS, SeparableConv
from nets.models.polymgnet import operator_products
from nets.models.transfers import Transfer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
DENSE = {Transfer: DenseTransfer, SeparableConv: DenseSeparable}
GPU = DENSE | GENERATED
# as few steps as have every kind, a first, a next and a last one, and levels that begin with u = 0
# or not: another one takes seconds to compile
KINDS = {
    "q2": {"steps": [1, 2]},
    "mgnet": {"steps": [1, 2]},
    "g4": {"factors": [["symmetric_pair"], ["symmetric_pair"] * 2]},
    "g6": {"factors": [["complex_pair"], ["symmetric_pair", "complex_pair"]]},
    "separable q2": {"steps": [1, 2]},
}


def made(name, **options):
    """A network by its name, behind "separable" that of such operators."""
    *separable, name = name.split()
    return nets.create_model(name, **options, **({"separable": True} if separable else {}))


@pytest.mark.parametrize(("name", "more"), [("q2", FUSION), ("mgnet", FUSION), ("resnet20", {})])
def test_only_multigrid_models_are_compiled_without_the_limits(monkeypatch, name, more):
    """The options are those of the mode and ours, all of them known to the installed torch."""
    given = {}
    monkeypatch.setattr(torch, "compile", lambda model, **options: given.update(options) or model)
    model = nets.create_model(name, width=2)
    for mode in ("default", "reduce-overhead"):
        assert compiled(model, mode) is model
        assert given == {
            "dynamic": False,
            "options": torch._inductor.list_mode_options(mode) | more,
        }
    for key in FUSION:
        assert hasattr(torch._inductor.config, key)


def test_no_model_of_a_process_runs_uncompiled(monkeypatch):
    """As in a study, whose processes train one model after the other."""
    graphs, compile_it = [], torch.compile
    torch._dynamo.reset()  # what other tests have compiled counts too
    monkeypatch.setattr(
        torch,
        "compile",
        lambda model, **_: compile_it(
            model, backend=lambda graph, _: graphs.append(graph) or graph
        ),
    )
    x = torch.randn(2, 3, 4, 4)
    with torch._dynamo.config.patch(recompile_limit=1):  # a patch of the tests would hide it after
        for i in (2, 3):
            compiled(nets.create_model("q2", width=2, levels=1, steps=[i]))(x)
    assert len(graphs) == 2


@pytest.mark.parametrize(
    ("name", "placement", "backend"),
    [
        ("q2", "regular", "inductor"),
        ("q2", "relu_outside_nobn", "aot_eager"),
        ("g6", None, "aot_eager"),
        ("g4", "outside", "eager"),
        ("mgnet", None, "aot_eager"),
        ("separable q2", "regular", "aot_eager"),
    ],
)
def test_the_gpus_twin_is_the_same_function(name, placement, backend):
    """Loss, gradients and running statistics of two steps against the plain form in torch's own
    operations, in float64; the twin's are the model's own.

    The tolerances leave three to four digits for sums in another order over 2,048 numbers a
    channel.
    """
    ours, reference = (
        made(name, width=8, levels=2, placement=placement, **KINDS.get(name, {})).double()
        for _ in range(2)
    )
    reference.load_state_dict(ours.state_dict())
    for level in reference.levels:
        level.form = "plain"
    twin = exchanged(ours, GPU)
    step = (
        compiled(twin)
        if backend == "inductor"
        else torch.compile(twin, backend=backend, dynamic=False)
    )
    torch.manual_seed(0)
    x, y = (
        torch.randn(8, 3, 16, 16, dtype=torch.float64).to(memory_format=torch.channels_last),
        torch.randint(0, 10, (8,)),
    )
    for _ in range(2):
        losses = [torch.nn.functional.cross_entropy(net(x), y) for net in (step, reference)]
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=0)
        gradients = [
            torch.autograd.grad(loss, list(model.parameters()))
            for loss, model in zip(losses, (ours, reference), strict=True)
        ]
        for (parameter, _), mine, theirs in zip(ours.named_parameters(), *gradients, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11, msg=parameter)
        for (buffer, mine), theirs in zip(ours.named_buffers(), reference.buffers(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12, msg=buffer)


@pytest.mark.parametrize("same", [written, kept])
def test_what_is_kept_is_the_identity_in_any_layout(same):
    for x in (
        torch.randn(5),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(4, 6).t(),
    ):
        assert torch.equal(same(x), x)
        assert same(x).stride() == x.stride()


def test_relu_by_its_argument_is_torchs_at_0_and_where_nothing_is_a_number():
    values = torch.tensor([-2.0, -0.0, 0.0, 1e-45, 3.0, torch.inf, torch.nan])
    results = []
    for relu in (torch.relu, relu_of_normed):
        x = values.clone().requires_grad_()
        y = relu(x)
        results += [(y.detach(), *torch.autograd.grad(y, x, torch.arange(1.0, 8.0)))]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_sums_per_channel_are_formed_in_the_type_that_is_asked():
    """The sums of ones and of 129/128 over 768 pixels; in bfloat16 they would be 768 and 772."""
    x = torch.ones(3, 2, 16, 16, dtype=torch.bfloat16)
    x[:, 1] += 2.0**-7
    expected = 768 * torch.tensor([1.0, 1 + 2.0**-7])
    assert torch.equal(channel_sums(x, torch.float32), expected)


@pytest.mark.parametrize(
    ("name", "placement"),
    [("q2", "regular"), ("q2", "relu_outside_nobn"), ("g6", None), ("resnet20", None)],
)
def test_gradients_reach_convolutions_in_the_format_of_their_inputs(monkeypatch, name, placement):
    """In the backward pass as the compiler sees it: another format would be copied, 0.87 of 8.55 ms
    in a step of q2 on an H200."""
    from functorch.compile import aot_module, make_boxed_func

    # as cuDNN answers
    monkeypatch.setattr(
        torch._C, "_conv_determine_backend_memory_format", lambda *_: torch.channels_last
    )
    graphs = []

    def compiler(graph, inputs):
        graphs.append(graph)
        return make_boxed_func(graph)

    options = {"steps": 1} if name == "resnet20" else {"levels": 2, "placement": placement}
    options |= KINDS["g6"] if name == "g6" else {}
    model = nets.create_model(name, width=4, **options).to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 16, 16).to(memory_format=torch.channels_last)
    traced = aot_module(exchanged(model, GPU), fw_compiler=compiler, bw_compiler=compiler)
    traced(x).sum().backward()
    aten = torch.ops.aten
    forward, found = (
        [node for node in graph.graph.nodes if node.target is target]
        for graph, target in zip(
            graphs, (aten.convolution.default, aten.convolution_backward.default), strict=True
        )
    )
    assert len(found) == len(forward) >= 6
    for node in found:
        assert node.args[0].meta["val"].is_contiguous(memory_format=torch.channels_last), node


@pytest.mark.parametrize(
    ("device", "half", "generated", "swapped"),
    [
        (CPU, False, False, {Transfer: SplitTransfer}),
        (CPU, False, True, {Transfer: SplitTransfer}),
        (CPU, True, True, {Transfer: SingleTransfer}),
        (CUDA, False, False, {}),
        (CUDA, True, False, DENSE),
        (CUDA, False, True, GENERATED),
        (CUDA, True, True, GPU),
    ],
)
@pytest.mark.parametrize("name", ["g6", "mgnet", "resnet20", "separable q2", "separable resnet20"])
def test_what_is_exchanged_where(name, device, half, generated, swapped):
    """The model stays as it is; the twin has its tensors, under the same names."""
    model = made(name, width=2)
    before = [type(module) for module in model.modules()]
    twin = prepare(model, device, half=half, generated=generated)
    assert [type(module) for module in model.modules()] == before
    assert [type(module) for module in twin.modules()] == [swapped.get(t, t) for t in before]
    assert (twin is model) == (not set(swapped) & set(before))
    for one, other in (
        (model.named_parameters(), twin.named_parameters()),
        (model.named_buffers(), twin.named_buffers()),
    ):
        for (key, mine), (name_there, theirs) in zip(one, other, strict=True):
            assert key == name_there
            assert mine is theirs


def test_training_the_twin_trains_the_model():
    model = nets.create_model("q2", width=2, levels=2, generator=torch.Generator().manual_seed(0))
    twin = exchanged(model, GPU)
    before = copy.deepcopy(model.state_dict())
    twin(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    for key, value in model.state_dict().items():
        assert not torch.equal(value, before[key]), key
        assert torch.equal(value, twin.state_dict()[key]), key
    model.load_state_dict(before)
    assert all(torch.equal(value, before[key]) for key, value in twin.state_dict().items())


@pytest.mark.parametrize("name", ["q2", "g6", "mgnet", "separable q2"])
def test_the_fast_path_is_in_the_graph_of_a_gpus_step(name):
    """Traced forward and backward: written vectors and gradients, kept residuals, A's negative
    weight, signs of what is normed, sums of each image first, no depthwise convolution and no norm
    of torch's own.

    What is exchanged does not ask where the tensors are, nor who is tracing, so that a CPU shows
    it.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    model = made(name, width=4, levels=2, **KINDS[name])
    twin = prepare(model, CUDA, half=True, generated=True)
    x, wanted = torch.randn(2, 3, 16, 16), list(model.parameters())

    def gradients(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = twin(x).float().sum()
        return torch.autograd.grad(loss, wanted)

    nodes = list(make_fx(gradients)(x).graph.nodes)
    counts = {}
    for node in nodes:
        counts[node.target] = counts.get(node.target, 0) + 1
    aten = torch.ops.aten
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    steps = sum(len(level.steps) for level in model.levels)
    # scale, a and b of a norm forward, k and k0 backward; one gradient of g and u of a level and of
    # every step's e
    assert counts[aten.as_strided.default] == 5 * norms + 2 * len(model.levels) + steps
    found = counts[torch.ops.prims.inductor_force_stride_order.default]
    assert found == steps - len(model.levels)  # but for a level's first, which is g
    assert counts[aten.le.Scalar] == steps  # of relu(bn(c))
    # both sums of a norm in each direction, and of a coefficient
    own = sum(type(module) is Coefficients for module in model.modules())
    sums = [node.args[1] for node in nodes if node.target is aten.sum.dim_IntList]
    assert sums.count([2, 3]) >= 4 * norms + own
    assert [0, 2, 3] not in sums
    # every residual but the first and the last of all, forward and backward
    assert counts[aten.neg.default] >= 2 * (steps - 1)
    corrections = steps if name == "mgnet" else 0
    found = [node for node in nodes if node.target is aten.convolution.default]
    transfers = 2 * (len(model.levels) - 1)
    assert len(found) == 1 + transfers + operator_products(model, x) + corrections
    assert all(node.args[-1] == 1 for node in found)  # groups
    assert not any("batch_norm" in str(target) for target in counts)


def test_a_level_makes_its_dense_weight_once():
    """In generated code, though every product asks for it: the compiler finds equal terms."""
    from functorch.compile import aot_module, make_boxed_func, min_cut_rematerialization_partition

    graphs = []

    def compiler(graph, inputs):
        graphs.append(graph.graph)
        return make_boxed_func(graph)

    model = made("separable q2", width=4, steps=[3, 2], levels=2)
    twin = exchanged(model, GPU)
    partition = min_cut_rematerialization_partition  # as torch.compile's
    aot_module(twin, compiler, partition_fn=partition)(torch.randn(2, 3, 8, 8))
    products = [node for node in graphs[0].nodes if node.target is torch.ops.aten.mul.Tensor]
    shapes = [tuple(node.meta["val"].shape) for node in products]
    assert [shapes.count((c, c, 3, 3)) for c in (4, 8)] == [1, 1]


@pytest.mark.parametrize("dim", CONVOLUTIONS)
@pytest.mark.parametrize("padding_mode", ["zeros", "circular", "reflect"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_dense_separable_convolution_is_the_same(dim, padding_mode, stride):
    """Values and gradients of the input, of P and of D, without a batch too."""
    plain = SeparableConv(3, 5, 3, dim=dim, padding_mode=padding_mode, stride=stride).double()
    dense = exchanged(plain, DENSE)
    assert type(dense) is DenseSeparable
    u = torch.randn(2, 3, *[7, 6, 5][:dim], dtype=torch.float64, requires_grad=True)
    found = [module(u) for module in (dense, plain)]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-13)
    inputs, seed = [u, *plain.parameters()], torch.randn_like(found[0])
    for one, other in zip(*(torch.autograd.grad(y, inputs, seed) for y in found), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dense(u[0]), plain(u[0]), rtol=1e-12, atol=1e-13)


def test_a_dense_separable_convolution_rounds_its_weight_once():
    """In bfloat16, of 8 bits: input, weight and result are rounded, and nothing between P and D;
    the parameters' gradients are float32."""
    plain = SeparableConv(16, 16, 3)
    dense, u = exchanged(plain, DENSE), torch.randn(4, 16, 8, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = dense(u)
        gradients = torch.autograd.grad(found, list(plain.parameters()), found.detach())
    assert found.dtype == torch.bfloat16
    exact = plain(u.float())
    largest = torch.nn.functional.conv2d(u.float().abs(), plain.weight.abs(), padding=1)
    assert ((found.float() - exact).abs() <= 2**-8 * (largest + exact.abs())).all()
    expected = torch.autograd.grad(exact, list(plain.parameters()), found.detach().float())
    for one, other in zip(gradients, expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() <= 2**-8 * other.norm()


def test_without_the_exchange_the_graph_has_torchs_own_operations():
    from torch.fx.experimental.proxy_tensor import make_fx

    model = nets.create_model("q2", width=2, levels=2)
    graph = make_fx(lambda x: model(x))(torch.randn(2, 3, 8, 8)).graph
    names = {str(node.target) for node in graph.nodes}
    assert any("batch_norm" in name for name in names)
    assert not any("as_strided" in name for name in names)
    exported = torch.export.export(model.eval(), (torch.randn(2, 3, 8, 8),))
    assert not any("as_strided" in str(node.target) for node in exported.graph.nodes)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("fine", "coarse", "kernel_size"), [(3, 6, 3), (2, 6, 5), (4, 4, 3)])
def test_a_cpus_transfers_are_the_depthwise_ones(layout, fine, coarse, kernel_size):
    """Values and gradients, of the channels' growth, the filters' size and both memory formats,
    which the results keep."""
    plain = Transfer(fine, coarse, kernel_size=kernel_size).double()
    split = exchanged(plain, {Transfer: SplitTransfer})
    u, r = (
        torch.randn(2, fine, 7, 6, dtype=torch.float64).to(memory_format=layout).requires_grad_()
        for _ in range(2)
    )
    inputs = [u, r, plain.Pi.weight, plain.R.weight]
    results = [module(u, r) for module in (split, plain)]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
        assert one.is_contiguous(memory_format=layout)
    seeds = [torch.randn_like(y) for y in results[1]]
    gradients = [torch.autograd.grad(found, inputs, seeds) for found in results]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
    with_bias = torch.nn.Conv2d(3, 6, 3, groups=3).double()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(as_single(with_bias, x), with_bias(x))
    for few in ((u[0], r[0]), (u[:0], r[:0])):  # an image without a batch, a batch without images
        for one, other in zip(split(*few), plain(*few), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("compiled", [False, True])
def test_depthwise_transfers_leave_a_cpus_autocast(compiled):
    """bfloat16 features give the float32 convolution rounded once, values and gradients; other
    convolutions do compute in bfloat16."""
    model = nets.create_model("q2", width=6, levels=2)
    transfer, plain = (prepare(model, CPU, half=half).transfers[0] for half in (True, False))
    function = torch.compile(transfer, backend="aot_eager") if compiled else transfer
    generator = torch.Generator().manual_seed(1)
    u, r = (torch.randn(4, 6, 8, 8, generator=generator).bfloat16() for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = function(u, r)
        assert torch.conv2d(u, torch.randn(6, 6, 3, 3)).dtype == torch.bfloat16
        weights = (transfer.Pi.weight, transfer.R.weight)
        gradients = torch.autograd.grad(found, weights, found)
    expected = [out.bfloat16() for out in plain(u.float(), r.float())]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.bfloat16
        assert torch.equal(one, other)
    for one, other in zip(gradients, torch.autograd.grad(expected, weights, expected), strict=True):
        torch.testing.assert_close(one, other)  # float32

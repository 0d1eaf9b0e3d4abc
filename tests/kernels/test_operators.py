"""Both ops as torch operators: opcheck, compile, autocast, FLOPs, double backward, fake tensors."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

import mamba_kernels
from mamba_kernels import dispatch, route_scan, selective_scan
from mamba_kernels.checks import CHECKPOINT

from .cases import FAST, GRADIENT, OUTPUT, Case, compare, require, routed, selective

BACKENDS = pytest.mark.parametrize('backend', FAST)
OPS = pytest.mark.parametrize('op', dispatch.OPS)


def small(op):
    if op == 'selective_scan':
        return selective(67, dim=6, state=3)
    return routed((6, 12), dim=6, state=3)


def operands(op, backend, device, *, save_every=CHECKPOINT):
    """Arguments of the forward operator of an op, as leaves that ask for gradients."""
    tensors = small(op).to(torch.float32, device).tensors
    if op == 'selective_scan':
        del tensors['z']
    leaves = [tensor.requires_grad_() for tensor in tensors.values()]
    if op == 'selective_scan':
        return (*leaves, True, torch.float32, save_every, backend)
    tokens = torch.arange(leaves[0].shape[1], dtype=torch.int32, device=device)
    table = torch.stack([tokens, tokens.flip(0)] * 2)
    return (*leaves, table, torch.float32, save_every, backend)


@BACKENDS
@OPS
def test_opcheck_of_the_forward_operator(op, backend):
    device = require(op, backend)
    forward = getattr(torch.ops.mamba_kernels, f'{op}_forward')
    torch.library.opcheck(forward, operands(op, backend, device))


@BACKENDS
@OPS
def test_opcheck_of_the_backward_operator(op, backend):
    device = require(op, backend)
    *tensors, _, _, _ = operands(op, backend, device)
    saved = getattr(torch.ops.mamba_kernels, f'{op}_forward')(
        *tensors, torch.float32, True, backend
    )
    states = saved[-1].detach()
    tensors = [t.detach() if torch.is_tensor(t) else t for t in tensors]
    outputs = saved[:-1]  # y, and the selective scan's last state
    dy = [torch.randn_like(output) for output in outputs]
    backward = getattr(torch.ops.mamba_kernels, f'{op}_backward')
    checks = ('test_schema', 'test_faketensor', 'test_autograd_registration')
    torch.library.opcheck(backward, (*dy, *tensors, states, backend), test_utils=checks)


def compiled_and_plain(op, backend, engine, dynamic=None):
    device = require(op, backend)
    case = small(op).to(torch.float32, device)
    torch._dynamo.reset()

    def call(*tensors):
        results = Case(op, dict(zip(case.tensors, tensors, strict=True)), case.options).run(backend)
        return tuple(results.values())

    compiled = torch.compile(call, fullgraph=True, backend=engine, dynamic=dynamic)
    found = []
    for function in (call, compiled):
        leaves = [t.detach().requires_grad_() for t in case.tensors.values()]
        results = function(*leaves)
        gradients = torch.autograd.grad(sum((r * r).sum() for r in results), leaves)
        found.append((results, dict(zip(case.tensors, gradients, strict=True))))
    return found


@BACKENDS
@OPS
def test_compiles_as_one_graph(op, backend):
    (results, gradients), (got, got_gradients) = compiled_and_plain(op, backend, 'aot_eager')
    for value, target in zip(got, results, strict=True):
        assert torch.equal(value, target)
    compare(got_gradients, gradients, GRADIENT)


@OPS
def test_compiles_with_the_backend_left_open_and_sizes_that_vary(op):
    call = {'selective_scan': selective_scan, 'route_scan': route_scan}[op]
    torch._dynamo.reset()
    for size in (5, 70, 131):
        case = selective(size, dim=6, state=3) if op == 'selective_scan' else None
        case = case or routed((1, size), dim=6, state=3, routes='bidirectional')
        case = case.to(torch.float32)
        compiled = torch.compile(call, fullgraph=True, backend='aot_eager')
        results = compiled(*case.tensors.values(), **case.options)
        wanted = call(*case.tensors.values(), **case.options)
        for value, target in zip(results, wanted, strict=True):
            assert torch.equal(value, target)


@pytest.mark.full
@BACKENDS
@OPS
def test_compiles_with_inductor(op, backend):
    (results, gradients), (got, got_gradients) = compiled_and_plain(op, backend, 'inductor')
    names = [str(i) for i in range(len(results))]
    compare(dict(zip(names, got)), dict(zip(names, results)), GRADIENT)
    compare(got_gradients, gradients, GRADIENT)


@OPS
def test_a_compiled_call_follows_use_backend(op):
    case = small(op).to(torch.float32)
    seen = []

    def note(graph, _inputs):
        seen.extend(node.args[-1] for node in graph.graph.nodes if 'mamba' in str(node.target))
        return graph

    torch._dynamo.reset()
    call = torch.compile(lambda: case.run(None)['out'], fullgraph=True, backend=note)
    with mamba_kernels.use_backend('chunked'):
        call()
    call()
    assert seen == ['chunked', dispatch.choose(op, None, (3,), torch.zeros(1))]


@BACKENDS
@OPS
def test_autocast_keeps_parameters_in_float32(op, backend):
    """Under autocast data is half and parameters are not; the op neither casts nor complains."""
    device = require(op, backend)
    case = small(op).to(torch.bfloat16, device)
    plain = case.run(backend)
    with torch.autocast(device, dtype=torch.bfloat16):
        cast = case.run(backend)
    assert cast['out'].dtype == torch.bfloat16
    for name, value in plain.items():
        assert torch.equal(value, cast[name])


@OPS
def test_autocast_in_a_layer_trains(op):
    """A projection under autocast feeds the scan; gradients come in the leaves' dtypes."""
    linear = torch.nn.Linear(6, 6)
    case = small(op).to(torch.float32)
    data = 'u' if op == 'selective_scan' else 'x'
    leaves = {name: tensor.requires_grad_() for name, tensor in case.tensors.items()}
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = leaves[data].mT if op == 'selective_scan' else leaves[data]
        value = linear(value)
        assert value.dtype == torch.bfloat16
        value = value.mT if op == 'selective_scan' else value
        out = Case(op, {**leaves, data: value}, case.options).run(None)['out']
    out.float().square().sum().backward()
    for name, leaf in {**leaves, 'weight': linear.weight}.items():
        assert leaf.grad.dtype == leaf.dtype, name
        assert leaf.grad.isfinite().all(), name


def test_out_dtype_of_the_routed_scan():
    case = small('route_scan').to(torch.bfloat16)
    exact = case.to(torch.float64).run('reference')
    case.options['out_dtype'] = torch.float32
    out = case.run('chunked')
    assert out['out'].dtype == torch.float32
    compare(out, exact, OUTPUT)


@OPS
@pytest.mark.parametrize('backend', ['chunked', 'cpu'])
def test_double_backward_is_refused(op, backend):
    require(op, backend)
    case = small(op).to(torch.float32)
    leaf = case.tensors['A'].requires_grad_()
    out = case.run(backend)['out']
    (gradient,) = torch.autograd.grad(out.square().sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match='reference'):
        gradient.sum().backward()


@OPS
def test_the_reference_has_right_derivatives_of_any_order(op):
    if op == 'selective_scan':
        case = selective(3, batch=1, dim=2, state=2)
    else:
        case = routed((2, 2), batch=1, dim=2, state=2, rank=1)
    leaves = [tensor.requires_grad_() for tensor in case.tensors.values()]

    def call(*tensors):
        return tuple(
            Case(op, dict(zip(case.tensors, tensors)), case.options).run('reference').values()
        )

    assert torch.autograd.gradcheck(call, leaves)
    assert torch.autograd.gradgradcheck(call, leaves, atol=1e-4)


@OPS
def test_the_chunked_backend_passes_gradcheck(op):
    if op == 'selective_scan':
        case = selective(5, batch=1, dim=2, state=2)
    else:
        case = routed((2, 3), batch=1, dim=2, state=2, rank=1)
    leaves = [tensor.requires_grad_() for tensor in case.tensors.values()]

    def call(*tensors):
        return tuple(
            Case(op, dict(zip(case.tensors, tensors)), case.options).run('chunked').values()
        )

    assert torch.autograd.gradcheck(call, leaves)


@OPS
def test_flops_follow_the_convention(op):
    case = small(op).to(torch.float32)
    leaves = {name: tensor.requires_grad_() for name, tensor in case.tensors.items()}
    with FlopCounterMode(display=False) as counter:
        out = Case(op, leaves, case.options).run('chunked')['out']
    forward = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * forward
    if op == 'selective_scan':
        assert forward == 9 * 2 * 67 * 6 * 3 + 2 * 67 * 6
        assert forward == mamba_kernels.selective_scan_flops(2, 6, 67, 3)
    else:
        channels = 4 * 6  # of all routes
        scan = 9 * 2 * 72 * channels * 3 + 2 * 72 * channels
        assert scan == mamba_kernels.route_scan_flops(2, 6, 72, 3, 4)
        assert forward == scan + 2 * 2 * 72 * channels * 3  # and the low-rank step sizes


@BACKENDS
@OPS
def test_fake_and_meta_tensors_give_shapes_and_dtypes(op, backend):
    require(op, backend)
    case = small(op).to(torch.float32)
    real = case.run('reference')
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = {name: mode.from_tensor(tensor) for name, tensor in case.tensors.items()}
        found = Case(op, fake, case.options).run(backend)
    meta = Case(op, {k: t.to('meta') for k, t in case.tensors.items()}, case.options).run('chunked')
    for name, value in real.items():
        for other in (found[name], meta[name]):
            assert (other.shape, other.dtype) == (value.shape, value.dtype), name
    again = case.run(None)  # nothing fake was kept
    assert type(again['out']) is torch.Tensor


@OPS
def test_nothing_is_saved_when_no_gradient_is_asked_for(op):
    leaf = small(op).to(torch.float32)
    assert leaf.run('chunked')['out'].grad_fn is None
    leaf.tensors['A'].requires_grad_()
    with torch.no_grad():
        assert leaf.run('chunked')['out'].grad_fn is None
    with torch.inference_mode():
        leaf.run('chunked')
    leaf.run('chunked')['out'].sum().backward()
    assert leaf.tensors['A'].grad.isfinite().all()


@OPS
def test_saved_states_are_a_sixty_fourth_of_all(op):
    case = selective(640, batch=1) if op == 'selective_scan' else routed((32, 20), batch=1)
    case = case.to(torch.float32)
    for tensor in case.tensors.values():
        tensor.requires_grad_()
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: sizes.append(t.numel()) or t, lambda t: t
    ):
        case.run('chunked')
    inputs = sum(tensor.numel() for tensor in case.tensors.values())
    routes = 1 if op == 'selective_scan' else 4
    gate = 3 * 640 * 13  # what torch keeps to differentiate it
    table = 4 * 640
    assert sum(sizes) <= inputs + routes * 10 * 13 * 5 + gate + table

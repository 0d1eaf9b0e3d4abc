"""What every backbone owes its user, as functions; the tests run them over the registry."""

import copy

import torch
from torch import Tensor, nn

from mamba_dense.bricks import batch_norms
from tests.conditioning import smooth_image

# networks whose own gradients are beyond float16 and, in float32, 2e5 times their size off float64:
# MHS-VM's fusion divides by how far four routes differ, which is next to nothing at the start
STEEP = {'MHSVM'}


def steep(model: nn.Module) -> bool:
    return type(model).__name__ in STEEP


def image(model: nn.Module, height: int = 64, width: int = 64, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randn(batch, model.in_channels, height, width, generator=generator)


def training_image(model: nn.Module, height: int, width: int, batch: int = 1) -> Tensor:
    """As `image`, four times the sides where batch statistics need more than a value or two."""
    scale = 4 if batch_norms(model) else 1
    return image(model, scale * height, scale * width, batch)


def takes_means(model: nn.Module) -> bool:
    """Whether a norm of the model takes the mean of each channel away."""
    groups = (norm for norm in model.modules() if isinstance(norm, nn.GroupNorm))
    instance = any(isinstance(n, (nn.InstanceNorm2d, nn.InstanceNorm3d)) for n in model.modules())
    alone = any(n.num_groups == n.num_channels for n in groups)
    return bool(batch_norms(model)) or instance or alone


def wake(model: nn.Module) -> nn.Module:
    """The model with values in what starts at zero, so that a residual branch is not cut off."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad and not p.any():
                p.copy_(torch.randn(p.shape, generator=generator) / 4)
    return model


def features(model: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return model.eval()(x)


def total(outputs: tuple[Tensor, ...]) -> Tensor:
    """A scalar in which each element of each output has a weight of its own.

    The weights have no order: a batch norm takes away what is the same over a channel, and weights
    that rise from channel to channel would leave little but rounding of the gradients before one.
    """
    loss = outputs[0].new_zeros(())
    generator = torch.Generator().manual_seed(0)
    for y in outputs:
        order = torch.randperm(y.numel(), generator=generator)
        weight = torch.linspace(-1, 1, y.numel(), dtype=torch.float64)[order].view(y.shape)
        loss = loss + (y * weight.to(y)).sum()
    return loss


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor | None]:
    model.zero_grad(set_to_none=True)
    total(model(x)).backward()
    return {
        name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()
    }


def check_finite(model: nn.Module, x: Tensor) -> None:
    for i, y in enumerate(features(model, x)):
        assert torch.isfinite(y).all(), f'output {i} is not finite'
        assert y.dtype == x.dtype


def declared_image(model: nn.Module) -> Tensor:
    """A meta image of the size that a variant is made for, where it is made for one."""
    size = getattr(model, 'patch_size', None) or (128, 192)
    return torch.empty(1, model.in_channels, *size, device='meta')


def check_declared(model: nn.Module, x: Tensor) -> None:
    outputs = features(model, x)
    assert len(outputs) == len(model.out_indices)
    # patches that overlap do not begin in the last pixels; elsewhere a level is size / stride
    overlap, step = getattr(model.stem, 'overlap', 0), model.stem.stride
    size = [(s - overlap) // step * step for s in x.shape[2:]]
    for y, channels, stride in zip(outputs, model.out_channels, model.strides, strict=True):
        steps = (stride,) * len(size) if isinstance(stride, int) else stride
        expected = tuple(s // step for s, step in zip(size, steps, strict=True))
        assert tuple(y.shape) == (x.shape[0], channels, *expected)


def check_every_gradient(model: nn.Module, x: Tensor) -> None:
    wake(model).train()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    for name, grad in gradients(model, x).items():
        if name in frozen:
            assert grad is None, f'{name} is frozen and gets a gradient'
            continue
        assert grad is not None, f'{name} gets no gradient'
        assert torch.isfinite(grad).all(), f'gradient of {name} is not finite'
        assert grad.abs().max() > 0, f'gradient of {name} is all zero'


def check_checkpointing(model: nn.Module, x: Tensor) -> None:
    plain = copy.deepcopy(model).train()
    saving = copy.deepcopy(model).train()
    plain.with_cp, saving.with_cp = False, True
    torch.manual_seed(0)
    want = gradients(plain, x)
    torch.manual_seed(0)
    got = gradients(saving, x)
    want |= dict(plain.named_buffers())
    got |= dict(saving.named_buffers())
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, msg=lambda text, name=name: f'{name}: {text}')


def check_frozen(model: nn.Module, x: Tensor, stages: int, untrained: set[str]) -> None:
    model.train()
    parts = model.stages if hasattr(model, 'stages') else model.blocks
    frozen = [model.stem, *parts[:stages]]
    grads = gradients(model, x)
    assert all(not m.training for part in frozen for m in part.modules())
    ids = {id(p) for part in frozen for p in part.parameters()}
    for name, p in model.named_parameters():
        assert (grads[name] is None) == (id(p) in ids or name in untrained), name


def check_norm_eval(model: nn.Module, x: Tensor) -> None:
    """Training leaves the statistics alone; what the norms learn still learns."""
    norms = batch_norms(model)
    before = {name: value.clone() for name, value in model.named_buffers()}
    assert model.train() is model and model.training
    assert not any(norm.training for norm in norms)
    gradients(model, x)
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name]), f'{name} has changed'
    assert all(norm.weight.grad is not None for norm in norms)
    model.norm_eval = False
    assert all(norm.training for norm in batch_norms(model.train()))


def check_no_decay(model: nn.Module) -> None:
    """Each name that a class spares weight decay is one of its members: a slip would decay."""
    for path, module in model.named_modules():
        for member in getattr(module, 'NO_DECAY', ()):
            part = module
            for name in member.split('.'):
                assert hasattr(part, name), f'{path or "the backbone"} has no {member}'
                part = getattr(part, name)


def check_state_dict(build, x: Tensor, tmp_path) -> None:
    torch.manual_seed(1)
    source = build()
    path = tmp_path / 'weights.pth'
    torch.save(source.state_dict(), path)
    torch.manual_seed(2)
    target = build()
    target.load_state_dict(torch.load(path, weights_only=True), strict=True)
    for a, b in zip(features(source, x), features(target, x), strict=True):
        assert torch.equal(a, b)


def rounded(model: nn.Module, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Features in x's dtype of weights and an image that have passed through `dtype`."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(dtype))
    return features(model, x.to(dtype).to(x.dtype))


def check_autocast(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    """Autocast stays within 5 % of float32, or twice what rounding alone does where that is more.

    LightM-UNet normalises every map four times in a block, with no floor under what it divides by:
    there weights and an image rounded once to bfloat16 move the last feature by 5 to 7 % already.
    """
    want = features(model, x)
    once = rounded(model, x, dtype)
    with torch.autocast('cpu', dtype=dtype):
        got = features(model, x)
    for a, b, c in zip(got, want, once, strict=True):
        # untrained batch norms let values fade; below the dtype's normal numbers nothing is owed
        least = torch.finfo(dtype).smallest_normal * b.numel() ** 0.5
        assert (a.float() - b).norm() <= max(0.05 * b.norm(), 2 * (c - b).norm()) + least
    with torch.autocast('cpu', dtype=dtype):
        model.train()
        outputs = model(x)
        loss = total(tuple(y.float() for y in outputs))
    # there a gradient scaler has to go below 1
    (loss * 2.0**-16 if steep(model) and dtype == torch.float16 else loss).backward()
    for name, p in model.named_parameters():
        if p.requires_grad:
            assert torch.isfinite(p.grad).all(), name


def check_compile(
    model: nn.Module, height: int, width: int, backend: str, tolerance: float = 1e-4
) -> None:
    """Gradients of the compiled model are those of the eager one, to 1e-4 of their largest value.

    Two float32 programs can agree so well only where float32 itself does; three things that make
    eager differ from its own float64 run are kept out, all measured on the nano variants with
    images of 128x256:

    - activations on their kink, which move gradients by up to 9 %: `smooth_image` avoids them;
    - weights of the loss that hardly vary within a channel, which a batch norm takes away (8e-4
      in EfficientViM where no kink matters, 2e-5 with weights in no order): see `total`;
    - parameters that a batch norm takes away, like a bias before it (or before an instance norm, or
      a group norm of one channel a group): their exact gradient is nothing (1e-16 of the largest),
      what is computed is rounding (up to 2e-6 of the largest in eager VSSD). Those below 1e-3 of
      the largest may be as far from float64 as eager times two, or 1e-6 of the largest: a sum of
      thousands of tokens that cancel is rounded otherwise in another order (3e-7 in LightM-UNet).
      Where the exact gradient is nothing at all, below 1e-9, all of it is such rounding: 2e-6
      (biases before xLSTM-UNet's instance norms: eager 5e-7 to 6e-7, compiled 3e-7 to 1.2e-6).

    With these eager is within 2e-5 of float64 in every parameter that matters. Of a network in
    `STEEP` float32 says nothing, and both programs run in float64.
    """
    wake(model).train()
    x = smooth_image(model, 1, model.in_channels, height, width)
    exact = gradients(copy.deepcopy(model).double(), x.double())
    want = gradients(model, x)
    if steep(model):
        model, x, want = model.double(), x.double(), exact
    largest = max(float(grad.abs().max()) for grad in want.values() if grad is not None)
    floor = 1e-3 * largest if takes_means(model) else 1e-6
    torch._dynamo.reset()
    model.zero_grad(set_to_none=True)
    total(torch.compile(model, backend=backend, fullgraph=True)(x)).backward()
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        size = exact[name].abs().max()
        error, allowed = (p.grad - want[name]).abs().max(), tolerance * max(float(size), floor)
        if error > allowed and size < floor:
            error = (p.grad - exact[name]).abs().max()
            rounding = 2e-6 if size < 1e-9 * largest else 1e-6
            allowed = max(2 * (want[name] - exact[name]).abs().max(), rounding * largest)
        assert error <= allowed, f'{name}: {error} where {allowed} is allowed'

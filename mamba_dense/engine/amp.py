"""Mixed precision where there is no GPU: autocast to bfloat16, which needs no loss scaling."""

from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapper

from mamba_dense.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """An OptimWrapper whose forward passes run under autocast to bfloat16 on the model's device."""

    @contextmanager
    def optim_context(self, model: torch.nn.Module):
        """The context of one training step."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


def use_amp(cfg: Config) -> str:
    """Make the optim wrapper of `cfg` a mixed-precision one; which one, as a sentence for the log.

    Raises:
        ValueError: the config's wrapper is of a kind that has no mixed-precision twin.
    """
    known = ('OptimWrapper', 'AmpOptimWrapper', 'mamba_dense.BFloat16OptimWrapper')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in known:
        raise ValueError(
            f'--amp cannot replace optim_wrapper.type={kind!r}; it can: {", ".join(known)}'
        )
    if get_device() == 'cpu':
        cfg.optim_wrapper.type = 'mamba_dense.BFloat16OptimWrapper'
        cfg.optim_wrapper.pop('loss_scale', None)
        return 'Mixed precision on the CPU: autocast to bfloat16.'
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    return 'Mixed precision: AmpOptimWrapper.'

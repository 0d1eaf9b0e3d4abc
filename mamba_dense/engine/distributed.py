"""Several processes with or without GPUs, and batch norms that fit how many there are."""

import gc
import os

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed
from torch import Tensor, nn

from mamba_dense.registry import MODELS

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
# launcher -> where it says rank, number of processes and rank on this machine
_ENVIRONMENT = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ARG004  torch asks for ctx
        """x of any shape, the same on every process."""
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, dy: Tensor) -> Tensor:  # noqa: ARG004
        """The gradient of x, of its shape."""
        total = dy.clone()
        dist.all_reduce(total)
        return total


@MODELS.register_module()
class ProcessSyncBN(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, on any device that torch.distributed serves.

    The same function as torch.nn.SyncBatchNorm, which runs on GPUs only; the keys are BatchNorm's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        x = input.float()
        count = torch.full((1,), x.numel() / x.shape[1], device=x.device)
        sums = torch.cat([x.sum((0, 2, 3)), count])
        sums = SumOverProcesses.apply(sums)
        total = sums[-1].detach()
        mean = (sums[:-1] / total).view(1, -1, 1, 1)
        # a second pass for the variance: E[x^2] - E[x]^2 would cancel
        var = SumOverProcesses.apply((x - mean).square().sum((0, 2, 3))) / total
        self._track(mean.detach().flatten(), var.detach(), total)
        y = (x - mean) * (var + self.eps).rsqrt().view(1, -1, 1, 1)
        if self.affine:
            y = y * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return y.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, total: Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked += 1
        momentum = self.momentum
        if momentum is None:
            momentum = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_((var * total / (total - 1)).to(self.running_var), momentum)


def start(launcher: str, dist_cfg: dict) -> None:
    """Join the process group of `launcher`; by gloo where there is no accelerator.

    Raises:
        ValueError: `launcher` is unknown.
        RuntimeError: the launcher's environment variables are missing.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f'launcher={launcher!r} is unknown; known: {", ".join(LAUNCHERS)}')
    if launcher == 'none' or is_distributed():
        return
    missing = [name for name in _ENVIRONMENT[launcher] if name not in os.environ]
    if missing:
        raise RuntimeError(
            f'launcher={launcher!r} needs {", ".join(missing)} in the environment: start with '
            '`torchrun --nproc_per_node N TOOL CONFIG --launcher pytorch`, '
            '`srun python TOOL CONFIG --launcher slurm` or mpirun, or leave --launcher out'
        )
    if get_device() != 'cpu':
        init_dist(launcher, **dist_cfg)
        return
    for ours, theirs in zip(_ENVIRONMENT['pytorch'], _ENVIRONMENT[launcher], strict=True):
        os.environ[ours] = os.environ[theirs]
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29500')
    dist.init_process_group('gloo')


def stop() -> None:
    """Leave the process group: gloo's threads may abort an interpreter that exits within it."""
    if is_distributed():
        dist.barrier()  # nobody leaves while another still talks to it
        dist.destroy_process_group()
        gc.collect()


def settle(cfg: Config) -> list[str]:
    """Fit `cfg` to the processes there are; what was changed, in sentences for the log."""
    notices = []
    if not is_distributed():
        if swap_types(cfg.model, {'SyncBN', 'MMSyncBN'}, 'BN'):
            notices.append('SyncBN becomes BN: this is a run of one process.')
        return notices
    if get_device() == 'cpu':
        # DDP wants no device ids for modules on the CPU
        wrapper = cfg.get('model_wrapper_cfg') or {
            'type': 'MMDistributedDataParallel',
            'broadcast_buffers': False,
            'find_unused_parameters': cfg.get('find_unused_parameters', False),
        }
        cfg.model_wrapper_cfg = {**wrapper, 'device_ids': None}
        if swap_types(cfg.model, {'SyncBN', 'MMSyncBN'}, 'mamba_dense.ProcessSyncBN'):
            notices.append("SyncBN becomes mamba_dense.ProcessSyncBN: torch's needs GPUs.")
    return notices


def swap_types(node: object, old: set[str], new: str) -> int:
    """Replace each `type=` of `old` by `new` in a config, in place; how many there were."""
    if isinstance(node, (list, tuple)):
        return sum(swap_types(item, old, new) for item in node)
    if not isinstance(node, (dict, ConfigDict)):
        return 0
    count = sum(swap_types(value, old, new) for value in node.values())
    if node.get('type') in old:
        node['type'] = new
        count += 1
    return count

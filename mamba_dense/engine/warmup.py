"""YOLO's schedule of rate and momentum: linear decay by epochs, a warm-up by iterations."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from mamba_dense.registry import HOOKS


@HOOKS.register_module()
class WarmupDecayHook(Hook):
    """Sets learning rate and momentum before each iteration, from its number alone.

    In epoch e of E the rate is lr * (max(1 - e / E, 0) * (1 - final) + final). While warming up it
    rises linearly from 0 to that value, for parameters whose names contain "bias" from `bias_lr`,
    and the momentum from `momentum` to the optimizer's. Biases are told from others only where
    each parameter is a group of its own, as `NoDecayConstructor` makes them. It keeps no state: a
    resumed run goes on as an unbroken one.

    Args:
        final: rate at the end over the rate at the start.
        epochs: of the warm-up,
        min_iters: but at least so many iterations.
        bias_lr: rate at which biases begin.
        momentum: momentum at the beginning.
    """

    priority = 'HIGH'

    def __init__(
        self,
        final: float = 0.01,
        epochs: float = 3.0,
        min_iters: int = 100,
        bias_lr: float = 0.1,
        momentum: float = 0.8,
    ):
        self.final = final
        self.epochs = epochs
        self.min_iters = min_iters
        self.bias_lr = bias_lr
        self.momentum = momentum

    def before_run(self, runner) -> None:
        """Note the config's values before a checkpoint brings those of its iteration."""
        model = getattr(runner.model, 'module', runner.model)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._start = [
            (
                group['lr'],
                group.get('momentum'),
                all('bias' in names[id(parameter)] for parameter in group['params']),
            )
            for group in runner.optim_wrapper.optimizer.param_groups
        ]

    def before_train(self, runner) -> None:
        """Refuse a loop that has no epochs to decay by.

        Raises:
            ValueError: the training runs by iterations.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                f'WarmupDecayHook with train_cfg={type(runner.train_loop).__name__}: it decays by '
                'epochs; take EpochBasedTrainLoop, or param_scheduler instead of the hook.'
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:  # noqa: ARG002
        """Set what this iteration is to use."""
        share = 1 - runner.epoch / runner.max_epochs
        factor = max(share, 0) * (1 - self.final) + self.final
        length = max(round(self.epochs * len(runner.train_dataloader)), self.min_iters)
        warm = min(runner.iter / length, 1.0)
        groups = runner.optim_wrapper.optimizer.param_groups
        for group, (rate, momentum, is_bias) in zip(groups, self._start, strict=True):
            first = self.bias_lr if is_bias else 0.0
            group['lr'] = first + warm * (rate * factor - first)
            if momentum is not None:
                group['momentum'] = self.momentum + warm * (momentum - self.momentum)

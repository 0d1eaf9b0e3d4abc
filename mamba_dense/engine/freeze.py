"""Training only a part of the network at first: heads before a pretrained trunk."""

from collections.abc import Sequence

from mmengine.hooks import Hook

from mamba_dense.registry import HOOKS


@HOOKS.register_module()
class FreezeUntilHook(Hook):
    """Keeps the parameters of some modules as they are until an epoch begins.

    Their norms go on counting statistics, and a resumed run finds the same parameters frozen.

    Args:
        epoch: the first epoch, counted from 0, in which everything is trained.
        modules: names of modules of the model; every parameter below them is held.

    Raises:
        ValueError: `epoch` is below 1 or `modules` is empty; at the start of the training, where a
            name has no parameter in the model.
    """

    def __init__(self, epoch: int, modules: Sequence[str]):
        if epoch < 1 or not modules or isinstance(modules, str):
            raise ValueError(
                f'epoch={epoch} must be 1 or more and modules={modules!r} a list of names.'
            )
        self.epoch = epoch
        self.modules = tuple(modules)

    def before_train(self, runner) -> None:
        """Hold the parameters from the first step on; refuses unknown names."""
        names = {name.partition('.')[0] for name, _ in self._model(runner).named_parameters()}
        for module in self.modules:
            if not self._parameters(runner, module):
                raise ValueError(
                    f'modules={self.modules}: {module!r} has no parameter in the model; its parts '
                    f'are {", ".join(sorted(names))}.'
                )

    def before_train_epoch(self, runner) -> None:
        """Hold or release."""
        trained = runner.epoch >= self.epoch
        for module in self.modules:
            for parameter in self._parameters(runner, module):
                parameter.requires_grad_(trained)
                if not trained:
                    parameter.grad = None

    def _parameters(self, runner, module: str) -> list:
        named = self._model(runner).named_parameters()
        return [parameter for name, parameter in named if name.startswith(f'{module}.')]

    @staticmethod
    def _model(runner):
        return getattr(runner.model, 'module', runner.model)

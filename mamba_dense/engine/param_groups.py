"""Weight decay read from the NO_DECAY names that a network's classes declare."""

from collections.abc import Iterator

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mamba_dense.registry import OPTIM_WRAPPER_CONSTRUCTORS


def no_decay_names(model: nn.Module) -> Iterator[str]:
    """Names of the parameters that some module of `model` exempts from weight decay.

    A class lists in `NO_DECAY` members of its own: `NO_DECAY = ('norm1', 'A_log')` exempts every
    parameter of `self.norm1` and the parameter `self.A_log`.
    """
    for prefix, module in model.named_modules():
        for member in getattr(module, 'NO_DECAY', ()):
            for name, _ in module.named_parameters():
                if name == member or name.startswith(f'{member}.'):
                    yield f'{prefix}.{name}' if prefix else name


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NoDecayConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, with the parameters named by NO_DECAY exempt from weight decay.

    `paramwise_cfg` keeps its meaning for everything else: a custom key that matches an exempt
    parameter may set its learning rate, not its decay. For VMamba this is the published recipe,
    which exempts names containing `norm` in the authors' naming: the norms of blocks, mixers,
    outputs and patch merging, not those of the stem and of the convolutional downsampling.
    """

    def __call__(self, model: nn.Module):
        """The optim wrapper over `model`'s parameters, one group for each."""
        model = getattr(model, 'module', model)
        self._exempt = {id(model.get_parameter(name)) for name in no_decay_names(model)}
        # any option at all makes mmengine list the parameters one by one
        self.paramwise_cfg = {'bypass_duplicate': True, **self.paramwise_cfg}
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel('WARNING')  # mmengine logs a line for every option of every parameter
        try:
            wrapper = super().__call__(model)
        finally:
            logger.setLevel(level)
        total = sum(len(group['params']) for group in wrapper.optimizer.param_groups)
        logger.info(
            f'{total} parameter tensors, {len(self._exempt)} of them exempt from weight decay '
            'by NO_DECAY.'
        )
        return wrapper

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module=None
    ) -> None:
        """Append one group for each parameter of `module`."""
        start = len(params)
        super().add_params(params, module, prefix=prefix, is_dcn_module=is_dcn_module)
        for group in params[start:]:
            if id(group['params'][0]) in self._exempt:
                group['weight_decay'] = 0.0

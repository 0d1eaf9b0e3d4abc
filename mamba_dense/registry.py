"""The registries of mamba_dense: children of mmengine's, filled lazily by `type='mamba_dense.X'`.

Imports mmengine and nothing of ours, because mmengine reports an import failure in here as "not in
the registry". A task package is searched only where the framework it stands on is installed.
"""

from importlib import import_module
from importlib.util import find_spec

from mmengine import registry as root

# task package -> (framework it stands on, extra that installs it)
TASKS = {
    'segmentation': ('mmseg', 'seg'),
    'change': ('mmseg', 'change'),
    'detection': ('mmdet', 'det'),
    'medical': ('monai', 'medical'),
}


class Registry(root.Registry):
    """A registry of this scope whose refusal lists what is known and which task needs an extra.

    Task packages are imported one by one, and only for a name that is not known without them: a
    segmentation config never loads mmdet, even where it is installed.
    """

    def get(self, key: str):
        """The class registered as `key`.

        Raises:
            KeyError: nothing of that name is registered here or in a parent; lists what is.
        """
        found = self._find(key)
        if found is None:
            raise KeyError(self._refusal(key))
        return found

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def _find(self, key: str):
        found = super().get(key)
        for task in _tasks() if found is None else ():
            import_module(task)
            found = super().get(key)
            if found is not None:
                break
        return found

    def _refusal(self, key: str) -> str:
        known = ', '.join(sorted(self.module_dict)) or 'none'
        text = f'{key!r} is not a {self.name} of mamba_dense; known: {known}.'
        absent = [
            f"{task} (pip install 'mamba_dense[{extra}]')"
            for task, (framework, extra) in TASKS.items()
            if find_spec(framework) is None
        ]
        if absent:
            text += f' Not searched, as their framework is not installed: {", ".join(absent)}.'
        return text


def _tasks() -> list[str]:
    """Packages of the tasks whose framework is installed, that of the default scope first."""
    current = root.DefaultScope.get_current_instance()
    scope = None if current is None else current.scope_name
    there = {task: name for task, (name, _) in TASKS.items() if find_spec(name) is not None}
    return [f'mamba_dense.{task}' for task in sorted(there, key=lambda task: there[task] != scope)]


def _child(parent: root.Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope='mamba_dense', locations=list(locations))


MODELS = _child(
    root.MODELS, 'mamba_dense.backbones', 'mamba_dense.classification', 'mamba_dense.engine'
)
DATASETS = _child(root.DATASETS, 'mamba_dense.engine')
TRANSFORMS = _child(root.TRANSFORMS)
METRICS = _child(root.METRICS)
VISUALIZERS = _child(root.VISUALIZERS)
HOOKS = _child(root.HOOKS, 'mamba_dense.engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'mamba_dense.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'mamba_dense.engine')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'mamba_dense.engine')
TASK_UTILS = _child(root.TASK_UTILS)

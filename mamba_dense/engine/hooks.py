"""Hooks of a training that can be killed at any moment and resumed with the same losses."""

from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook

from mamba_dense.engine.checkpoints import check_room, remove_parts, use_whole_files
from mamba_dense.engine.streams import apply_seed
from mamba_dense.registry import HOOKS
from mamba_dense.weights.save import atomic_write


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds each training step from (seed of the run, rank, iteration): see `engine/streams.py`."""

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:  # noqa: ARG002
        """Seed dropout, drop path and whatever else the step draws."""
        apply_seed(runner.seed, get_rank(), runner.iter)


@HOOKS.register_module()
class MeanLossHook(Hook):
    """Logs the losses' mean over all processes, where mmengine logs those of the first one."""

    priority = 'HIGHEST'  # before RuntimeInfoHook takes them

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):  # noqa: ARG002
        """Replace the numbers in `outputs` by their means."""
        if get_world_size() == 1 or not outputs:
            return
        names = sorted(outputs)
        numbers = [torch.as_tensor(outputs[name]).detach() for name in names]
        device = next(runner.model.parameters()).device
        means = torch.stack([number.to(device, torch.float32) for number in numbers])
        all_reduce(means, op='mean')
        outputs.update(zip(names, means.tolist(), strict=True))


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook with two promises more; same arguments, local folders.

    Each file is written aside and renamed, and an older checkpoint is deleted only after the newer
    one is whole on the disk (mmengine deletes first: a kill in between would leave nothing).
    """

    _default_greater_keys = [*CheckpointHook._default_greater_keys, 'Dice', 'IoU']

    def before_train(self, runner) -> None:
        """Choose the writer, remove leftovers, refuse a disk without room for one checkpoint."""
        local = '://' not in str(self.out_dir or runner.work_dir)
        if local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = use_whole_files()
        super().before_train(runner)
        if local and is_main_process():
            self.file_backend.put_text('', self.file_backend.join_path(self.out_dir, '.writable'))
            self.file_backend.remove(self.file_backend.join_path(self.out_dir, '.writable'))
            remove_parts(self.out_dir)
            check_room(self.out_dir, _checkpoint_bytes(runner.model, self.save_optimizer))
        if self._validation_due(runner):
            runner.val_loop.run()

    def _validation_due(self, runner) -> bool:
        """Whether a resumed checkpoint may have missed its validation, which comes after it."""
        loop = runner.train_loop
        if self.by_epoch or not runner.iter or runner.val_loop is None:
            return False
        last = runner.iter == loop.max_iters
        return last or bool(self.save_best and runner.iter % loop.val_interval == 0)

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        outdated = self._note_step(runner, step)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            last = str(self.last_ckpt)
            atomic_write(f'{runner.work_dir}/last_checkpoint', lambda part: part.write_text(last))
            if outdated is not None:
                self._remove(self.filename_tmpl.format(outdated))

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """mmengine's, but the previous best file goes only after the new one is there."""
        single = hasattr(self, 'best_ckpt_path')
        before = dict(getattr(self, 'best_ckpt_path_dict', {}))
        if single:
            before = {None: self.best_ckpt_path}
            self.best_ckpt_path = None
        else:
            self.best_ckpt_path_dict = dict.fromkeys(before)
        super()._save_best_checkpoint(runner, metrics)
        after = {None: self.best_ckpt_path} if single else self.best_ckpt_path_dict
        for key, previous in before.items():
            if after[key] is None:
                after[key] = previous
            elif previous and previous != after[key] and is_main_process():
                self._remove(Path(previous).name)
        if single:
            self.best_ckpt_path = after[None]

    def _note_step(self, runner, step: int) -> int | None:
        """Add `step` to the kept ones; the step that has to go once this one is on the disk."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return None
        full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        outdated = self.keep_ckpt_ids.popleft() if full else None
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return outdated

    def _remove(self, filename: str) -> None:
        path = self.file_backend.join_path(self.out_dir, filename)
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)


def _checkpoint_bytes(model, with_optimizer: bool) -> int:
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return weights * (3 if with_optimizer else 1)

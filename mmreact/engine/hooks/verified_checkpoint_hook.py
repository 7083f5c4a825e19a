"""Remove an old checkpoint only when the new one is whole."""
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmpretrain.registry import HOOKS

from ...zoo.atomic_file import remove_leftovers
from ..checkpoint_files import list_checkpoints, position


@HOOKS.register_module()
class VerifiedCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook that writes, verifies, and then removes.

    MMEngine removes the oldest checkpoint before it writes the new one, so
    that a full disk or a kill leaves one checkpoint less, and goes by a list
    in memory. Here a checkpoint is written and read back first (see
    :class:`mmreact.engine.AtomicLocalBackend`), and only then the files
    before it are removed, but for the newest ``max_keep_ckpts``.

    Files that a kill left half written are removed when training starts. The
    checkpoints lie in a local folder, not behind another file client; with
    another ``filename_tmpl`` none is removed.

    Args:
        max_keep_ckpts (int): Defaults to 2: should the last one be damaged
            later, there is the one before. -1 keeps all.
        backend_args (dict): Defaults to the backend that verifies.
        **kwargs: Of :class:`mmengine.hooks.CheckpointHook`.
    """

    def __init__(self,
                 max_keep_ckpts: int = 2,
                 backend_args: dict = dict(backend='atomic'),
                 **kwargs):
        super().__init__(
            max_keep_ckpts=max_keep_ckpts, backend_args=backend_args, **kwargs)

    def before_train(self, runner) -> None:
        keep, self.max_keep_ckpts = self.max_keep_ckpts, -1
        super().before_train(runner)  # removes none
        self.max_keep_ckpts = keep
        if is_main_process():
            for folder in {self.out_dir, runner.work_dir}:
                remove_leftovers(folder, age=0)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        self.save(runner, self.filename_tmpl.format(step), meta)

    def save(self, runner, name: str, meta: dict) -> None:
        """Write ``name`` in the work directory, then remove what is old.

        Raises:
            OSError: If it cannot be written; the files before are untouched.
        """
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if is_main_process():
            self.file_backend.put_text(
                self.last_ckpt, str(Path(runner.work_dir, 'last_checkpoint')))
            self._remove_before(name)

    def _remove_before(self, name: str) -> None:
        """Remove the checkpoints before ``name`` that are not to be kept."""
        if self.max_keep_ckpts <= 0 or position(name) is None:
            return
        older = [
            path for path in list_checkpoints(
                Path(self.out_dir),
                name.split('_')[0]) if position(path) < position(name)
        ]
        whole_epochs = [path for path in older if not position(path)[1]]
        kept = whole_epochs[:self.max_keep_ckpts - 1]
        for path in older:
            if path not in kept:
                path.unlink(missing_ok=True)

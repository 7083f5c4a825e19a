"""Can a config be trained, and will its final checkpoint be found?"""
from mmengine.config import Config

#: What MMEngine's CheckpointHook does where a config does not say.
CHECKPOINTS = dict(by_epoch=True, interval=-1, save_last=True)
NEEDED = ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper')


def check_trainable(name: str, cfg: Config) -> None:
    """Check what a training needs of its config.

    Raises:
        ValueError: If a part is missing, or the last checkpoint, from which
            other runs go on, would not be written under its name in the work
            directory.
    """
    missing = [key for key in NEEDED if not cfg.get(key)]
    if missing:
        raise ValueError(f'The config of {name} has no {", ".join(missing)}: '
                         'it cannot be trained.')
    train_cfg = cfg.train_cfg
    by_epoch = 'max_epochs' in train_cfg
    if by_epoch == ('max_iters' in train_cfg):
        raise ValueError(f'train_cfg of {name} needs either max_epochs or '
                         f'max_iters, got {train_cfg.to_dict()}.')
    interval = train_cfg.get('val_interval', 1)
    if cfg.get('val_dataloader') and interval < 1:
        raise ValueError(
            f'train_cfg.val_interval of {name} is {interval}. For a training '
            'without validation give --no-validate.')
    hooks = cfg.get('default_hooks') or {}
    if 'checkpoint' in hooks:
        _check_checkpoints(
            name, hooks.checkpoint,
            train_cfg.max_epochs if by_epoch else train_cfg.max_iters,
            by_epoch)
    elif not by_epoch:
        _check_checkpoints(name, {}, train_cfg.max_iters, by_epoch)


def _check_checkpoints(name: str, hook: dict, total: int,
                       by_epoch: bool) -> None:
    """Check that the last checkpoint is one of the work directory."""
    key = f'default_hooks.checkpoint of {name}'
    if hook is None:
        raise ValueError(f'{key} is None, so that nothing would be left of '
                         'the training.')
    hook = {**CHECKPOINTS, **hook}
    if hook['by_epoch'] != by_epoch:
        raise ValueError(
            f'{key} has by_epoch={hook["by_epoch"]}, but train_cfg counts '
            f'{"epochs" if by_epoch else "iterations"}. Set by_epoch='
            f'{by_epoch}.')
    interval = hook['interval']
    if not hook['save_last'] and (interval < 1 or total % interval):
        raise ValueError(
            f'{key} has interval={interval} and save_last=False: the last of '
            f'{total} would not be saved. Remove save_last=False.')
    moved = [k for k in ('out_dir', 'filename_tmpl') if hook.get(k)]
    if moved:
        raise ValueError(
            f'{key} has {" and ".join(moved)}: what goes on from a '
            'checkpoint looks for it in the work directory, under the usual '
            'name. Remove it.')

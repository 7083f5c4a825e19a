"""Test a checkpoint."""
from pathlib import Path
from typing import Dict, Optional, Union

import mmengine
import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.evaluator import DumpResults
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from .. import compat
from ..utils.checkpoint import check_file, is_url
from .stages.checks import check_dataset, get_num_classes
from .stages.train import start_distributed


def test_checkpoint(cfg: Config,
                    checkpoint: Union[str, Path],
                    out: Optional[str] = None,
                    out_item: str = 'pred',
                    launcher: str = 'none') -> Dict[str, float]:
    """Evaluate a checkpoint on the config's test set.

    Weights must fit exactly. The teacher, if any, is neither built nor
    needed.

    Args:
        cfg (Config): With ``test_dataloader`` and ``test_evaluator``.
        checkpoint (str | Path): File or address.
        out (str, optional): File to save results in (.pkl, .json or .yml for
            metrics, .pkl for predictions).
        out_item (str): 'pred' or 'metrics'. Defaults to 'pred'.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        dict[str, float]: Metrics, e.g. ``accuracy/top1`` in percent.

    Raises:
        CheckpointError: If the checkpoint is missing, truncated, or does not
            fit the model.
        FileNotFoundError: If the data set is not there.
    """
    if not is_url(checkpoint):
        check_file(checkpoint)
    start_distributed(launcher, cfg.get('env_cfg', {}).get('dist_cfg'))
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    check_dataset(cfg.test_dataloader.dataset, get_num_classes(cfg.model))
    cfg.launcher = launcher
    cfg.resume = False
    cfg.load_from = str(checkpoint)
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks') or []
        if hook['type'] != 'StrictLoadHook'
    ] + [dict(type='StrictLoadHook')]
    if is_distributed() and not torch.cuda.is_available():
        cfg.setdefault('model_wrapper_cfg', compat.cpu_model_wrapper())
    runner = Runner.from_cfg(cfg)
    if out and out_item == 'pred':
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=out))
    metrics = runner.test()
    if out and out_item == 'metrics':
        mmengine.dump(metrics, out)
    return metrics

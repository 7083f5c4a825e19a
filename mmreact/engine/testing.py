"""Test a checkpoint or a packed file."""
from pathlib import Path
from typing import Dict, Optional, Union

import mmengine
import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.evaluator import DumpResults
from mmengine.model import BaseTTAModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from .. import compat
from ..packed.file import load_packed
from ..utils.checkpoint import local_checkpoint
from ..utils.input_errors import input_errors
from .loaders import leave_workers_out
from .stages.checks import check_dataset, get_num_classes
from .stages.train import start_distributed


def test_checkpoint(cfg: Config,
                    checkpoint: Union[str, Path],
                    out: Optional[str] = None,
                    out_item: str = 'pred',
                    launcher: str = 'none',
                    tta: bool = False) -> Dict[str, float]:
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
        tta (bool): See :func:`use_tta`. Defaults to False.

    Returns:
        dict[str, float]: Metrics, e.g. ``accuracy/top1`` in percent.

    Raises:
        CheckpointError: If the checkpoint is missing, truncated, or does not
            fit the model.
        FileNotFoundError: If the data set is not there.
    """
    start_distributed(launcher, cfg.get('env_cfg', {}).get('dist_cfg'))
    cfg.launcher = launcher
    cfg.load_from = str(local_checkpoint(checkpoint))
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks') or []
        if hook['type'] != 'StrictLoadHook'
    ] + [dict(type='StrictLoadHook')]
    if is_distributed() and not torch.cuda.is_available():
        cfg.setdefault('model_wrapper_cfg', compat.cpu_model_wrapper())
    return _test(cfg, get_num_classes(cfg.model), out, out_item, tta)


def test_packed(cfg: Config,
                file: Union[str, Path],
                out: Optional[str] = None,
                out_item: str = 'pred',
                backend: str = 'auto',
                threads: Optional[int] = None,
                tta: bool = False) -> Dict[str, float]:
    """Evaluate a packed file on the config's test set, in one process.

    The images come from the config's pipeline, as for a checkpoint.

    Args:
        cfg, out, out_item, tta: See :func:`test_checkpoint`.
        file (str | Path): Packed file.
        backend (str): See :class:`mmreact.packed.PackedModel`.
        threads (int, optional): How many the backend uses.

    Returns:
        dict[str, float]: Metrics, e.g. ``accuracy/top1`` in percent.

    Raises:
        PackedFileError: If the file is not in order.
        BackendMissingError: If the named backend is not installed.
        ValueError: If it has another number of classes than the config.
        FileNotFoundError: If the data set is not there.
    """
    with input_errors():
        classes = _packed_classes(file, get_num_classes(cfg.model))
    cfg.launcher = 'none'
    cfg.load_from = None
    cfg.custom_hooks = []
    if cfg.model.get('data_preprocessor') is not None:
        cfg.data_preprocessor = cfg.model.data_preprocessor
    cfg.model = dict(
        type='PackedClassifier',
        file=str(file),
        backend=backend,
        threads=threads)
    return _test(cfg, classes, out, out_item, tta)


def _packed_classes(file: Union[str, Path], expected: Optional[int]) -> int:
    """How many classes a packed file has, if it has as many as expected."""
    program = load_packed(file).program
    classes = program.infer(program.input_shape)[program.output].shape[-1]
    if expected not in (None, classes):
        raise ValueError(f'{file} has {classes} classes, the config '
                         f'{expected}. Give the config that it was packed '
                         'with.')
    return classes


def use_tta(cfg: Config) -> None:
    """Let a config's test average over augmented images.

    As MMPretrain's ``--tta``: the config's ``tta_pipeline`` and ``tta_model``
    or, where it has none, the average of the scores of each image and its
    mirror image. The mirror image is made before the last transform, which
    packs it.

    Raises:
        ValueError: If the config has no test pipeline to begin with.
    """
    dataset = cfg.test_dataloader.dataset
    pipeline = dataset.get('pipeline')
    if 'tta_pipeline' in cfg:
        pipeline = cfg.tta_pipeline
    elif pipeline:
        flips = [dict(type='RandomFlip', prob=p) for p in (1., 0.)]
        pipeline = [
            *pipeline[:-1],
            dict(type='TestTimeAug', transforms=[flips, [pipeline[-1]]])
        ]
    else:
        raise ValueError('--tta needs test_dataloader.dataset.pipeline, or '
                         'tta_pipeline, in the config.')
    dataset.pipeline = pipeline
    model = dict(cfg.get('tta_model') or dict(type='AverageClsScoreTTA'))
    cfg.model = dict(model, module=cfg.model)


def _test(cfg: Config, num_classes: Optional[int], out: Optional[str],
          out_item: str, tta: bool) -> Dict[str, float]:
    """Run the test loop and save what is asked for."""
    cfg.default_scope = cfg.get('default_scope') or 'mmpretrain'
    init_default_scope(cfg.default_scope)
    with input_errors():
        if tta:
            use_tta(cfg)
        check_dataset(cfg.test_dataloader.dataset, num_classes)
    cfg.resume = False
    leave_workers_out(cfg)
    runner = Runner.from_cfg(cfg)
    _let_averages_load(runner.model)
    if out and out_item == 'pred':
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=out))
    metrics = runner.test()
    if out and out_item == 'metrics':
        mmengine.dump(metrics, out)
    return metrics


def _let_averages_load(model: nn.Module) -> None:
    """Let test-time augmentation take averaged weights (EMA).

    MMPretrain's EMAHook loads them without the name of the model around the
    network, and does not say that none of them matches.
    """

    def add_name(module, state_dict, prefix, *args):
        for key in list(state_dict):
            if not key.startswith(f'{prefix}module.'):
                rest = key.removeprefix(prefix)
                state_dict[f'{prefix}module.{rest}'] = state_dict.pop(key)

    for module in model.modules():
        if isinstance(module, BaseTTAModel):
            module.register_load_state_dict_pre_hook(add_name)

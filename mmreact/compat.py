"""Cures for the OpenMMLab stack on today's torch and numpy.

Each says why it is there and when it can go. Importing this module (which
``mmreact.models`` and ``mmreact.engine`` do first) applies the global ones.
"""
import atexit
import contextlib
import functools
import io
import os
import re
import warnings
from importlib import import_module

#: Versions that are supported: name -> (module, minimum, below). The tests
#: run with those of requirements/train.txt and, on forks, onedl.txt.
SUPPORTED = dict(
    torch=('torch', '2.6.0', '3.0.0'),
    mmengine=('mmengine', '0.10.7', '1.0.0'),
    mmcv=('mmcv', '2.1.0', '2.4.0'),
    mmpretrain=('mmpretrain', '1.2.0', '1.4.0'))


def quiet_imports() -> None:
    """Import mmpretrain without warnings that a user can do nothing about.

    mmcv-lite warns that a compiled attention operator is missing (nothing
    here uses it), mmengine's file clients warn about themselves, and data
    loaders ask for pinned memory where there is no GPU. Remove when these
    packages are silent.
    """
    warnings.filterwarnings(
        'ignore', message='.*HardDiskBackend.*is the alias of LocalBackend')
    warnings.filterwarnings(
        'ignore', message='.*"FileClient" will be deprecated')
    warnings.filterwarnings(
        'ignore', message=".*'pin_memory' argument is set as true but no acc")
    # MMEngine's wrapper for distributed training.
    warnings.filterwarnings(
        'ignore', message='.*broadcast_buffers', category=FutureWarning)
    # MMEngine looks up MMPretrain's configs (mmpretrain::) with it.
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    # MMPretrain's VGG with BN keeps its convolutions' biases.
    warnings.filterwarnings(
        'ignore', message='Unnecessary conv bias before batch/instance norm')
    # MMPretrain's reader of (Fashion-)MNIST.
    warnings.filterwarnings(
        'ignore', message='The given NumPy array is not writable')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)
        import mmcv.cnn.bricks.transformer  # noqa: F401
    _import_datasets()


def _import_datasets() -> None:
    """Import mmpretrain.datasets without a line that onedl-mmpretrain prints.

    It looks for the client of its makers' own platform and says on stdout
    that it is missing, where programs that print JSON or rows of a table do
    not expect it. Remove when onedl-mmpretrain logs it with a logger.
    """
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        import mmpretrain.datasets  # noqa: F401
    for line in printed.getvalue().splitlines():
        if line != 'Could not import OneDL':
            print(line)


def check_versions() -> None:
    """Say which versions are supported when the installed ones are not.

    Raises:
        ImportError: If a package is missing or out of range.
    """
    found = []
    for name, (module, low, high) in SUPPORTED.items():
        try:
            version = import_module(module).__version__
        except AssertionError:  # MMPretrain refuses what is named already
            if not found:
                raise
            continue
        except ModuleNotFoundError as error:
            if error.name != module:  # installed, but it cannot be imported
                raise
            version = '(not installed)'
        if version[0] == '(' or not (_number(low) <= _number(version) <
                                     _number(high)):
            found.append(f'{name} {version}, supported: >={low},<{high}')
    if found:
        raise ImportError(
            'mmreact cannot train with ' + '; '.join(found) +
            '. Install supported versions: pip install "mmreact[train]" or, '
            'with the forks, "mmreact[onedl]".')


def _number(version: str) -> list:
    """The numbers of a version, ``1.2.0rc1`` -> [1, 2, 0]."""
    return [int(part) for part in re.findall(r'\d+', version)[:3]]


def _restricted_getattr(obj, name):
    """The getattr that a checkpoint's pickle may call: statistics only."""
    from mmengine.logging import HistoryBuffer
    if obj is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(obj, name)
    raise ValueError(f'A checkpoint may not use {obj!r}.{name}.')


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read MMEngine's checkpoints.

    Since torch 2.6 that is the default, and it refuses the log history
    (HistoryBuffer and numpy arrays) in every checkpoint that MMEngine
    writes. Only these types are added; any other pickle stays refused.
    Remove when MMEngine's checkpoints hold plain types.
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer

    core = np._core if hasattr(np, '_core') else np.core
    reconstruct = core.multiarray._reconstruct
    scalar = core.multiarray.scalar
    dtypes = [type(np.dtype(t)) for t in 'bBhHiIlLqQefd?']
    torch.serialization.add_safe_globals([
        HistoryBuffer, np.ndarray, np.dtype, *dtypes,
        (_restricted_getattr, 'builtins.getattr'),
        (reconstruct, 'numpy.core.multiarray._reconstruct'),
        (reconstruct, 'numpy._core.multiarray._reconstruct'),
        (scalar, 'numpy.core.multiarray.scalar'),
        (scalar, 'numpy._core.multiarray.scalar')
    ])


def allow_plain_types() -> None:
    """Let ``torch.load(weights_only=True)`` read arguments and paths.

    Many training scripts save their ``argparse.Namespace`` beside the
    weights, with paths in it. Both hold values and run nothing. A path of
    another system is read as a pure one. Remove when torch allows them.
    """
    import argparse
    import pathlib

    import torch

    pure = (pathlib.PurePosixPath, pathlib.PureWindowsPath)
    torch.serialization.add_safe_globals([
        argparse.Namespace, *pure,
        *((kind, f'{module}.{name}')
          for kind, names in zip(pure, (('PurePosixPath', 'PosixPath'),
                                        ('PureWindowsPath', 'WindowsPath')))
          for name in names for module in ('pathlib', 'pathlib._local'))
    ])


def read_configs_with_marks() -> None:
    """Let MMEngine read configs that begin with a byte-order mark.

    Editors on Windows write one before UTF-8, and Python takes it out of its
    own source files. A config in another encoding is named. Remove when
    MMEngine reads with the encoding ``utf-8-sig``.
    """
    from mmengine.config import config

    def open_config(file, mode='r', encoding=None, **kwargs):
        if mode != 'r' or encoding != 'utf-8':
            return open(file, mode, encoding=encoding, **kwargs)
        with open(file, 'rb') as f:
            content = f.read()
        try:
            return io.StringIO(content.decode('utf-8-sig'), newline=None)
        except UnicodeDecodeError as error:
            raise ValueError(f'The config {file} is not in UTF-8 (byte '
                             f'{error.start}). Save it as UTF-8.') from None

    config.open = open_config


def refuse_what_torch_refuses() -> None:
    """Have onedl-mmengine read checkpoints with ``torch.load`` alone.

    Its own loader, ``_safe_torch_load``, allows every getattr and reads a file
    that was refused once more without restriction: a forged checkpoint would
    run what it holds. After each file it also withdraws the types that
    :func:`allow_mmengine_checkpoints` has allowed. Remove when onedl-mmengine
    does neither.
    """
    import torch
    from mmengine.runner import checkpoint
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = torch.load


def find_own_configs() -> None:
    """Let ``_base_ = 'mmreact::reactnet/...'`` name the configs of mmreact.

    MMEngine knows only OpenMMLab's own packages, looks for a package beside
    the metadata of its installation, where an editable one is not, and puts
    the package's name into each type as a registry scope, which mmreact does
    not have: its networks are registered in MMPretrain's. Remove when MMEngine
    looks for packages by importing them, and for scopes only where there are
    some.
    """
    from mmengine.config import Config
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.hub import hub

    MODULE2PACKAGE.setdefault('mmreact', 'mmreact')
    get_path, installed_path = Config._get_cfg_path, hub.get_installed_path
    package_path = os.path.dirname(os.path.abspath(__file__))
    places = (os.path.join(package_path,
                           '.mim'), os.path.dirname(package_path))

    def get_cfg_path(cfg_path, filename):
        package, colons, name = cfg_path.partition('::')
        if not colons or package != 'mmreact':
            return get_path(cfg_path, filename)
        paths = [os.path.join(place, 'configs', name) for place in places]
        for path in paths:
            if os.path.isfile(path):
                return os.path.realpath(path), None
        raise FileNotFoundError(
            f'{filename} names the config {cfg_path}, which is neither '
            f'{" nor ".join(paths)}.')

    def get_installed_path(package):
        return (package_path
                if package == 'mmreact' else installed_path(package))

    Config._get_cfg_path = staticmethod(get_cfg_path)
    hub.get_installed_path = get_installed_path


def compile_without_updates() -> None:
    """Let ``compile`` in a config leave backward and optimizer as they are.

    MMEngine compiles all of ``train_step``. Within it, dynamo fails on the
    ConfigDicts that MMEngine makes of parameter groups
    (InternalTorchDynamoError), takes a form of Adam that gives NaN at a
    learning rate of 0, with which schedules end, and compiles anew for each
    learning rate. The forward pass, and backward as derived from it, are
    compiled as before. Remove when none of the three holds.
    """
    from mmengine.optim import OptimWrapper
    from mmengine.runner import Runner
    maybe_compile, update_params = Runner._maybe_compile, \
        OptimWrapper.update_params

    def maybe_compile_without_updates(self, target):
        if self.cfg.get('compile'):
            import torch
            OptimWrapper.update_params = torch.compiler.disable(update_params)
        maybe_compile(self, target)

    Runner._maybe_compile = maybe_compile_without_updates


def init_cpu_distributed(launcher: str) -> None:
    """Start gloo for distributed training on CPUs (``torchrun``).

    mmengine's launcher sets a CUDA device whatever the backend. Remove when
    ``mmengine.dist.init_dist`` starts gloo without a GPU.

    The group is destroyed when Python exits: left to torch, its threads may
    outlive what they need, and the process aborts after its work is done
    ("terminate called without an active exception").
    """
    if launcher != 'pytorch':
        raise ValueError(f'Training on CPUs supports --launcher pytorch, got '
                         f'{launcher!r}.')
    if 'RANK' not in os.environ:
        raise RuntimeError('--launcher pytorch needs torchrun (or '
                           'tools/dist_train.sh), which sets RANK.')
    from torch import distributed
    distributed.init_process_group('gloo')
    atexit.register(_leave_group)


def _leave_group() -> None:
    from torch import distributed
    if distributed.is_initialized():
        distributed.destroy_process_group()


def cpu_model_wrapper() -> dict:
    """``model_wrapper_cfg`` for distributed training on CPUs.

    ``broadcast_buffers`` must be given: leaving it out switches MMEngine's
    default once a wrapper config exists. Remove when MMEngine's default
    wrapper leaves ``device_ids`` out on machines without a GPU.
    """
    return dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False)


@functools.lru_cache(maxsize=None)
def apply() -> None:
    """Apply the global cures, once."""
    check_versions()
    quiet_imports()
    allow_mmengine_checkpoints()
    allow_plain_types()
    refuse_what_torch_refuses()
    read_configs_with_marks()
    find_own_configs()
    compile_without_updates()


apply()

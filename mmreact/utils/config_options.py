"""Change a config from the command line."""
import difflib
import inspect
from typing import Any, Iterator, Mapping, Optional

from mmengine.config import Config
from mmengine.runner import Runner

#: Top-level keys that something reads: MMEngine's Runner (as arguments and
#: from its config), then mmreact.
KEYS = (*inspect.signature(Runner).parameters, 'model_wrapper_cfg', 'sync_bn',
        'find_unused_parameters', 'activation_checkpointing',
        'efficient_conv_bn_eval', 'compile', 'tta_model', 'tta_pipeline',
        'start_from', 'all_stages', 'all_runs')


def change_config(cfg: Config,
                  options: Optional[Mapping] = None,
                  data_root: Optional[str] = None) -> None:
    """Change a config as ``--data-root`` and then ``--cfg-options`` say.

    Args:
        cfg (Config): Changed in place.
        options (Mapping, optional): Values by dotted keys; places in lists
            are numbers (``train_dataloader.dataset.pipeline.1.scale``).
        data_root (str, optional): Root of all its data sets, also of those
            within wrappers.

    Raises:
        ValueError: If an option does not fit what the config holds, or
            nothing reads it.
    """
    for key in ('train', 'val', 'test'):
        loader = cfg.get(f'{key}_dataloader')
        if loader and data_root is not None:
            _set_data_root(loader.dataset, data_root)
    if not options:
        return
    for key in options:
        check_is_read(cfg, key, '--cfg-options')
    try:
        cfg.merge_from_dict(dict(options))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f'--cfg-options {", ".join(options)} cannot be merged into the '
            f'config: {error.args[0] if error.args else error!r}') from error


def check_is_read(cfg: Config, key: str, source: str) -> None:
    """Require that something reads a key.

    A variable of a config file, such as ``train_pipeline``, has been copied
    to where it is used when the file has been read.

    Raises:
        ValueError: Names where the variable is used, or a key like this one.
    """
    top, _, rest = key.partition('.')
    if top in KEYS:
        return
    if top not in cfg:
        near = difflib.get_close_matches(top, [*KEYS, *cfg], 1)
        hint = f' Did you mean {near[0]}?' if near else ''
        raise ValueError(f'{source} names {key}: there is no key {top}.{hint}')
    places = [place for place in _places(cfg, cfg[top]) if place != top]
    if places:
        instead = ' and '.join(f'{p}.{rest}' if rest else p for p in places)
        raise ValueError(f'{source} names {key}: {top} is a variable of the '
                         f'file, which is copied to where it is used. Name '
                         f'{instead} instead.')


def _places(value: Any, part: Any, prefix: str = '') -> Iterator[str]:
    """Dotted keys at which nested values hold a part that is no number."""
    if not isinstance(part, (dict, list, tuple, str)) or not part:
        return
    items = value.items() if isinstance(value, (dict, Config)) else enumerate(
        value if isinstance(value, (list, tuple)) else ())
    for key, item in items:
        place = f'{prefix}.{key}' if prefix else str(key)
        if item == part:
            yield place
        else:
            yield from _places(item, part, place)


def _set_data_root(dataset: dict, root: str) -> None:
    inner = dataset.get('datasets') or [dataset.get('dataset')]
    if inner == [None]:
        dataset['data_root'] = root
    else:
        for one in inner:
            _set_data_root(one, root)

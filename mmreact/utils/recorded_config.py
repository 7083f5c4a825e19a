"""The config that a checkpoint was trained with, without running it.

MMEngine records it as Python source. Executing that would run whatever a
stranger wrote into the file, so only constants, lists and dicts are read, and
only what is registered by a plain name may be built from them: MMEngine also
imports what a dotted ``type`` names.
"""
import ast
from contextlib import contextmanager
from typing import Any, Iterable, Iterator, Mapping, Tuple

from mmengine.config import Config

from .building_limit import TooLargeError, limit_for
from .checkpoint import CheckpointError

CLASSIFIERS = ('ImageClassifier', 'DistilledImageClassifier')
#: Whose names are looked up. MMEngine would import any other package.
SCOPES = ('mmpretrain', 'mmreact', 'mmengine')
#: Characters of a config; those of this repository have some 20,000.
LONGEST = 1_000_000
HINT = 'Name its config instead: --config FILE.'


def recorded_config(checkpoint: Mapping, source: str) -> Config:
    """Read the config in a checkpoint, enough of it to use the network.

    Args:
        checkpoint (Mapping): From :func:`~.checkpoint.load_checkpoint`.
        source (str): Its file, for the message.

    Returns:
        Config: ``model`` (without a teacher), ``data_preprocessor`` and
        ``test_dataloader.dataset``, as far as they are there.

    Raises:
        CheckpointError: If there is none, it holds more than plain values and
            registered names, or it is not that of a classifier.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        raise CheckpointError(f'{source} does not say which network it is '
                              f'for. {HINT}')
    try:
        found = usable_part(_read(text))
        _check(found)
    except (ValueError, TypeError, SyntaxError, RecursionError,
            MemoryError) as error:
        raise CheckpointError(f'The config in {source} cannot be used: '
                              f'{error}. {HINT}') from error
    return Config(found)


@contextmanager
def using_recorded(source: Any, checkpoint: Mapping) -> Iterator[None]:
    """Within, what a recorded config does not say right is a CheckpointError.

    Its values are read without being checked, and any may be of a wrong type.
    A network that is much larger than the weights is not built.

    Args:
        source: The checkpoint's file, for the message.
        checkpoint (Mapping): From :func:`~.checkpoint.load_checkpoint`.
    """
    try:
        with limit_for(checkpoint):
            yield
    except (AttributeError, AssertionError, KeyError, IndexError, MemoryError,
            OverflowError, RecursionError, TooLargeError, TypeError) as error:
        raise CheckpointError(
            f'The config in {source} cannot be used: '
            f'{type(error).__name__}: {str(error)[:200]}. {HINT}') from error


def usable_part(cfg: Mapping) -> dict:
    """What running a network on images needs of a config."""
    found = {
        key: cfg[key]
        for key in ('model', 'data_preprocessor') if cfg.get(key) is not None
    }
    if isinstance(found.get('model'), dict):
        found['model'] = {
            key: value
            for key, value in found['model'].items() if key != 'teacher'
        }
    loader = cfg.get('test_dataloader')
    dataset = loader.get('dataset') if isinstance(loader, dict) else None
    if isinstance(dataset, dict):
        keys = ('type', 'pipeline')
        kept = {key: dataset[key] for key in keys if key in dataset}
        found['test_dataloader'] = dict(dataset=kept)
    return found


def _read(text: str) -> dict:
    """The values that a config's source assigns."""
    if len(text) > LONGEST:
        raise ValueError(f'it has {len(text):,} characters, and at most '
                         f'{LONGEST:,} are read')
    found = {}
    for node in ast.parse(text).body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)):
            raise ValueError(f'its line {node.lineno} is no assignment')
        found[node.targets[0].id] = _value(node.value)
    return found


def _value(node: ast.AST) -> Any:
    """A constant, or a list, a tuple or a dict of values."""
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return _dict(zip(map(_value, node.keys), map(_value, node.values)))
    if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            and node.func.id == 'dict' and len(node.args) < 2
            and all(keyword.arg for keyword in node.keywords)):
        pairs = {keyword.arg: _value(keyword.value)
                 for keyword in node.keywords}  # yapf: disable
        first, = map(_value, node.args or [ast.Dict([], [])])
        if not isinstance(first, dict):
            raise ValueError(f'its line {node.lineno} makes a dict of '
                             f'something else: {ast.unparse(node)[:60]}')
        return {**first, **pairs}
    try:
        return ast.literal_eval(node)  # numbers, also negative ones, strings
    except ValueError:
        raise ValueError(f'its line {node.lineno} is more than plain values: '
                         f'{ast.unparse(node)[:60]}') from None


def _dict(pairs: Iterable[Tuple[Any, Any]]) -> dict:
    """A dict whose keys are texts or numbers, as in a config."""
    found = dict()
    for key, value in pairs:
        if not isinstance(key, (str, int, float, type(None))):
            raise ValueError(f'the key {str(key)[:40]} of a dict is no text '
                             'or number')
        found[key] = value
    return found


def _check(cfg: dict) -> None:
    """Require a classifier with a test pipeline, of registered names."""
    model = cfg.get('model')
    if not isinstance(model, dict) or model.get('type') not in CLASSIFIERS:
        raise ValueError(f'its model is none of {", ".join(CLASSIFIERS)}')
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    if not {'type', 'pipeline'} <= set(dataset):
        raise ValueError('it has no test pipeline')
    for key, value in _items(cfg):
        if key == 'trust_remote_code':
            raise ValueError('it would run code from a hub')
        if key == '_scope_' and value not in SCOPES:
            raise ValueError(f'its scope {value!r} is none of '
                             f'{", ".join(SCOPES)}')
        if key == 'type' and not (isinstance(value, str)
                                  and value.isidentifier()):
            raise ValueError(f'its type {value!r} is no registered name')


def _items(value: Any) -> Iterator[Tuple[Any, Any]]:
    """The items of all dicts within a value."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _items(inner)

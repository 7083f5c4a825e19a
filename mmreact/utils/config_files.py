"""Read config files: what their names and classes stand for.

A config names other configs in ``start_from`` and ``teacher``. The file in
which such a name is written decides where it is looked up: beside that file,
then in the folders above. So a config may inherit one of another folder, and
the names that it inherits keep their meaning.
"""
import functools
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Union

from mmengine.config import Config, ConfigDict
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry

from .. import compat  # noqa: F401, finds mmreact::

#: Keys whose ``config`` names a config file.
REFERENCES = ('start_from', 'teacher')
#: Keys that say of which class something is.
CLASSES = ('type', 'constructor')


def read_config(path: Union[str, Path]) -> Config:
    """Read a config file: Python in MMEngine's old or new style, YAML, JSON.

    Beyond ``Config.fromfile``, the names of configs become absolute paths, a
    symbolic link is followed to the file, beside which its bases lie, and
    registered classes (``type=ResNet``) become their names, as which other
    tools and records of configs know them.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'There is no config {path}.')
    with _locating_names():
        cfg = Config.fromfile(path.resolve())
    return _with_class_names(cfg) if _is_lazy(cfg) else cfg


def find_config(name: str, file: Union[str, Path]) -> Path:
    """Find the config ``name`` that is written in ``file``.

    Returns:
        Path: Absolute. If there is no such config, beside ``file``.
    """
    if '::' in name:  # of an installed package
        return Path(Config._get_cfg_path(name, str(file))[0]).resolve()
    folders = Path(file).resolve().parents
    found = (folder / name for folder in folders if (folder / name).is_file())
    return next(found, folders[0] / name).resolve()


@contextmanager
def _locating_names() -> Iterator[None]:
    """Within, MMEngine's parsers make the names of configs absolute.

    They call themselves for the bases of a file. So a name that is still
    relative when a file has been parsed is written in this very file.
    """
    parsers = ('_file2dict', '_parse_lazy_import')
    before = {name: Config.__dict__[name] for name in parsers}
    for name in parsers:
        setattr(Config, name, staticmethod(_located(getattr(Config, name))))
    try:
        yield
    finally:
        for name in parsers:
            setattr(Config, name, before[name])


def _located(parse):
    """A parser of MMEngine, after which names are absolute."""

    @functools.wraps(parse)
    def parse_file(filename, *args, **kwargs):
        values, *rest = parse(filename, *args, **kwargs)
        _locate(values, filename)
        return values, *rest

    return parse_file


def _locate(value: Any, file: str) -> None:
    """Make the names of configs in nested values absolute, in place."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _locate(item, file)
    elif isinstance(value, dict):
        for key, item in dict.items(value):  # MMEngine's builds lazy objects
            name = dict.get(item, 'config') if isinstance(item, dict) else None
            if key in REFERENCES and isinstance(name, str):
                item['config'] = str(find_config(name, file))
            _locate(item, file)


def _is_lazy(value: Any) -> bool:
    """Whether nested values hold what a new-style config has imported."""
    if isinstance(value, Config):
        return _is_lazy(value._cfg_dict)
    if isinstance(value, dict):
        return any(map(_is_lazy, dict.values(value)))
    if isinstance(value, (list, tuple)):
        return any(map(_is_lazy, value))
    return isinstance(value, (LazyObject, LazyAttr))


def _with_class_names(cfg: Config) -> Config:
    """A new-style config as an old-style one, as far as that is possible."""
    imported = getattr(cfg, '_imported_names', ())
    values = {
        key: value
        for key, value in dict.items(cfg._cfg_dict) if key not in imported
    }
    return Config(ConfigDict(_named(values)), filename=cfg.filename)


def _named(value: Any, key: str = '') -> Any:
    """Nested values with names in the place of registered classes."""
    if isinstance(value, dict):
        return type(value)({k: _named(v, k) for k, v in dict.items(value)})
    if isinstance(value, (list, tuple)):
        return type(value)(_named(item) for item in value)
    if isinstance(value, (LazyObject, LazyAttr)) and key in CLASSES:
        built = value.build()
        name = getattr(built, '__name__', '')
        return name if _is_registered(name, built) else value
    return value


def _is_registered(name: str, built: Any) -> bool:
    """Whether MMPretrain's registries give just this class for its name."""
    from mmpretrain import registry
    return any(
        value.get(name) is built for value in vars(registry).values()
        if name and isinstance(value, Registry))

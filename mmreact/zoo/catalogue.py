"""The catalogue: what ``model-index.yml`` and the metafiles say."""
import difflib
import fnmatch
import functools
from pathlib import Path
from typing import Dict, List, Optional

from .errors import ZooError
from .rows import ModelInfo, read_row

INDEX = 'model-index.yml'


@functools.lru_cache(maxsize=None)
def find_root() -> Path:
    """The folder with ``model-index.yml``, ``configs`` and ``tools``.

    An install has it in ``mmreact/.mim``, a checkout above the package.

    Raises:
        ZooError: If it is nowhere.
    """
    package = Path(__file__).resolve().parents[1]
    places = [package / '.mim', package.parent]
    for place in places:
        if (place / INDEX).is_file():
            return place
    raise ZooError(
        f'There is no {INDEX} in {" or ".join(map(str, places))}. Install '
        'mmreact again (pip install), or use a checkout of the repository.')


@functools.lru_cache(maxsize=None)
def read_catalogue(root: Path) -> Dict[str, ModelInfo]:
    """All rows below a folder, by name.

    Raises:
        ZooError: If a file cannot be read or a row is wrong.
    """
    rows: Dict[str, ModelInfo] = {}
    for metafile in _read(root / INDEX, 'Import'):
        for row in _read(root / metafile, 'Models'):
            try:
                found = read_row(row, root)
            except (ZooError, AttributeError, TypeError) as error:
                raise ZooError(f'{root / metafile}: {error}') from error
            if found.name in rows:
                raise ZooError(f'{root / metafile}: the name {found.name} '
                               'occurs twice.')
            rows[found.name] = found
    return rows


def _read(path: Path, key: str) -> list:
    """A list of a YAML file."""
    import yaml
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    try:
        content = yaml.load(path.read_text('utf-8'), loader)
        return content[key]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ZooError(f'Cannot read {key!r} of {path}: {error}') from error


def list_models(pattern: Optional[str] = None) -> List[str]:
    """Names of networks, sorted.

    Args:
        pattern (str, optional): Only names that start like this; ``*``, ``?``
            and ``[...]`` are wildcards.

    Examples:
        >>> list_models('vgg1?bn')
        ['vgg11bn_8xb32_in1k', ...]
    """
    names = read_catalogue(find_root())
    return sorted(fnmatch.filter(names, f'{pattern or ""}*'))


def info(name: str) -> ModelInfo:
    """What the catalogue says about a network.

    Raises:
        ZooError: If there is no such name; says which are like it.
    """
    rows = read_catalogue(find_root())
    if name not in rows:
        starts = sorted((n for n in rows if name and n.startswith(name)),
                        key=len)
        close = difflib.get_close_matches(name, rows, 5, .4)
        close = list(dict.fromkeys(starts + close))[:5]
        hint = f'Do you mean {", ".join(close)}?' if close else ''
        raise ZooError(f'There is no model {name!r}. {hint} '
                       'mmreact.zoo.list_models() lists all names.')
    return rows[name]

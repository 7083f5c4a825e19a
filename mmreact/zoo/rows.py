"""A row of a metafile, read and checked.

docs/model_zoo.md lists the fields. OpenMMLab's tools read the same rows and
ignore those that are our own (``Weights From`` to ``Packed``).
"""
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Mapping, Optional, Tuple
from urllib.parse import unquote, urlparse

from .errors import ZooError

#: Files that a row names lie below this folder.
PACKAGE = Path(__file__).resolve().parent
#: For a file that nobody could download and hash yet.
UNKNOWN = 'unknown until first converted'


@dataclass(frozen=True)
class ZooFile:
    """A file of weights.

    Args:
        name (str): Its name in the cache and on a mirror.
        url (str, optional): Where it is published.
        sha256 (str): Its hash, 64 hex digits; fewer (at least 8) where only
            the beginning is published; empty if it is not known.
        bytes (int, optional): Its size.
        path (str, optional): Where it comes with this package.
    """
    name: str
    url: Optional[str] = None
    sha256: str = ''
    bytes: Optional[int] = None
    path: Optional[str] = None

    @property
    def checked(self) -> str:
        """What a download is compared with."""
        if len(self.sha256) == 64:
            return 'sha256'
        if self.sha256:
            return (f'the first {len(self.sha256)} digits of its sha256 (no '
                    'more is published)')
        return 'nothing (no hash is known)'


@dataclass(frozen=True)
class ModelInfo:
    """What the catalogue says about a network.

    Args:
        name (str): Its name, which is that of its config.
        config (str): Path of the config file.
        collection (str): The paper's networks that it belongs to.
        metadata (Mapping): Operations and parameters.
        published (tuple[Mapping]): Results that others published.
        measured (tuple[Mapping]): Results measured here.
        weights (ZooFile, optional): A checkpoint that mmreact loads.
        original (ZooFile, optional): The authors' checkpoint, to convert.
        packed (ZooFile, optional): A packed file.
        origin (str): Where the weights come from, or 'none'.
        trained (Mapping): How they were trained, if that was here.
    """
    name: str
    config: str
    collection: str
    metadata: Mapping
    published: Tuple[Mapping, ...]
    measured: Tuple[Mapping, ...]
    weights: Optional[ZooFile]
    original: Optional[ZooFile]
    packed: Optional[ZooFile]
    origin: str
    trained: Mapping

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return asdict(self)


def read_row(row: Mapping, root: Path) -> ModelInfo:
    """Turn a row of a metafile into what the catalogue says.

    Args:
        row (Mapping): The row.
        root (Path): The folder that the row's paths start from.

    Raises:
        ZooError: If a field is missing or wrong.
    """
    for field in ('Name', 'Config', 'In Collection'):
        if not isinstance(row.get(field), str):
            raise ZooError(f'{row.get("Name", "a row")!r} has no {field!r}.')
    name = row['Name']
    results = row.get('Results') or []
    weights = _weights(name, row)
    original = _file(name, row, 'Converted From')
    packed = _file(name, row, 'Packed')
    trained = row.get('Trained') or {}
    for result in results:
        if not str(result.get('Source')).startswith(('published', 'measured')):
            raise ZooError(f'{name}: the Source of a result starts with '
                           "'published' or 'measured here', it is "
                           f'{result.get("Source")!r}.')
    return ModelInfo(
        name=name,
        config=str(root / row['Config']),
        collection=row['In Collection'],
        metadata=row.get('Metadata') or {},
        published=_results(results, 'published'),
        measured=_results(results, 'measured'),
        weights=weights,
        original=original,
        packed=packed,
        origin=_origin(row, weights, original, packed, trained),
        trained=trained)


def _results(results, start: str) -> tuple:
    return tuple(r for r in results if str(r['Source']).startswith(start))


def _origin(row, weights, original, packed, trained) -> str:
    if trained:
        missing = {'Command', 'Data', 'Date'} - set(trained)
        if missing:
            raise ZooError(f'{row["Name"]}: Trained has no '
                           f'{", ".join(sorted(missing))}.')
        return 'trained here'
    if row.get('Weights From'):
        return row['Weights From']
    if weights or packed:
        raise ZooError(f'{row["Name"]} has weights, but neither Trained nor '
                       'Weights From says where they come from.')
    return "the authors' file, to convert" if original else 'none'


def _weights(name: str, row: Mapping) -> Optional[ZooFile]:
    """OpenMMLab's field, an address or a name, beside our hash and size."""
    place = row.get('Weights')
    if not place:
        return None
    fields = dict({'URL' if '://' in place else 'File': place},
                  SHA256=row.get('Weights SHA256'),
                  Bytes=row.get('Weights Bytes'))
    return zoo_file(f'{name}: Weights', fields)


def _file(name: str, row: Mapping, field: str) -> Optional[ZooFile]:
    return zoo_file(f'{name}: {field}', row[field]) if row.get(field) else None


def zoo_file(where: str, fields: Mapping) -> ZooFile:
    """Check the fields of a file.

    Without a hash, that in the name counts (``vgg11-4271cd6c.pth``), as
    PyTorch and OpenMMLab publish it.

    Args:
        where (str): Named in errors.
        fields (Mapping): ``File`` (a name; with a folder: a path in this
            package), ``URL``, ``SHA256`` and ``Bytes``; others are left
            alone.

    Raises:
        ZooError: If a field is wrong.
    """
    file, url = fields.get('File'), fields.get('URL')
    size, digits = fields.get('Bytes'), fields.get('SHA256')
    if not file and not url:
        raise ZooError(f'{where} needs File or URL.')
    if url and urlparse(url).scheme not in ('http', 'https', 'file'):
        raise ZooError(f'{where}: URL is http(s):// or file://, not {url!r}.')
    path = PurePosixPath(file or unquote(urlparse(url).path))
    name, shipped = path.name, bool(file) and '/' in file
    outside = shipped and (path.is_absolute() or '..' in path.parts)
    if name in ('', '..') or outside:
        raise ZooError(f'{where}: {file or url!r} names no file.')
    if size is not None and (type(size) is not int or size < 1):
        raise ZooError(f'{where}: Bytes is {size!r}, not a number of bytes.')
    if digits in (None, UNKNOWN):
        found = re.search(r'-([0-9a-f]{8,64})\.', name)
        digits = found.group(1) if found else ''
    elif type(digits) is not str or not re.fullmatch('[0-9a-f]{64}', digits):
        raise ZooError(f'{where}: SHA256 has 64 hex digits in lower case and '
                       f'in quotes, or is {UNKNOWN!r}, not {digits!r}.')
    if shipped and (len(digits) != 64 or size is None):
        raise ZooError(f'{where} is in the package: it needs SHA256 and '
                       'Bytes.')
    place = str(PACKAGE.joinpath(file)) if shipped else None
    return ZooFile(name, url, digits, size, place)

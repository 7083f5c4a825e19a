"""Fashion-MNIST as four raw IDX files: found, checked and put in place.

The data set (Xiao et al., 2017, https://arxiv.org/abs/1708.07747) holds
60,000 training and 10,000 test images, 28x28 uint8, in ten balanced classes.

MMPretrain's ``FashionMNIST`` skips its download and its md5 check of the
``.gz`` files when all four *raw* files are there, so exactly these are left
in the root. Its ``split='test'`` needs ``test_mode=True`` as well: without it
the training images are read.
"""
import filecmp
import gzip
import hashlib
import math
import os
import shutil
import subprocess
import urllib.request
import zlib
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

FILES = ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte',
         't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')
PACKAGE = 'dataset-fashion-mnist'
PACKAGE_FOLDER = Path('/usr/share/datasets/fashion-mnist')
ADDRESSES = (
    'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
    'https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/'
)


class DatasetError(RuntimeError):
    """The data set is not there, not whole, or not what it should be."""


@dataclass(frozen=True)
class Spec:
    """What a data set of this kind holds: 28x28 images, ten equal classes.

    Args:
        counts (dict): Number of images by split, ``train`` and ``t10k``.
        digests (dict): SHA-256 by file name; other files are not digested.
    """
    counts: dict
    digests: dict = field(default_factory=dict)


# They tell the data set from others of the same file names and shapes (MNIST,
# KMNIST). Debian's files and the published .gz files hold the same raw files.
FASHION_MNIST = Spec(
    counts=dict(train=60000, t10k=10000),
    digests=dict(
        zip(FILES, (
            'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
            'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
            '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
            '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
        ))))


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read a raw IDX file of unsigned bytes.

    Layout: two zero bytes, the type (8: uint8), the number of dimensions, each
    dimension as a big-endian uint32, then the values.

    Args:
        path (Path): The raw (not compressed) file.
        ndim (int): The number of dimensions expected.

    Returns:
        np.ndarray: uint8 array with ``ndim`` dimensions.

    Raises:
        DatasetError: If the file is missing, of another kind or cut short.
    """
    if not path.is_file():
        raise DatasetError(f'{path.name} is missing')
    data, magic, head = path.read_bytes(), bytes((0, 0, 8, ndim)), 4 + 4 * ndim
    if data[:4] != magic:
        raise DatasetError(f'{path.name} starts with {data[:4].hex()}, '
                           f'expected the IDX magic {magic.hex()}')
    shape = [int.from_bytes(data[i:i + 4], 'big') for i in range(4, head, 4)]
    if len(data) != head + math.prod(shape):
        raise DatasetError(
            f'{path.name} has {len(data)} bytes, expected '
            f'{head + math.prod(shape)} for the shape {tuple(shape)}')
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def verify_fashion_mnist(root, spec: Spec = FASHION_MNIST) -> None:
    """Check that a folder holds the four raw files, whole and right.

    Args:
        root (str | Path): The folder.
        spec (Spec): What is expected. Defaults to Fashion-MNIST.

    Raises:
        DatasetError: Names the first file that is missing or wrong.
    """
    for split, count in spec.counts.items():
        name, want = f'{split}-images-idx3-ubyte', (count, 28, 28)
        shape = read_idx(Path(root, name), 3).shape
        if shape != want:
            raise DatasetError(
                f'{name} has the shape {shape}, expected {want}')
        name, want = f'{split}-labels-idx1-ubyte', [count // 10] * 10
        found = np.bincount(read_idx(Path(root, name), 1), minlength=10)
        if found.tolist() != want:
            raise DatasetError(
                f'{name} has {found.tolist()} labels of the '
                f'classes 0 to {len(found) - 1}, expected {want}')
    for name, digest in spec.digests.items():
        if hashlib.sha256(Path(root, name).read_bytes()).hexdigest() != digest:
            raise DatasetError(
                f'{name} has the right shape but not the values '
                'of Fashion-MNIST (SHA-256 differs)')


def unpack(source: Path, target: Path) -> None:
    """Copy the four files of ``source``, raw or ``.gz``, to ``target`` as raw.

    Raises:
        DatasetError: If a file is missing or its ``.gz`` is damaged.
    """
    target.mkdir()
    for name in FILES:
        raw, packed = source / name, source / f'{name}.gz'
        if not raw.is_file() and not packed.is_file():
            raise DatasetError(
                f'neither {raw.name} nor {packed.name} is there')
        opened = raw.open('rb') if raw.is_file() else gzip.open(packed)
        try:
            with opened as src, open(target / name, 'wb') as dst:
                shutil.copyfileobj(src, dst)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DatasetError(f'{packed.name} is damaged: {error}')


def publish(ready: Path, root: Path) -> None:
    """Rename verified files from ``ready``, on the same disk, into ``root``.

    So a file that is there is whole, and the last one completes the set.

    Raises:
        DatasetError: If ``root`` has other files of these names: they may be
            another data set's, and stay untouched.
    """
    for name in FILES:
        old = root / name
        if old.exists() and not filecmp.cmp(old, ready / name, shallow=False):
            raise DatasetError(
                f'{old} is there but is not of Fashion-MNIST (damaged, or of '
                'another data set): move or delete it, or choose another root')
    for name in FILES:
        os.replace(ready / name, root / name)


def _run(*command, **kwargs) -> str:
    """Run a command in silence and return its last warning or error."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=600,
            env=dict(os.environ, LC_ALL='C'),
            **kwargs)
    except FileNotFoundError:
        raise DatasetError(f'this machine has no {command[0]}')
    except subprocess.TimeoutExpired:
        raise DatasetError(f'{command[0]} did not end within 10 minutes')
    lines = done.stderr.decode(errors='replace').strip().splitlines()
    last = f'{command[0]}: {lines[-1] if lines else "no message"}'
    if done.returncode:
        raise DatasetError(last)
    return last


def debian_installed(scratch: Path) -> Path:
    """The files of the installed Debian package."""
    return PACKAGE_FOLDER


def debian_fetched(scratch: Path) -> Path:
    """The files of the Debian package, fetched and unpacked without root.

    If the system's package lists do not know it, our own are fetched first.
    """
    (scratch / 'lists/partial').mkdir(parents=True)
    (scratch / 'cache/archives/partial').mkdir(parents=True)
    apt = ('apt-get', '-o', f'Dir::Cache={scratch}/cache', '-o',
           'APT::Sandbox::User=root', '-o', 'Acquire::http::Timeout=30')
    try:
        _run(*apt, 'download', PACKAGE, cwd=scratch)
    except DatasetError:
        apt += ('-o', f'Dir::State::lists={scratch}/lists')
        update = _run(*apt, '-o', 'Acquire::Languages=none', 'update')
        try:
            _run(*apt, 'download', PACKAGE, cwd=scratch)
        except DatasetError as error:
            raise DatasetError(f'{error}; before that, {update}')
    package, = scratch.glob('*.deb')
    _run('dpkg-deb', '-x', package, scratch)
    return scratch / PACKAGE_FOLDER.relative_to('/')


def downloaded(scratch: Path) -> Path:
    """The ``.gz`` files from where the data set is published."""
    failed = []
    for address in ADDRESSES:
        try:
            for name in (f'{name}.gz' for name in FILES):
                with urllib.request.urlopen(address + name, timeout=30) as src:
                    with open(scratch / name, 'wb') as dst:
                        shutil.copyfileobj(src, dst)
            return scratch
        except (OSError, HTTPException) as error:
            failed.append(f'{address}: {error}')
    raise DatasetError('; '.join(failed))


SOURCES = (
    (f'the installed Debian package {PACKAGE}', debian_installed),
    (f'the Debian package {PACKAGE} by apt-get', debian_fetched),
    ('its public addresses', downloaded),
)


def cache_folder(cache=None) -> Path:
    """``cache``, else MMREACT_CACHE, else the user's cache folder."""
    user = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    folder = cache or os.environ.get('MMREACT_CACHE') or Path(user, 'mmreact')
    return Path(folder, 'fashion_mnist')


def _keep(root: Path, store: Path, spec: Spec) -> None:
    """Leave a copy of the verified ``root`` in the cache, if it can be."""
    try:
        verify_fashion_mnist(store, spec)
    except DatasetError:
        try:
            store.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=store, prefix='.preparing-') as folder:
                unpack(root, Path(folder, 'ready'))
                for name in FILES:
                    os.replace(Path(folder, 'ready', name), store / name)
        except OSError as error:
            print(f'Fashion-MNIST: no copy is kept in {store}: {error}')


def prepare_fashion_mnist(root='data/fashion_mnist',
                          cache=None,
                          sources=SOURCES,
                          spec: Spec = FASHION_MNIST) -> Path:
    """Make ``root`` hold what MMPretrain's ``FashionMNIST`` reads.

    Args:
        root (str | Path): The folder to prepare; it is reused if whole.
        cache (str | Path, optional): Where the copy ``fashion_mnist`` is kept
            for the next time. Defaults to the environment's MMREACT_CACHE,
            else ``mmreact`` in the user's cache folder.
        sources (tuple): Pairs of a name and a function that gets an empty
            folder to work in and returns the folder of the four files. They
            are tried in turn after ``root`` itself and the cached copy.
        spec (Spec): What is expected. Defaults to Fashion-MNIST.

    Returns:
        Path: ``root``, verified.

    Raises:
        DatasetError: If no source works, with the reason of each.
    """
    root, store, failed = Path(root), cache_folder(cache), []
    try:
        verify_fashion_mnist(root, spec)
        print(f'Fashion-MNIST: {root} is whole and used as it is')
        return root
    except DatasetError:
        root.mkdir(parents=True, exist_ok=True)
    sources = (
        (f'{root}', lambda _: root),
        (f'the cached copy {store}', lambda _: store),
        *sources,
    )
    with TemporaryDirectory(dir=root, prefix='.preparing-') as folder:
        for name, find in sources:
            scratch = Path(folder, str(len(failed))).resolve()
            scratch.mkdir()
            try:
                unpack(find(scratch), scratch / 'ready')
                verify_fashion_mnist(scratch / 'ready', spec)
            except (DatasetError, OSError) as error:
                failed.append(f'  {name}: {error}')
                continue
            publish(scratch / 'ready', root)
            print(f'Fashion-MNIST: {root} is prepared from {name}')
            _keep(root, store, spec)
            return root
    raise DatasetError('\n'.join([
        'Fashion-MNIST could not be prepared. Tried:', *failed,
        f'Put these four files into {root} by hand and run this again:',
        *(f'  {name}.gz' for name in FILES)
    ]))

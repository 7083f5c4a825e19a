"""Preprocessings that files may hold, for the readers in Python and C."""
import json

import pytest
from small_networks import build_packed

from mmreact.packed.container import dumps, loads
from mmreact.packed.file import decode, to_bytes
from mmreact.packed.native import library

RESIZE = dict(mode='short', size=12, filter='bilinear', library='pillow')

#: What replaces parts of a preprocessing that makes 9x9 images.
GOOD = [
    dict(),
    dict(resize=None),
    dict(resize=None, crop=None),
    dict(decoder='opencv'),
    dict(channels='bgr', mean=[0, 1, 2], std=[1e-6, 1, 1e6]),
    dict(crop=[8, 7], pad=[2, 0, 0, 1]),
    dict(crop=[1, 1], pad=[4096, 4, 4, 4096]),
    *(dict(resize=dict(RESIZE, mode=mode))
      for mode in ('long', 'width', 'height')),
    *(dict(resize=dict(RESIZE, mode=mode, size=[9, 16384]))
      for mode in ('fit', 'cover', 'stretch', 'object')),
    *(dict(resize=dict(RESIZE, filter=filter))
      for filter in ('nearest', 'bicubic', 'box', 'hamming', 'lanczos')),
    *(dict(resize=dict(RESIZE, library='opencv', filter=filter))
      for filter in ('nearest', 'bicubic', 'area', 'lanczos')),
    dict(resize=dict(RESIZE, mode='stretch', size=[9, 9]), crop=None),
]
BAD = [
    dict(resize_short=12),
    dict(resize=[]),
    dict(resize={}),
    dict(resize=12),
    *(dict(resize=dict(RESIZE, **change)) for change in [
        dict(more=1),
        dict(mode='Short'),
        dict(mode=''),
        dict(mode=None),
        dict(mode='fit'),
        dict(mode='fit', size=[12]),
        dict(mode='fit', size=[12, 12, 12]),
        dict(mode='fit', size=[12, 0]),
        dict(mode='fit', size=[12, 12.]),
        dict(size=[12, 12]),
        dict(size=0),
        dict(size=-12),
        dict(size=16385),
        dict(size=12.),
        dict(size=True),
        dict(size='12'),
        dict(size=None),
        dict(size=10**400),
        dict(filter='area'),
        dict(filter='cubic'),
        dict(filter=None),
        dict(library='opencv', filter='box'),
        dict(library='opencv', filter='hamming'),
        dict(library='torch'),
        dict(library=None),
    ]),
    dict(decoder='cv2'),
    dict(decoder=None),
    dict(decoder=['pillow']),
    dict(channels='gray'),
    dict(channels='rgba'),
    dict(channels='gray', mean=[0], std=[1]),
    dict(mean=[0, 0]),
    dict(mean=[0, 0, 1e7]),
    dict(mean=[0, 0, True]),
    dict(std=[1, 1, 0]),
    dict(std=[1, 1, 1e300]),
    dict(std=[1, 1, 1e-7]),
    dict(std=[1, 1, -1]),
    dict(std=1),
    dict(crop=[9]),
    dict(crop=[9, -5]),
    dict(crop=[9, 0]),
    dict(crop=9),
    dict(crop=[9, 16385]),
    dict(pad=[0, 0, 0]),
    dict(pad=[0, 0, 0, -1]),
    dict(pad=[0, 0, 0, 4097]),
    dict(pad=None),
    dict(crop=[1, 1]),  # too small for the windows of the network
    dict(resize=dict(RESIZE, mode='stretch', size=[1, 1])),
    dict(resize=dict(RESIZE, mode='object', size=[1, 1]), crop=None),
]


@pytest.fixture(scope='module')
def parts():
    return loads(to_bytes(build_packed()))


def accepted(parts, change):
    """Whether the reader in Python takes it, and the one in C."""
    metadata, tensors = dict(parts[0]), parts[1]
    entry = dict(json.loads(metadata['preprocessing']), **change)
    metadata['preprocessing'] = json.dumps(entry)
    data = dumps(metadata, tensors)
    lib = library()
    model = lib.mmr_load_buffer(data, len(data), None, 1)
    if model:
        lib.mmr_free(model)
    try:
        decode(*loads(data))
    except ValueError:
        return False, bool(model)
    return True, bool(model)


@pytest.mark.parametrize('change', GOOD, ids=str)
def test_good_ones(parts, change):
    assert accepted(parts, change) == (True, True)


@pytest.mark.parametrize('change', BAD, ids=lambda change: str(change)[:60])
def test_bad_ones(parts, change):
    assert accepted(parts, change) == (False, False)


@pytest.mark.parametrize(
    'key', ['decoder', 'resize', 'crop', 'pad', 'mean', 'std', 'channels'])
def test_missing_keys(parts, key):
    metadata = dict(parts[0])
    entry = json.loads(metadata['preprocessing'])
    del entry[key]
    metadata['preprocessing'] = json.dumps(entry)
    data = dumps(metadata, parts[1])
    assert not library().mmr_load_buffer(data, len(data), None, 1)
    with pytest.raises(ValueError, match=f"has no '{key}'"):
        decode(*loads(data))

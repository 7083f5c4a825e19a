"""Small checkpoint files that claim to be large, written by hand."""
import io
import pickle
import struct
import zipfile
import zlib

import torch

MEGA = 1 << 20


def archive(path, data_pkl, compression=zipfile.ZIP_STORED, **records):
    """A file as torch.save writes it, with this pickle in it."""
    with zipfile.ZipFile(path, 'w', compression) as file:
        for name, content in dict(
                records, data_pkl=data_pkl, version=b'3\n',
                byteorder=b'little').items():
            file.writestr(f'a/{name.replace("_", ".", 1)}', content)
    return path


def storage(number, key='0', kind='FloatStorage'):
    """Instructions that push a storage."""
    return (b'(X\7\0\0\0storagectorch\n' + kind.encode() + b'\nX\1\0\0\0' +
            key.encode() + b'X\3\0\0\0cpu' + integer(number) + b'tQ')


def integer(value):
    data = pickle.encode_long(value)
    return b'\x8a' + bytes([len(data)]) + data


def view(source, offset, size, stride):
    """Instructions that push a tensor."""

    def numbers(values):
        return b'(' + b''.join(map(integer, values)) + b't'

    return (b'ctorch._utils\n_rebuild_tensor_v2\n(' + source +
            integer(offset) + numbers(size) + numbers(stride) +
            b'\x89ccollections\nOrderedDict\n)RtR')


def in_dict(value):
    return b'\x80\2}X\1\0\0\0w' + value + b's.'


def called(name, args):
    """Instructions that call something with what ``args`` push."""
    return in_dict(f'c{name}\n'.encode() + b'(' + args + b'tR')


def repeated(name, argument, times):
    """The same argument for many calls, in a list."""
    one = f'c{name}\n'.encode() + b'h\0\x85R'
    return in_dict(b']' + argument + b'q\0a(' + one * times + b'e')


ITEMS = b'](' + b''.join(b'J' + struct.pack('<i', i)
                         for i in range(100_000)) + b'e'
DEEP = b']' * 100_000 + b'a' * 99_999
TEXT = b'X' + struct.pack('<I', MEGA) + b'x' * MEGA

#: Name -> the pickle, and a word of the message.
PICKLES = {
    'storage': (in_dict(storage(10**9)), 'were told'),
    'many elements': (in_dict(storage(10**18, kind='ByteStorage')),
                      'were told'),
    'negative storage': (in_dict(storage(-1)), 'described wrongly'),
    'view': (in_dict(view(storage(1), 0, [10**9], [1])), 'larger than its'),
    'view behind its storage':
    (in_dict(view(storage(1), 10**9, [1], [1])), 'larger than its'),
    'view by its stride':
    (in_dict(view(storage(1), 0, [2], [10**9])), 'larger than its'),
    'expanded': (in_dict(view(storage(1), 0, [10**9], [0])), 'repeat'),
    'expanded twice':
    (in_dict(view(storage(1), 0, [10**5, 10**5], [0, 0])), 'repeat'),
    'many views': (in_dict(b'](' + view(storage(1), 0, [10**7], [0]) * 9 +
                           b'e'), 'repeat'),
    'bytearray': (called('builtins\nbytearray', integer(10**10)), 'not read'),
    'tensor': (called('torch\nTensor', integer(10**10)), 'is wrong'),
    'typed tensor': (called('torch\nFloatTensor', integer(10**10)),
                     'torch.FloatTensor'),
    'sparse': (called('torch._utils\n_rebuild_sparse_tensor', b'N'),
               '_rebuild_sparse_tensor'),
    'array': (called('numpy\nndarray', integer(10**10) + b'\x85'), 'is wrong'),
    'made array': (called(
        'numpy.core.multiarray\n_reconstruct', b'cnumpy\nndarray\n' +
        integer(10**10) + b'\x85X\1\0\0\0b'), 'described wrongly'),
    'type of numpy': (called('numpy\ndtype', b'X\13\0\0\0V2000000000'),
                      'are not read'),
    'history': (called('mmengine.logging.history_buffer\nHistoryBuffer',
                       b']]'), 'is wrong'),
    'sets': (repeated('builtins\nset', ITEMS, 100_000), 'far more'),
    'sizes': (repeated('torch\nSize', ITEMS, 100_000), 'far more'),
    'texts': (in_dict(b'](' + TEXT + b'q\0' + b'c_codecs\nencode\n(h\0'
                      b'X\6\0\0\0latin1tR' * 5000 + b'e'), 'far more'),
    'states': (in_dict(b'}(' + b''.join(
        b'X\3\0\0\0' + b'%03d' % i + b'N' for i in range(1000)) + b'uq\0(' +
                       b'ccollections\nOrderedDict\n)Rh\0b' * 50_000 + b't'),
               'far more'),
    'dicts': (in_dict(b'(' + b'}' * 2_500_000 + b't'), 'instructions'),
    'made objects':
    (in_dict(b'(cargparse\nNamespace\nq\0)\x81' +
             b'h\0)\x81}b' * 100_000 + b't'), 'instructions'),
    'fewer dicts': (in_dict(b'(' + b'}' * 1_900_000 + b't'), ''),
    'nested': (in_dict(DEEP), '64 deep'),
    'nested tuples': (in_dict(b')' + b'\x85' * 100_000), '64 deep'),
    'deep key': (b'\x80\2})' + b'\x85' * 100_000 + b'Ns.', 'no text or num'),
    'colliding keys': (b'\x80\2}(' + b''.join(
        integer(i * (2**61 - 1)) + b'N' for i in range(50_000)) + b'u.',
                       'no text or num'),
    'long text': (in_dict(b'X\xff\xff\xff\xff'), 'cut off'),
    'far memo': (in_dict(b'Nr\xff\xff\xff\x7f'), ''),
}  # yapf: disable


def deflated(path, size):
    """A record of zeros that is compressed."""
    return archive(path, in_dict(view(storage(size // 4), 0, [1], [1])),
                   zipfile.ZIP_DEFLATED, **{'data/0': bytes(size)})


def overlapping(path):
    """A hundred records of a megabyte that all lie in the same place."""
    archive(path, in_dict(b'N'), **{'data/0': bytes(MEGA)})
    data = path.read_bytes()
    number, length, start = struct.unpack('<10xH2L2x', data[-22:])
    entries = data[start:-22]
    name = b'a/data/0'
    first = entries[:46 + len(name)]
    entries += b''.join(
        first.replace(name, b'a/data%02d' % i) for i in range(100))
    tail = struct.pack('<4s4H2LH', b'PK\5\6', 0, 0, number + 100, number + 100,
                       len(entries), start, 0)
    path.write_bytes(data[:start] + entries + tail)
    return path


def lying_size(path):
    """A stored record that claims to be larger than its bytes."""
    archive(path, in_dict(b'N'), **{'data/0': b'1234'})
    data = path.read_bytes()
    where = data.index(b'PK\1\2')
    path.write_bytes(data[:where + 24] + struct.pack('<L', 1 << 31) +
                     data[where + 28:])
    return path


def old_format(path, numbers):
    """A file of torch before 1.6 whose storages have other sizes."""
    with io.BytesIO() as buffer:
        torch.save(
            dict(w=torch.zeros(3)),
            buffer,
            _use_new_zipfile_serialization=False)
        data = buffer.getvalue()
    path.write_bytes(data.replace(b'K\3Nt', integer(numbers) + b'Nt'))
    return path


def two_ends(path):
    """Whose list of records is found in two places."""
    archive(path, in_dict(b'N'))
    data = path.read_bytes()
    path.write_bytes(data + zlib.compress(b'') + data[-22:])
    return path


#: Name -> what writes it to a path, and a word of the message.
FILES = {
    'deflated': (lambda path: deflated(path, 300 * MEGA), 'is compressed'),
    'deflated pickle':
    (lambda path: archive(path, in_dict(TEXT), zipfile.ZIP_DEFLATED),
     'is compressed'),
    'overlapping': (overlapping, 'larger together'),
    'lying size': (lying_size, 'is compressed'),
    'two ends': (two_ends, 'truncated or damaged'),
    'old format': (lambda path: old_format(path, 10**10), 'damaged'),
    'old and short': (lambda path: old_format(path, 1), 'damaged'),
}

"""Packed files with one change, made from a small valid one by tables.

All operations of ``small_networks`` and all fields of the metadata take part,
so that a new one is among them without a change here.
"""
import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
from small_networks import build_packed

from mmreact.packed import PackedFile, Program, ops
from mmreact.packed.container import dumps
from mmreact.packed.file import PARTS, _encode, to_bytes
from mmreact.packed.ops import MAX_PADDING, MAX_SIZE
from mmreact.packed.resizing import BOX_MODES, EDGE_MODES, FILTERS, Resize

MISSING = object()
#: Put in the place of every value of the JSON.
VALUES = [
    MISSING, None, True, False, 0, 1, -1, 2, 3, 5, 65, 1.5, 1.0, -0.0, 1e-3,
    -1e6, 1e6, 1e7, 1e-7, 1e300, 3.4028235e38, -3.4028235e38, 3.4028236e38,
    MAX_PADDING, MAX_PADDING + 1, 1 << 14, (1 << 14) + 1, MAX_SIZE,
    MAX_SIZE + 1, 1 << 31, 1 << 63, 1 << 64, 10**400, '', 'input', 'stem',
    'one', '1', 'x' * 1000, 'a\nb', 'a\x7f', 'a\x85',
    'zwölf \u2028 五',
    '\U0001f600', [], {}, [0], [1], [1, 1], [0, 0], [2, 3],
    [-1, 3], [1, 1.0], [1, '1'],
    [1, 1, 1], [0.5, 1, 2], [1, 2, 3, 4], [MAX_SIZE, MAX_SIZE],
    [MAX_SIZE + 1, 1], ['one', 'two'], [None], [[]], dict(a=1), dict(a='b')
]  # yapf: disable
#: Literals in the text, in the place of an integer or a real number.
NUMBERS = [
    '0', '1', '-0', '-0.0', '0.0', '1.0', '1e0', '1E0', '1e+0', '10e-1', '01',
    '-01', '+1', '.5', '1.', '1.e1', '1e', '1e+', '-', '--1', '0x1', '1_0',
    'NaN', 'nan', 'Infinity', '-Infinity', '-NaN', '1e999', '-1e999', '1e-999',
    '-1e-999', '4.9e-324', '0e999', '0e' + '9' * 300, '1e' + '9' * 300,
    '1e-' + '9' * 300, '9' * 300, '-' + '9' * 300, '9' * 5000, '9' * 100_000,
    '0.' + '0' * 5000 + '1', '0.' + '9' * 100_000, '1' + '0' * 400 + 'e-400',
    '0.' + '0' * 400 + '1e401', '1' + '0' * 5000 + '.0', '1.7e308', '1.8e308',
    '16777216', '16777217', '9223372036854775807', '9223372036854775808',
    '18446744073709551616', '3.40282356e38', '3.40282357e38', '1 ', ' 1',
    '\t1\r\n', '\x0b1', '\xa01', '1/**/', '1 // a', '\uff11', '٣', 'true',
    'True', 'null', 'None', '"1"', '1, 1', '1]'
]  # yapf: disable
#: Strings in the text, bytes between their quotes.
STRINGS = [
    rb'', rb'a', rb'a b', rb' ', rb'\u0061', rb'\u00e9', 'é'.encode(),
    '五'.encode(), '\U0001f600'.encode(), rb'\ud83d\ude00', rb'\uD83D\uDE00',
    rb'\ud83d', rb'\ude00', rb'\ude00\ud83d', rb'\ud83d\ud83d\ude00',
    rb'\ud83dx', rb'\ud83d\n', rb'\ud83d\\ude00', rb'\\ud83d', rb'\u0000',
    rb'\u001f', rb'\u007f', rb'\u0080', rb'\u2028', rb'\ufeff', rb'\uffff',
    rb'\u12', rb'\u', rb'\u00 1', rb'\u-001', rb'\x41', rb"\'", rb'\/', rb'\b',
    rb'\n', rb'\t', rb'\q', b'\\', b'"', b'\t', b'\n', b'\x00', b'\x1f',
    b'\x7f', b'\x80', b'\xc0\x80', b'\xc3', b'\xc3\x28', b'\xed\xa0\x80',
    b'\xe0\x80\x80', b'\xf4\x90\x80\x80', b'\xf0\x9f\x98', b'\xff',
    b'\xef\xbb\xbf', 'a\u202eb'.encode(), 'ａ'.encode(), b'a' * 70_000
]  # yapf: disable
#: Texts in the place of a whole part of the metadata.
TEXTS = [
    '', ' ', '[', ']', '{', '{}', '[]', 'null', '[null]', '0', '""', '[0]',
    '{"a":"b"}', '{"a":"b","a":"b"}', '{"a":"b","\\u0061":"b"}',
    '{"a":"b",}', '["a",]', '[,]', '{"a"}', '{a:1}', "{'a':'b'}", '[] []',
    '[]x', '\ufeff[]', '[]\ufeff', '[]\x00', '[] \n\t\r', '[' * 60 + ']' * 60,
    '[' * 70 + ']' * 70, '[' * 900, '[' * 100_000, '{"a":' * 1000, '[]' * 1000
]  # yapf: disable
#: Numbers in the tensors.
REALS = [
    float('nan'),
    float('inf'), -float('inf'), 3e38, 1e-45, 0., -0., 65505.
]


def paths(value, path=()):
    """The place of every value in JSON, its own among them."""
    yield path
    items = value.items() if isinstance(
        value, dict) else (enumerate(value) if isinstance(value, list) else ())
    for key, child in items:
        yield from paths(child, (*path, key))


def changed(value, path, new):
    """A copy with another value, or none, in one place."""
    if not path:
        return new
    value = deepcopy(value)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    if new is MISSING:
        del parent[path[-1]]
    else:
        parent[path[-1]] = deepcopy(new)
    return value


def split(data):
    """Header and tensors of a file."""
    end = 8 + int.from_bytes(data[:8], 'little')
    return json.loads(data[8:end]), data[end:]


def join(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, 'little') + text + body


def with_text(data, key, text):
    """Change a part of the metadata; None removes it."""
    header, body = split(data)
    header['__metadata__'][key] = text
    if text is None:
        del header['__metadata__'][key]
    return join(header, body)


def json_mutants(data, key, places=None):
    """Every value in every place of a part of the metadata.

    Yields:
        tuple, bytes: What was changed, and the file.
    """
    part = json.loads(split(data)[0]['__metadata__'][key])
    for path in places or list(paths(part)):
        for new in VALUES:
            if path or new is not MISSING:
                text = json.dumps(changed(part, path, new), allow_nan=False)
                yield (key, path, new), with_text(data, key, text)
    for path in paths(part):
        target = part
        for step in path:
            target = target[step]
        if isinstance(target, dict):
            more = changed(part, path, dict(target, more=1))
            yield (key, path, 'more'), with_text(data, key, json.dumps(more))


def text_mutants(data):
    for key in PARTS:
        for text in [None, *TEXTS]:
            yield (key, text and text[:20]), with_text(data, key, text)


def literal_mutants(data):
    """Numbers and strings that are written in other ways."""
    metadata = split(data)[0]['__metadata__']
    for key, mark in [('program', '"groups": 1'), ('program', '"low": 0.25'),
                      ('program', '"input_shape": [3'),
                      ('preprocessing', '"mean": [123.675'),
                      ('preprocessing', '"pad": [0')]:
        text = json.dumps(json.loads(metadata[key]))
        assert mark in text
        start = mark.rstrip('0123456789.')
        for number in NUMBERS:
            yield (mark, number[:20]), with_text(
                data, key, text.replace(mark, start + number, 1))
    for string in STRINGS:
        header = json.dumps(split(data)[0], ensure_ascii=False).encode()
        # The text of the classes is a string itself, in the header's JSON.
        inner = string.replace(b'\\', rb'\\').replace(b'"', rb'\"')
        for new in (string, inner):
            new = header.replace(rb'\"one\"', rb'\"%s\"' % new, 1)
            yield ('class', string[:20]), join(new, split(data)[1])


def name_mutants():
    """A program of one operation, by another name."""
    program = Program((1, 1, 1), [ops.Abs('NAME', ('input', ))], 'NAME')
    header, body = split(to_bytes(PackedFile(program)))
    text = json.dumps(header, ensure_ascii=False).encode()
    for string in STRINGS:
        inner = string.replace(b'\\', rb'\\').replace(b'"', rb'\"')
        yield ('name', string[:20]), join(text.replace(b'NAME', inner), body)


def header_mutants(data):
    """Of the container: entries of tensors, the metadata, bytes."""
    header, body = split(data)
    names = [name for name in header if name != '__metadata__']
    entries = [names[0], names[-1]]
    for name in entries:
        for path in paths(header[name], (name, )):
            for new in VALUES:
                yield ('header', path,
                       new), join(changed(header, path, new), body)
        more = dict(header[name], more=1)
        yield ('header', name,
               'more'), join(dict(header, **{name: more}), body)
    for key in ('format', 'format_version'):
        for new in [
                *VALUES, '01', '+1', '1 ', '1' * 10, '٣', 'mmreact-packed'
        ]:
            yield ('header', key, new), join(
                changed(header, ('__metadata__', key), new), body)
    for path in [('__metadata__', ), ('__metadata__', 'more')]:
        for new in VALUES:
            yield ('header', path, new), join(
                changed(header, path, new)
                if new is not MISSING or path[-1] in header else header, body)
    for size in (0, 1, 7, 8, 9, 100, len(data) - 1):
        yield ('cut', size), data[:size]
    for tail in (b'\0', b' ', b'abc'):
        yield ('longer', tail), data + tail
    for text in (b' ', b'\n', b'\t ', b'\0', b'x', b'{}', b','):
        yield ('behind', text), join(json.dumps(header).encode() + text, body)
        yield ('before', text), join(text + json.dumps(header).encode(), body)


def tensor_mutants(data):
    """Each number at the start and the end of each tensor."""
    header, body = split(data)
    types = dict(U64='<u8', F32='<f4', F16='<f2', U8='u1')
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        begin, end = entry['data_offsets']
        kind = np.dtype(types[entry['dtype']])
        values = REALS if kind.kind == 'f' else [
            0, 1, 2, 255, np.iinfo(kind).max
        ]
        with np.errstate(all='ignore'):
            arrays = [np.array([v]).astype(kind).tobytes() for v in values]
        for at in (begin, end - kind.itemsize):
            for value, number in zip(values, arrays):
                yield (name, at, value), join(
                    header, body[:at] + number + body[at + len(number):])


def variants():
    """Valid files: what is optional is there, or is not."""
    packed = build_packed(width=2)
    yield 'whole', to_bytes(packed)
    yield 'bare', to_bytes(PackedFile(packed.program))
    yield 'fp16', dumps(*_encode(packed, 'fp16'))
    for name, preprocessing in preprocessings(packed.preprocessing):
        yield name, to_bytes(replace(packed, preprocessing=preprocessing))


def preprocessings(base):
    """Each way of resizing, with its filters, and none."""
    yield 'no resizing', replace(base, resize=None)
    for library, filters in FILTERS.items():
        for i, mode in enumerate([*EDGE_MODES, *BOX_MODES]):
            size = 12 if mode in EDGE_MODES else (12, 13)
            resize = Resize(
                mode=mode,
                size=size,
                filter=filters[i % len(filters)],
                library=library)
            yield f'{library} {mode}', replace(
                base, resize=resize, crop=None if i % 2 else (9, 9))

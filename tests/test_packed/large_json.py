"""Files of some MB that are nearly all JSON: python large_json.py PATH READER.

Prints how many more bytes than before a process has at its peak while the
reader, 'python' or 'native', reads a file, and whether it takes the file.
"""
import ctypes
import json
import sys

from mmreact.packed import PackedFileError, load_packed, native

SIZE = 4_000_000
PARTS = dict(
    format='mmreact-packed',
    format_version='1',
    program='{"input_shape":[1,1,1],"operations":[{"kind":"abs","name":"a",'
    '"inputs":["input"],"attributes":{}}],"output":"a","features":[]}',
    preprocessing='null',
    classes='[]',
    source='{}')


def repeated(text, separator=','):
    return separator.join([text] * (SIZE // (len(text) + 1)))


def numbered(text):
    """Texts with a number in them, another one each time."""
    count = SIZE // (len(text) + 5)
    return ','.join(text % number for number in range(count))


def program(**changes):
    return json.dumps({**json.loads(PARTS['program']), **changes})


def chain(count):
    return [
        dict(kind='abs', name=f'n{i}', inputs=[f'n{i - 1}' if i else 'input'],
             attributes={}) for i in range(count)
    ]  # yapf: disable


def joined(*inputs):
    return dict(kind='concat', name='a', inputs=list(inputs), attributes={})


def tensors(shape, count):
    return {
        f'{i}': dict(dtype='U8', shape=shape, data_offsets=[0, 0])
        for i in range(count)
    }


#: Kind -> what is in the place of a part of the metadata. Kinds of
#: valid files begin with a small letter.
TEXTS = dict(
    Zeros=('classes', '[' + repeated('0') + ']'),
    Numbers=('classes', '[' + repeated('1.5') + ']'),
    Exponents=('classes', '[' + repeated('1e1') + ']'),
    Integers=('classes', '[' + repeated('1000') + ']'),
    Digits=('classes', '[' + '9' * SIZE + ']'),
    Fraction=('classes', '[0.' + '9' * SIZE + ']'),
    Strings=('classes', '[' + repeated('""') + ']'),
    Names=('classes', '[' + repeated('"ab"') + ']'),
    Escapes=('classes', '["' + repeated(r'\u00e9', '') + '"]'),
    Objects=('classes', '[' + repeated('{}') + ']'),
    Arrays=('classes', '[' + repeated('[]') + ']'),
    Pairs=('classes', '[' + repeated('{"":0}') + ']'),
    Wide=('classes', '[' + repeated('[]') + ',"\U0001f600"]'),
    Deep=('classes', '[' * SIZE),
    Nested=('classes', '[' + repeated('[' * 50 + ']' * 50) + ']'),
    Keys=('preprocessing', '{' + numbered('"%d":0') + '}'),
    Unsorted=('source', '{' + numbered('"%d":0') + '}'),
    Duplicates=('source', '{' + numbered(r'"\u0061%d":""') + ',"a1":""}'),
    source=('source', '{' + numbered('"%d":""') + '}'),
    Attributes=('program',
                PARTS['program'].replace('{}', '{' + numbered('"%d":0') + '}')),  # noqa: E501
    Features=('program', program(features=['b'] * (SIZE // 7))),
    features=('program', program(features=['a'] * (SIZE // 7))),
    inputs=('program',
            program(operations=[joined(*['input'] * (SIZE // 13))])),
    Missing=('program',
             program(operations=[joined(*['input'] * (SIZE // 13), 'b')])),
    operations=('program',
                program(operations=chain(SIZE // 90), output='n0')),
    Same=('program', program(operations=chain(1) * (SIZE // 90), output='n0')),
    Shape=('program', program(input_shape=[1] * (SIZE // 3))),
)  # yapf: disable
HEADERS = dict(
    Tensors=tensors([0], SIZE // 60),
    Scalars=tensors([0, 0, 0], SIZE // 66),
    Dimensions={'a': dict(dtype='U8', shape=[0] * (SIZE // 3),
                          data_offsets=[0, 0])},
    Entries={'a': {str(i): 0 for i in range(SIZE // 10)}},
    Empty={str(i): {} for i in range(SIZE // 12)})  # yapf: disable
KINDS = [*TEXTS, *HEADERS]


def make(kind):
    parts, header = dict(PARTS), HEADERS.get(kind, {})
    if kind in TEXTS:
        key, parts[key] = TEXTS[kind]
    text = json.dumps(
        dict(__metadata__=parts, **header),
        ensure_ascii=False,
        separators=(',', ':')).encode()
    return len(text).to_bytes(8, 'little') + text


def read(path, reader):
    if reader == 'python':
        try:
            load_packed(path)
            return True
        except PackedFileError:
            return False
    lib = native.library()
    lib.mmr_load_file.restype = ctypes.c_void_p
    return bool(lib.mmr_load_file(path.encode(), None, 1))


def status(key):
    with open('/proc/self/status') as f:
        line, = (line for line in f if line.startswith(key))
    return int(line.split()[1]) * 1024


if __name__ == '__main__':
    before = status('VmHWM')
    done = read(*sys.argv[1:])
    print(json.dumps([status('VmHWM') - before, done]))

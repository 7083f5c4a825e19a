"""Packed files that are wrong are refused: which, and why."""
import json
import os
import pickle
import re
import tracemalloc

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from mmreact.packed import PackedFileError, load_packed, save_packed


@pytest.fixture
def file(packed, tmp_path):
    save_packed(tmp_path / 'net.safetensors', packed)
    return tmp_path / 'net.safetensors'


def split(data):
    """Header and tensors of a file."""
    end = 8 + int.from_bytes(data[:8], 'little')
    return json.loads(data[8:end]), data[end:]


def join(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, 'little') + text + body


def with_header(change):
    """Change the header, given as a dict."""

    def edit(data):
        header, body = split(data)
        change(header)
        return join(header, body)

    return edit


def with_metadata(key, change):
    """Change an entry of the metadata, given as parsed JSON."""

    def edit(header):
        metadata = header['__metadata__']
        value = json.loads(metadata[key])
        value = change(value) or value
        metadata[key] = value if isinstance(value, str) else json.dumps(value)

    return with_header(edit)


def with_text(key, value):
    """Set an entry of the metadata; None removes it."""

    def edit(header):
        header['__metadata__'][key] = value
        if value is None:
            del header['__metadata__'][key]

    return with_header(edit)


def with_operation(index, **changes):
    """Change an operation of the program."""

    def edit(program):
        entry = program['operations'][index]
        for key, value in changes.items():
            entry[key] = value

    return with_metadata('program', edit)


def with_attributes(place, **changes):
    """Change attributes of an operation, of this index or name."""

    def edit(program):
        index, = [
            i for i, op in enumerate(program['operations'])
            if place in (i, op['name'])
        ]
        program['operations'][index]['attributes'].update(changes)

    return with_metadata('program', edit)


def with_tensor(name, **changes):
    return with_header(lambda header: header[name].update(changes))


def with_bytes(old, new):
    """Change the text of the header without parsing it."""

    def edit(data):
        size = int.from_bytes(data[:8], 'little')
        text = data[8:8 + size]
        assert text.count(old) >= 1
        return join(text.replace(old, new, 1), data[8 + size:])

    return edit


def with_number(name, value=np.nan, index=0):
    """Put a number into a tensor."""

    def edit(data):
        header, body = split(data)
        begin = header[name]['data_offsets'][0] + 4 * index
        number = np.float32(value).tobytes()
        return join(header, body[:begin] + number + body[begin + 4:])

    return edit


def grown(name):
    """A tensor that the program does not have, at the end."""

    def edit(data):
        header, body = split(data)
        header[name] = dict(
            dtype='U8', shape=[3], data_offsets=[len(body),
                                                 len(body) + 3])
        return join(header, body + b'abc')

    return edit


def moved(header):
    """Two tensors in the same place."""
    header['norm.scale']['data_offsets'] = header['norm.shift']['data_offsets']


def reshape(name, shape):
    return with_tensor(name, shape=shape)


def cycle(program):
    program['operations'][0]['inputs'] = ['norm']


def take_input_away(program):
    del program['operations'][1]['inputs']


DEEP = '[' * 100_000
HUGE = 1 << 63
RESIZE = dict(mode='short', size=12, filter='bilinear', library='pillow')
WRONG_FILES = [
    # Not a whole safetensors file
    (lambda data: b'', 'not a safetensors file, or cut off \\(0 bytes\\)'),
    (lambda data: data[:7], 'cut off \\(7 bytes\\)'),
    (lambda data: data[:8], 'cut off \\(8 bytes\\)'),
    (lambda data: data[:1000], 'its header alone has'),
    (lambda data: data[:-1], 'cut off: .* bytes of tensors'),
    (lambda data: data[:8 + int.from_bytes(data[:8], 'little')], 'cut off: 0'),
    (lambda data: data + b'\0', 'it has 1 bytes behind its tensors'),
    (lambda data: data[8:], 'not a safetensors file'),
    (lambda data: b'\x08\x07' + data, 'not a safetensors file'),
    (lambda data: b'<?xml version="1.0"?>', 'not a safetensors file'),
    (lambda data: HUGE.to_bytes(8, 'little') + data[8:], 'not a safetensors'),
    (lambda data: (1 << 24).to_bytes(8, 'little') + data[8:], 'header alone'),
    (lambda data:
     (16).to_bytes(8, 'little') + data[8:], 'Expecting|Unterminated'),
    # Header
    (with_bytes(b'mmreact-packed', b'mmreact-p\xff\xfeked'), 'utf-8'),
    (with_bytes(b'mmreact-packed', b'mmreact-p\\ud800'), 'lone surrogate'),
    (with_bytes(b'"format":',
                b'"format":"a","format":'), "key 'format' occurs twice"),
    (with_bytes(b'"stem.bias":{', b'"stem.bias":{},"stem.bias":{'),
     "key 'stem.bias' occurs twice"),
    (with_bytes(b'"stem.bias":{"dtype":"F32",',
                b'"stem.bias":{"dtype":"F32","dtype":"F32",'),
     "key 'dtype' occurs twice"),
    (with_bytes(b'"__metadata__"', b'"__metadata__":{},"__metadata__"'),
     "key '__metadata__' occurs twice"),
    (with_bytes(b'"format":"mmreact-packed"', b'"format":NaN'), 'NaN'),
    (with_bytes(b'"format":"mmreact-packed"', b'"format":1'), 'not strings'),
    (with_bytes(b'{"__metadata__"', b'{"a":%b,"__metadata__"' % DEEP.encode()),
     'nested too deeply'),
    (with_header(lambda header: header.update(a=1)), "'a' is none of U64"),
    (with_bytes(b'"norm.scale"', b'"norm\\ud800"'), 'lone surrogate'),
    (lambda data: join(b'{"__metadata__":[]}', b''), 'not strings'),
    (lambda data: join(b'{}', b''), 'not a packed network'),
    (lambda data: join(b'{1}', b''), 'Expecting property name'),
    # Tensors
    (with_tensor('stem.bias', dtype='BF16'), 'none of U64'),
    (with_tensor('stem.bias', dtype=['F32']), 'none of U64'),
    (with_tensor('stem.bias', shape=[-66]), 'invalid value: integer `-66`'),
    (with_tensor('stem.bias', shape=[HUGE, HUGE]), 'overflow'),
    (with_tensor('stem.bias', shape=[1 << 40]), 'shape'),
    (with_tensor('stem.bias', shape=66), 'invalid type'),
    (with_tensor('stem.bias', shape=[66.]), 'invalid type'),
    (with_tensor('stem.bias', data_offsets=[0, 1 << 60]), 'cut off'),
    (with_tensor('stem.bias', data_offsets=[-4, 260]), 'invalid value'),
    (with_tensor('stem.bias', data_offsets=[8, 0]), 'offset'),
    (with_tensor('stem.bias', data_offsets=None), 'invalid type'),
    (with_tensor('stem.bias', data_offsets=[0]), 'invalid length'),
    (with_header(moved), 'offset'),
    (with_header(lambda header: header.pop('norm.scale')), 'offset|covered'),
    (with_tensor('norm.scale', dtype='U8',
                 shape=[264]), "affine 'norm' scale must be float32"),
    (with_tensor('norm.scale', dtype='F16',
                 shape=[132]), "affine 'norm' scale must be float32"),
    (reshape('stem.weight', [66, 27]), "conv2d 'stem' weight must be float32"),
    (reshape('stem.weight', [3, 66, 3, 3]), "conv2d 'stem' needs 3 biases"),
    (reshape('stem.weight', [66, 1, 9, 3]), "conv2d 'stem' is for 1 channels"),
    (reshape('head.fc.weight', [7, 5]), "linear 'head.fc' needs 7 biases"),
    (reshape('body.conv.weight', [66, 3, 6, 1]),
     "binary_conv2d 'body.conv' needs 2 words for 66 channels"),
    (with_number('norm.scale'), "affine 'norm' scale holds NaN"),
    (with_number('body.conv.scale'), "'body.conv' scale holds NaN"),
    (with_number('stem.weight', np.inf, 5), "'stem' weight holds NaN or inf"),
    (with_number('body.sign.threshold'), "sign 'body.sign' threshold is NaN"),
    (with_number('body.conv.weight', 9., 2), "'body.conv' has bits behind"),
    (grown('more.weight'), "no operation has the tensor 'more.weight'"),
    (with_operation(0, name='root'), "the tensor 'root.weight' is missing"),
    # Metadata
    (with_text('format', None), 'a safetensors file, but not a packed'),
    (with_text('format', 'pt'), 'a safetensors file, but not a packed'),
    (with_text('format_version', None), "version '' is not a number"),
    (with_text('format_version', '0'), 'no format version 0'),
    (with_text('format_version', '1.5'), "version '1.5' is not a number"),
    (with_text('format_version', '٣'), 'is not a number'),
    (with_text('format_version', '9' * 5000), 'is not a number'),
    (with_text('format_version', '2'),
     'newer mmreact \\(format version 2; this one reads 1\\).*--upgrade'),
    *((with_text(key, None), f"the metadata has no '{key}'")
      for key in ('program', 'preprocessing', 'classes', 'source')),
    *((with_text(key, '7'), f"the metadata has a wrong '{key}'")
      for key in ('program', 'preprocessing', 'classes', 'source')),
    *((with_text(key, text), message) for key in ('program', 'classes')
      for text, message in [('', 'Expecting value'), (
          '{', 'Expecting'), ('\ufeff[]', 'BOM'), ('[NaN]', 'NaN is not JSON'),
                            ('{"a":1,"a":2}',
                             "'a' occurs twice"), (DEEP, 'nested too deeply'),
                            ('9' * 5000, 'digits|wrong')]),
    (with_metadata('classes', lambda names: names[1:]), '4 names of classes'),
    (with_metadata('classes', lambda names: names[1:] + [5]), 'not 5'),
    (with_metadata('source', lambda source: dict(config=[])), 'not \\[\\]'),
    # Preprocessing
    *((with_metadata('preprocessing',
                     lambda entry, c=change: entry.update(c)), message)
      for change, message in [
          (dict(more=1), "the preprocessing has an unknown 'more'"),
          (dict(std=[0, 1, 1]), 'std of the preprocessing is'),
          (dict(std=[1, 1]), 'std of the preprocessing is'),
          (dict(mean=[0, 0, '0']), 'mean of the preprocessing is'),
          (dict(mean=7), 'mean of the preprocessing is'),
          (dict(crop=[9, -9]), 'crop of the preprocessing is'),
          (dict(crop=[9, 1 << 40]), 'crop of the preprocessing is'),
          (dict(pad=[0, 0, 0]), 'pad of the preprocessing is'),
          (dict(resize=7), 'the resizing is not an object'),
          *((dict(resize=dict(RESIZE, **edit)), message) for edit, message in [
              (dict(more=1), "the resizing has an unknown 'more'"),
              (dict(mode='shortest'), "mode of the resizing is 'shortest'"),
              (dict(mode=[]), 'mode of the resizing is'),
              (dict(size=True), 'size of the resizing is True'),
              (dict(size=0), 'size of the resizing is 0'),
              (dict(size=[9, 9]), 'size of the resizing is'),
              (dict(size=9.), 'size of the resizing is 9.0'),
              (dict(size=10**400), 'size of the resizing is'),
              (dict(mode='fit', size=9), 'size of the resizing is 9'),
              (dict(mode='fit', size=[9]), 'size of the resizing is'),
              (dict(mode='stretch', size=[1 << 20, 9]), 'size of the res'),
              (dict(filter='area'), "filter of the resizing is 'area'"),
              (dict(filter=None), 'filter of the resizing is None'),
              (dict(library='opencv', filter='box'), "filter .* 'box'"),
              (dict(library='cv2'), "library of the resizing is 'cv2'"),
              (dict(library={}), 'library of the resizing is {}'),
          ]),
          (dict(decoder='cv2'), "decoder is 'cv2'"),
          (dict(decoder=[]), 'decoder is'),
          (dict(channels='yuv'), "channels is 'yuv'"),
          (dict(channels=['rgb']), "channels is"),
          (dict(channels={}), "channels is"),
      ]),
    (with_metadata('preprocessing', lambda entry: entry.pop('std') and None),
     "the preprocessing has no 'std'"),
    # Program
    (with_metadata('program', lambda p: p.update(version=1)),
     "the program has an unknown 'version'"),
    (with_metadata('program', lambda p: p.pop('output') and None),
     "the program has no 'output'"),
    (with_metadata('program', lambda p: p.update(features='norm')),
     "the program has a wrong 'features'"),
    *((with_metadata('program', lambda p, v=value: p.update(features=[v])),
       'output .* does not exist') for value in ('none', 1, None)),
    (with_metadata('program', lambda p: p.update(features=[[]])),
     'output .* does not exist'),
    *((with_metadata('program',
                     lambda p, v=value: p.update(input_shape=v)), message)
      for value, message in [([3, 9], 'positive'), (
          [3, -9, 9],
          'positive'), ([3, 9, HUGE], 'positive'), (
              [3, 9, 9.], 'positive'), ([3, [], 9], 'positive'),
                             ([4, 9, 9], "'stem' is for 3 channels"),
                             ([3, 1, 1], "avg_pool2d 'avg' has a window"),
                             ([3, 1 << 24, 1 << 24], "'stem' gives")]),
    (with_metadata('program', lambda p: p.update(operations=[])),
     'no operation has the tensor'),
    (with_metadata('program', lambda p: p['operations'].append(5)),
     'an operation is not an object'),
    (with_metadata('program', cycle), "takes 'norm', which comes later"),
    (with_metadata('program',
                   take_input_away), "an operation has no 'inputs'"),
    (with_operation(1, inputs=['nowhere']), "'nowhere', which does not exist"),
    (with_operation(1, inputs=[['stem']]), 'printable names'),
    (with_operation(1, inputs=[{}]), 'printable names'),
    (with_operation(4, inputs=['norm']), "takes 'norm', which comes later"),
    (with_operation(3, inputs=['stem']), "add 'body.add' takes 2 inputs"),
    (with_operation(8, name='norm'), "Two operations are named 'norm'"),
    (with_operation(8, name='\ud800'), 'lone surrogate'),
    (with_operation(8, name=''), 'printable names'),
    (with_operation(8, name=None), "an operation has a wrong 'name'"),
    (with_operation(8, comment=''), "an operation has an unknown 'comment'"),
    (with_operation(8, kind='relu'),
     "'tanh' is an unknown operation 'relu'. Known operations: rprelu"),
    (with_operation(8, kind=['tanh']), "an operation has a wrong 'kind'"),
    (with_operation(8,
                    attributes=[]), "an operation has a wrong 'attributes'"),
    (with_attributes(8, alpha=1), "tanh 'tanh' has an unknown 'alpha'"),
    (with_operation(0, attributes={}), "conv2d 'stem' has no 'stride'"),
    (with_attributes(0, weight=1), "conv2d 'stem' has an unknown 'weight'"),
    (with_attributes(0, groups=0), "conv2d 'stem' groups is 0"),
    (with_attributes(0, groups=-1), "conv2d 'stem' groups is -1"),
    (with_attributes(0, padding=[1, HUGE]), "conv2d 'stem' padding is"),
    (with_attributes(0, padding=[[1], 1]), "conv2d 'stem' padding is"),
    (with_attributes(0, stride=[1, 10**400]), "conv2d 'stem' stride is"),
    (with_attributes(2, in_channels=128), "'body.conv' has bits|channels"),
    (with_attributes('clamp', low=10**400), "clamp 'clamp' low is 1000"),
    (with_attributes('clamp', high=1e39), "clamp 'clamp' high is 1e\\+39"),
    (with_attributes('pad', rows=[0, 4097]), "pad 'pad' rows is"),
    (with_attributes('group_norm', eps=0), "group_norm 'group_norm' eps is 0"),
    (with_attributes('resize', vertical=2**24), "resize 'resize' has factors"),
    (with_attributes('transposed',
                     output_padding=[2,
                                     0]), "'transposed' has output_padding"),
    (with_attributes('gelu', approximate='tanh'), "'gelu' approximate is"),
]


@pytest.mark.parametrize(
    'edit,message', WRONG_FILES, ids=map(str, range(len(WRONG_FILES))))
def test_wrong_files(file, edit, message):
    """The file and the reason are named; memory is that of the file."""
    data = edit(file.read_bytes())
    assert data != file.read_bytes()
    file.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(PackedFileError, match=message) as error:
            load_packed(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(f'Cannot load {file}: ')
    str(error.value).encode()
    assert peak < 16 * len(data) + 1_000_000


def test_edits_that_change_nothing(file):
    """Guards the table above: its tools alone do not break a file."""
    for edit in (with_header(lambda header: None),
                 with_metadata('program', lambda p: None),
                 with_operation(8, name='tanh'), with_attributes(0, groups=1),
                 with_text('license',
                           'Apache-2.0'), with_number('norm.scale', 1.)):
        data = edit(file.read_bytes())
        file.with_name('b').write_bytes(data)
        load_packed(file.with_name('b'))


def test_other_files(tmp_path):
    """Pickles are not opened, and the tool that packs is named."""
    model = torch.nn.Linear(2, 2)
    torch.save(model.state_dict(), tmp_path / 'new.pth')
    torch.save(
        model.state_dict(),
        tmp_path / 'old.pth',
        _use_new_zipfile_serialization=False)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(dict(a=1)))
    for name in ('new.pth', 'old.pth', 'a.pkl'):
        with pytest.raises(
                PackedFileError,
                match=f'{name}: it is a PyTorch checkpoint or another pickle'
                '.*tools/deployment/pack.py CONFIG CHECKPOINT'):
            load_packed(tmp_path / name)
    save_file(dict(weight=np.zeros(3, np.float32)), tmp_path / 'weights')
    with pytest.raises(PackedFileError, match='tools/deployment/pack.py'):
        load_packed(tmp_path / 'weights')


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for name, message in dict(
            missing='No such file', pipe='it is not a file').items():
        with pytest.raises(
                PackedFileError,
                match=re.escape(f'{tmp_path / name}: {message}')):
            load_packed(tmp_path / name)
    with pytest.raises(PackedFileError, match='it is not a file'):
        load_packed(tmp_path)


@pytest.mark.parametrize('edit,message', [
    (lambda data: b'PK\3\4', 'PyTorch checkpoint'),
    (with_text('format', 'pt'), 'not a packed network'),
    (lambda data: data, 'bytes behind its tensors'),
])
def test_what_is_wrong_and_large_is_not_read(file, edit, message):
    file.write_bytes(edit(file.read_bytes()))
    os.truncate(file, 1 << 40)
    with pytest.raises(PackedFileError, match=message):
        load_packed(file)


def test_messages_have_an_end(file):
    edit = with_operation(8, kind='x' * 10_000)
    file.write_bytes(edit(file.read_bytes()))
    with pytest.raises(PackedFileError, match="unknown operation 'xxx") as e:
        load_packed(file)
    assert len(str(e.value)) < 700 + len(str(file))

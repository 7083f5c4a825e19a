"""``python -m mmreact.packed``: image files in, classes out."""
import csv
import io
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmreact.packed import (PackedFile, Prediction, Preprocessing, Program,
                            ops, save_packed)
from mmreact.packed.__main__ import main
from mmreact.packed.command import is_name
from mmreact.packed.image_files import draw, drawing_paths, find_images
from mmreact.packed.reference import ReferenceBackend


def save_image(path, seed=0, size=(17, 14)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def net(packed, tmp_path):
    """A file whose logits are small, so that all scores count."""
    fc = packed.program.find('head.fc')
    fc.weight *= 0.02
    save_packed(tmp_path / 'net.safetensors', packed)
    return str(tmp_path / 'net.safetensors')


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command; returns (what it exits with, stdout, stderr)."""

    def run(*args):
        argv = ['packed', *map(str, args)]
        if '--backend' not in args:
            argv += ['--backend', 'reference']
        monkeypatch.setattr(sys, 'argv', argv)
        code = main()
        return (code, *capsys.readouterr())

    return run


def expected(packed, pixels):
    """Labels, best first, and scores: from the logits, by the formula."""
    x = packed.preprocessing(pixels)
    logits, = ReferenceBackend(packed.program).run(x, ['head.fc'])['head.fc']
    scores = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum()
    return np.argsort(-scores), scores


def test_text(packed, net, run, tmp_path):
    pixels = save_image(tmp_path / 'image.png')
    labels, scores = expected(packed, pixels)
    code, out, err = run(net, tmp_path / 'image.png', '--topk', 3)
    assert (code, err) == (0, '')
    assert out.splitlines() == [str(tmp_path / 'image.png')] + [
        f'  {scores[i]:.4f}  {packed.classes[i]} ({i})' for i in labels[:3]
    ]
    assert 0.02 < scores.min() < scores.max() < 0.98


def test_json_and_csv_say_the_same(packed, net, run, tmp_path):
    """All classes, as there are fewer than the default of --topk is."""
    files = [tmp_path / name for name in ('a, b.png', 'c.bmp')]
    truth = [expected(packed, save_image(p, i)) for i, p in enumerate(files)]
    _, out, _ = run(net, *files, '--json', '--topk', 9)
    rows = [json.loads(line) for line in out.splitlines()]
    _, out, _ = run(net, *files, '--csv')
    table = list(csv.DictReader(io.StringIO(out)))
    assert len(table) == 10
    for i, (file, (labels, scores)) in enumerate(zip(files, truth)):
        assert rows[i]['file'] == str(file)
        for rank, (label, row, line) in enumerate(
                zip(labels, rows[i]['classes'], table[5 * i:]), 1):
            assert (row['label'], row['name']) == (label,
                                                   packed.classes[label])
            assert row['score'] == pytest.approx(scores[label], rel=1e-6)
            assert line == dict(
                file=str(file),
                rank=str(rank),
                label=str(label),
                name=row['name'],
                score=str(row['score']),
                error='')


def test_folders(net, run, tmp_path):
    """Images in them and below, in order; nothing hidden, nothing else."""
    names = ['b.png', 'a/2.JPG', 'a/1.jpeg', 'c.txt', '.d.png', '.e/1.png']
    for name in names:
        save_image(tmp_path / 'in' / f'{name}.png')
        os.rename(tmp_path / 'in' / f'{name}.png', tmp_path / 'in' / name)
    single = tmp_path / 'in/c.txt'  # a file is taken as it is
    code, out, err = run(net, tmp_path / 'in', single, '--json')
    found = [json.loads(line)['file'] for line in out.splitlines()]
    assert found == [
        str(tmp_path / 'in' / name)
        for name in ('a/1.jpeg', 'a/2.JPG', 'b.png', 'c.txt')
    ]
    assert (code, err) == (0, '')


@pytest.mark.parametrize('form', ['--json', '--csv', '--topk=2'])
def test_unreadable_images_stop_nothing(net, run, tmp_path, form):
    """They are named, the others are classified, the exit code is 1."""
    for name in ('1.png', '3.png'):
        save_image(tmp_path / 'in' / name)
    cut = (tmp_path / 'in/3.png').read_bytes()
    (tmp_path / 'in/2.png').write_bytes(cut[:len(cut) // 2])
    code, out, err = run(net, tmp_path / 'in', tmp_path / 'gone.png', form)
    assert code == 'Error: 2 of 4 images were not classified.'
    first, second = err.splitlines()
    assert first.startswith(f'Error: Cannot read the image {tmp_path}/in/2.p')
    assert second.startswith(f'Error: Cannot read the image {tmp_path}/gone')
    rows = out.splitlines()
    if form == '--json':
        assert [sorted(json.loads(row))
                for row in rows] == [['classes', 'file'], ['error', 'file'],
                                     ['classes', 'file'], ['error', 'file']]
    elif form == '--csv':
        bad = [row for row in csv.DictReader(rows) if row['error']]
        assert [row['file'][-6:] for row in bad] == ['/2.png', 'ne.png']
        assert all(row['label'] == '' for row in bad) and len(rows) == 13
    else:
        assert len(rows) == 6


@pytest.mark.filterwarnings('ignore:overflow encountered')
@pytest.mark.parametrize('form', ['--json', '--csv', '--topk=2'])
@pytest.mark.parametrize('backend', ['reference', 'auto'])
def test_scores_that_are_not_finite_stop_nothing(run, tmp_path, form, backend):
    """Bright images overflow; what is printed is JSON, and names them."""
    ones = np.ones(3, np.float32)
    program = Program((3, 4, 4), [
        ops.AdaptiveAvgPool2d('pool', ('input', )),
        ops.Flatten('flat', ('pool', )),
        ops.Affine('scale', ('flat', ), 2e36 * ones, 0 * ones),
    ], 'scale')
    preprocessing = Preprocessing(mean=(0., ) * 3, std=(1., ) * 3)
    save_packed(tmp_path / 'net', PackedFile(program, preprocessing))
    for i, level in enumerate((0, 255, 7)):
        image = np.full((4, 4, 3), level, np.uint8)
        Image.fromarray(image).save(tmp_path / f'{i}.png')
    files = [tmp_path / f'{i}.png' for i in range(3)]
    code, out, err = run(tmp_path / 'net', *files, form, '--backend', backend)
    assert code == 'Error: 1 of 3 images were not classified.'
    assert err.startswith(f'Error: Cannot classify {files[1]}: ')
    assert 'NaN or infinity' in err and err.count('\n') == 1
    assert 'nan' not in out.replace(err[7:-1], '').lower()
    if form == '--json':
        rows = [
            json.loads(line, parse_constant=pytest.fail)
            for line in out.splitlines()
        ]
        assert ['error' in row for row in rows] == [False, True, False]
    elif form == '--csv':
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [r['file'] for r in rows if r['error']] == [str(files[1])]


def test_one_unreadable_image(net, run, tmp_path):
    code, out, err = run(net, tmp_path / 'gone.png')
    assert (code, out) == (1, '') and err.count('\n') == 1


def test_an_image_that_the_network_cannot_take(packed, net, run, tmp_path):
    """The others go on: without a crop, sizes are the images'."""
    program = Program((3, 4, 4), [
        ops.Flatten('flat', ('input', )),
        ops.Linear('fc', ('flat', ), np.ones(
            (2, 48), np.float32), np.zeros(2, np.float32))
    ], 'fc')
    made = type(packed.preprocessing)(mean=(0., ) * 3, std=(1., ) * 3)
    save_packed(net, PackedFile(program, made))
    save_image(tmp_path / 'small.png', size=(3, 4))
    save_image(tmp_path / 'right.png', size=(4, 4))
    code, out, err = run(net, tmp_path / 'small.png', tmp_path / 'right.png')
    assert code.startswith('Error: 1 of 2')
    assert f'Cannot classify {tmp_path}/small.png: ' in err
    assert 'cannot take 4x3' in err
    assert out.splitlines()[1:] == ['  0.5000  0', '  0.5000  1']


def broken(name, net, packed, tmp_path):
    """Arguments that cannot work."""
    save_image(tmp_path / 'image.png')
    image = tmp_path / 'image.png'
    (tmp_path / 'empty').mkdir()
    if name == 'no preprocessing':
        packed.preprocessing = None
        save_packed(net, packed)
    elif name == 'no classes':
        packed.program.output, packed.classes = 'stem', ()
        save_packed(net, packed)
    return dict(
        zip([
            'no preprocessing', 'no classes', 'no file', 'a checkpoint',
            'empty folder', 'topk', 'threads'
        ], [(net, image), (net, image), (tmp_path / 'gone', image),
            (image, image), (net, tmp_path / 'empty'),
            (net, image, '--topk', 0), (net, image, '--threads', 0)]))[name]


@pytest.mark.parametrize('name,words', [
    ('no preprocessing', 'no preprocessing and so cannot take images'),
    ('no classes', 'not (N, num_classes)'),
    ('no file', 'No such file'),
    ('a checkpoint', 'not a safetensors file'),
    ('empty folder', 'There is no image in the folder'),
    ('topk', '--topk takes a positive number, not 0'),
    ('threads', 'threads is 0'),
])
def test_wrong_arguments(net, packed, run, tmp_path, name, words):
    code, out, err = run(*broken(name, net, packed, tmp_path))
    assert code.startswith('Error: ') and words in code
    assert (out, err) == ('', '')


def test_text_of_strangers_is_escaped(packed, net, run, tmp_path):
    packed.classes = ('\x1b[2J', 'b', 'c', 'd', 'e')
    save_packed(net, packed)
    name = tmp_path / 'a\rb.png'
    save_image(name)
    _, out, _ = run(net, name)
    assert out.startswith(repr(str(name))) and "  '\\x1b[2J' (0)\n" in out
    _, _, err = run(net, tmp_path / '\x1b.png')
    assert '\x1b' not in err


@pytest.mark.parametrize('model,name', [
    ('reactnet-a_8xb32_in1k', True),
    ('net.safetensors', False),
    ('epoch_128.pth', False),
    ('folder/net', False),
    ('here', False),
])
def test_names_and_files(tmp_path, monkeypatch, model, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').touch()
    assert is_name(model) is name


def test_pictures(packed, net, run, tmp_path):
    """Drawn where the folder has the images; the images stay as they are."""
    save_image(tmp_path / 'in/a/1.jpg', size=(300, 200))
    save_image(tmp_path / 'in/2.bmp', size=(20, 15))
    before = [p.read_bytes() for p in sorted(tmp_path.glob('in/**/*.*'))]
    code, *_ = run(net, tmp_path / 'in', '--out-dir', tmp_path / 'out')
    assert code == 0
    after = [p.read_bytes() for p in sorted(tmp_path.glob('in/**/*.*'))]
    assert before == after
    drawn = sorted(tmp_path.glob('out/**/*.*'))
    assert drawn == [tmp_path / 'out/2.png', tmp_path / 'out/a/1.png']
    with Image.open(drawn[0]) as small, Image.open(drawn[1]) as large:
        assert small.size == (18 * 20, 18 * 15)
        assert large.size == (600, 400)


def test_drawing_covers_a_corner_only():
    image = np.full((300, 400, 3), 100, np.uint8)
    picture = np.array(draw(image, Prediction((7, ), (0.5, ), ('x', ))))
    changed = np.argwhere((picture != 100).any(2))
    assert picture.max() > 250  # text
    assert 0 < len(changed) and (changed.max(0) < (60, 120)).all()
    assert changed.min() < 12
    other = np.array(draw(image, Prediction((7, ), (0.4, ), ('x', ))))
    assert (picture != other).any()


@pytest.mark.parametrize('size,expected_size', [
    ((1, 1), (256, 256)),
    ((28, 28), (280, 280)),
    ((1, 5000), (1, 5000)),
    ((100, 1500), (100, 1500)),
    ((300, 256), (300, 256)),
])
def test_small_pictures_are_enlarged(size, expected_size):
    long_name = Prediction((0, 1), (0.5, 0.5), ('x' * 500, ''))
    image = np.zeros((*size, 3), np.uint8)
    assert draw(image, long_name).size[::-1] == expected_size


def test_pictures_that_cannot_be(tmp_path):
    for name in ('a.jpg', 'a.bmp', 'b.png'):
        save_image(tmp_path / name)
    images = find_images([tmp_path / 'a.jpg', tmp_path / 'a.bmp'])
    with pytest.raises(ValueError, match='a.jpg and .*a.bmp would both be'):
        drawing_paths(images, tmp_path / 'out')
    with pytest.raises(ValueError, match='b.png is one of the images'):
        drawing_paths(find_images([tmp_path / 'b.png']), tmp_path)


def in_terminal(command, **kwargs):
    """Run a command with a terminal as its standard error."""
    terminal, end = pty.openpty()
    kwargs = {key: kwargs.get(key, end) for key in ('stdout', 'stderr')}
    process = subprocess.Popen(command, **kwargs)
    os.close(end)
    shown = b''
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # the end of a terminal
            break
        shown += data
        if not data:
            break
    out = process.stdout.read() if process.stdout else b''
    assert process.wait(60) == 0
    return shown.decode(), out.decode()


def test_progress_bar(net, tmp_path):
    """On a terminal; standard output stays what it is."""
    for i in range(3):
        save_image(tmp_path / f'in/{i}.png')
    command = [
        sys.executable, '-m', 'mmreact.packed', net,
        str(tmp_path / 'in'), '--backend', 'reference', '--json'
    ]
    shown, out = in_terminal(command, stdout=subprocess.PIPE)
    assert '3/3' in shown and '"file"' not in shown
    assert len([json.loads(line) for line in out.splitlines()]) == 3
    shown, _ = in_terminal(command)
    assert '3/3' in shown and '"file"' in shown
    command[4] = str(tmp_path / 'in/0.png')
    shown, _ = in_terminal(command)
    assert '1/1' not in shown and '"file"' in shown

"""tools/demo.py as a user runs it, on the real Fashion-MNIST."""
import re
from pathlib import Path

import pytest
from PIL import Image

from mmreact.datasets.fashion_mnist import prepare_fashion_mnist

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[2] / 'data' / 'fashion_mnist'
NAMES = ('teacher', 'stage 1', 'stage 2')
COLUMNS = [
    'top-1 %', 'top-5 %', 'BOPs', 'FLOPs', 'OPs', 'parameters', '1-bit',
    'seconds'
]


def count_student():
    """Multiplications and weights, binary and real, layer by layer."""
    side, bops, bits = 16, 0, 0
    flops = 16 * 16 * 16 * 9 + 64 * 10  # stem 1->16 at stride 2, classifier
    other = 16 * 9 + 2 * 16 + 65 * 10
    for cin, cout, stride in ((16, 32, 2), (32, 64, 2), (64, 64, 1)):
        side //= stride
        weights = 9 * cin * cin + cin * cout  # 3x3, then one 1x1 or two
        bops += side * side * weights
        bits += weights
        # Each at two places: BN (2 values), RPReLU (3); RSign before both.
        other += (2 + 3) * (cin + cout) + 2 * cin
    return bops, flops, bits, other


def table(out):
    """The cells of the printed table by row and column."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if 'top-1 %' in line)
    assert re.split(r' {2,}', lines[start].strip()) == COLUMNS
    rows = {}
    for name, line in zip(NAMES, lines[start + 1:]):
        assert line.startswith(name)
        cells = line.removeprefix(name).split()
        rows[name] = dict(
            zip(COLUMNS, (float(cell.replace(',', '')) for cell in cells)))
        assert len(cells) == len(COLUMNS)
    assert lines[start + 4].startswith('OPs = BOPs / 64 + FLOPs')
    return rows


@pytest.fixture(scope='module')
def demo(tmp_path_factory, run_tool):
    """``run()`` and the work directory of all its calls."""
    prepare_fashion_mnist(DATA)
    work_dir = tmp_path_factory.mktemp('demo')
    args = '--quick', '--work-dir', work_dir, '--data-root', DATA

    def run():
        return run_tool('demo.py', *args).stdout

    return run, work_dir


@pytest.fixture(scope='module')
def first(demo):
    run, _ = demo
    return run()


def test_operations(first):
    """The table's counts are those of a calculation by hand."""
    bops, flops, bits, other = count_student()
    assert (bops, flops, bits) == (1_015_808, 37_504, 55_040)
    assert bits + other == 57_450
    rows = table(first)
    counts = {
        name: [row[column] for column in COLUMNS[2:7]]
        for name, row in rows.items()
    }
    assert counts['stage 2'] == [bops, flops, 53_376, bits + other, bits]
    assert 53_376 == bops / 64 + flops
    assert counts['stage 1'] == [0, bops + flops, bops + flops, 57_450, 0]
    teacher = counts['teacher']
    assert teacher[0] == teacher[4] == 0 and teacher[1] == teacher[2]


def test_runs_and_accuracies(first):
    """Each run trains, and is tested on all 10,000 images."""
    assert [name for name in (1, 2, 3) if f'[{name}/3] ' in first] == [1, 2, 3]
    assert first.count(': training (') == 3
    assert '10,000 test images (a quick run, not a result)' in first
    validated = re.findall(
        r'Epoch\(val\).*top1: ([\d.]+) +accuracy/top5: '
        r'([\d.]+)', first)
    assert len(validated) == 3
    for (top1, top5), row in zip(validated, table(first).values()):
        assert row['top-1 %'] == float(top1) <= row['top-5 %'] == float(top5)
        # Ten equal classes: five guesses are right half the time.
        assert 0 < row['top-1 %'] <= 100 and 20 < row['top-5 %'] <= 100
        assert row['seconds'] >= 0
    seen = re.findall(r'Epoch\(train\) \[1\]\[10/10\].*loss: ([\d.]+)', first)
    assert len(seen) == 3 and all(0 < float(loss) < 10 for loss in seen)


def test_commands_are_shown(first):
    commands = re.findall(r'^\$ python tools/(\S+)', first, re.MULTILINE)
    assert commands == [
        'dataset_converters/prepare_fashion_mnist.py', 'train.py',
        *['test.py'] * 3, 'deployment/pack.py', 'test.py'
    ]


def test_packed_file(first, demo):
    """Verified, tested on all images, and compared with the float network."""
    _, work_dir = demo
    assert '32 of 32 predictions are equal' in first
    assert '\nVerified: ' in first
    lines = first.splitlines()
    start = next(i for i, line in enumerate(lines) if 'images/s' in line)
    assert lines[start].split() == [
        'stage', '2', 'bytes', 'top-1', '%', 'images/s'
    ]
    names, numbers = zip(
        *((line[:20].strip(),
           [float(x.replace(',', '')) for x in line[20:].split()])
          for line in lines[start + 1:start + 3]))
    assert names[0] == 'PyTorch' and names[1].startswith('packed, ')
    (size, top1, speed), (packed_size, packed_top1, packed_speed) = numbers
    assert packed_size == (work_dir / 'packed.safetensors').stat().st_size
    assert size > 4 * 57_450 and packed_size < size / 5
    # At most 2 of 10,000 images are classified otherwise.
    assert top1 == table(first)['stage 2']['top-1 %']
    assert abs(top1 - packed_top1) < 0.021
    assert speed > 0 and packed_speed > 0


def test_curves(first, demo):
    _, work_dir = demo
    assert str(work_dir / 'curves.png') in first
    with Image.open(work_dir / 'curves.png') as image:
        image.load()
        assert image.format == 'PNG'
        colours = image.convert('RGB').getcolors(image.width * image.height)
    # Three lines and more on white; not an empty sheet.
    assert len(colours) > 50


def test_second_call_trains_nothing(first, demo):
    run, work_dir = demo
    files = sorted(work_dir.rglob('epoch_*.pth'))
    assert len(files) == 3
    before = [path.stat().st_mtime_ns for path in files]
    second = run()
    assert ': training' not in second and 'Epoch(' not in second
    assert second.count(': complete (') == 3
    assert [path.stat().st_mtime_ns for path in files] == before
    assert table(second) == table(first)

"""tools/analysis_tools/get_ops.py against counts by hand."""
import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = 'analysis_tools/get_ops.py'
CONFIG = 'configs/reactnet/reactnet-a_8xb32_in1k.py'
#: Width and stride of the 13 blocks, from the paper's table.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
          *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def layers_by_hand(height, width):
    """``(output shape, MACs, weights and bias, is binary)`` of each layer."""
    h, w, channels = height // 2, width // 2, 32
    layers = [((32, h, w), 27 * 32 * h * w, 27 * 32, False)]
    for out, stride in BLOCKS:
        h, w = h // stride, w // stride
        ones = out // channels  # 1x1 convolutions
        for weights in [9 * channels**2] + ones * [channels**2]:
            layers.append(((channels, h, w), weights * h * w, weights, True))
        channels = out
    layers.append(((1000, ), 1024 * 1000, 1025 * 1000, False))
    return layers


@pytest.fixture
def get_json(monkeypatch, capsys):
    """Run the tool in this process; return what it prints."""

    def run(*args, config=CONFIG):
        tool = str(ROOT / 'tools' / TOOL)
        argv = [tool, str(ROOT / config), '--json', *map(str, args)]
        monkeypatch.setattr(sys, 'argv', argv)
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(tool, run_name='__main__')
        assert not stop.value.code
        line, = capsys.readouterr().out.splitlines()
        return json.loads(line)

    return run


def test_table(run_tool):
    """224x224: the published totals, and every row."""
    out = run_tool(TOOL, CONFIG).stdout.splitlines()
    assert out[0] == f'{CONFIG}, input (3, 224, 224)'
    assert out[1].split() == [
        'layer', 'type', 'output', 'BOPs', 'FLOPs', 'parameters', '1-bit'
    ]
    totals = dict(line.rsplit(None, 1) for line in out[-6:])
    assert {
        k.strip(): v
        for k, v in totals.items()
    } == {
        'BOPs': '4,816,896,000',
        'FLOPs': '11,862,016',
        'OPs (BOPs/64 + FLOPs)': '87,126,016',
        'parameters': '29,343,592',
        'of which 1-bit': '28,253,184',
        'packed bytes': '7,894,688'
    }
    rows = [line.split() for line in out[2:-6]]
    layers = layers_by_hand(224, 224)
    assert len(rows) == len(layers)
    for row, (shape, macs, params, binary) in zip(rows, layers):
        assert row[2] == 'x'.join(map(str, shape))
        counts = [int(cell.replace(',', '')) for cell in row[3:]]
        assert counts == ([macs, 0, params, params]
                          if binary else [0, macs, params, 0])


def test_json_at_another_shape(get_json):
    """Height 192 and width 256 are not interchanged."""
    report = get_json('--shape', 192, 256)
    layers = layers_by_hand(192, 256)
    bops, flops = (
        sum(macs for _, macs, _, binary in layers if binary is kind)
        for kind in (True, False))
    assert report['input_shape'] == [3, 192, 256]
    assert (report['bops'], report['flops']) == (bops, flops)
    assert report['ops'] == bops / 64 + flops
    # A network does not grow with its input.
    assert (report['params'], report['one_bit_params'],
            report['packed_bytes']) == (29_343_592, 28_253_184, 7_894_688)
    rows = [(tuple(layer['output_shape']), layer['macs'], layer['params'],
             layer['binary']) for layer in report['layers']]
    assert rows == layers


def test_stage_1_and_one_number_for_a_square(get_json):
    """Real weights have no BOPs."""
    report = get_json('--shape', 64, '--cfg-options',
                      'model.backbone.weight_binarizer=real')
    assert report['input_shape'] == [3, 64, 64]
    assert (report['bops'], report['one_bit_params']) == (0, 0)
    assert report['ops'] == report['flops'] == sum(
        macs for _, macs, *_ in layers_by_hand(64, 64))


@pytest.mark.parametrize('shape', [[0], [224, -1], [1, 2, 3], ['big'], []])
def test_bad_shapes(run_tool, shape):
    result = run_tool(TOOL, CONFIG, '--shape', *shape, check=False)
    assert result.returncode == 2
    assert '--shape' in result.stderr and not result.stdout


# Config -> the images that it tests on, and BOPs.
SIZES = {
    'reactnet/reactnet-tiny_1xb128_fashion-mnist.py': ((1, 32, 32), 15446016),
    'reactnet/reactnet-small_1xb128_fashion-mnist.py': ((1, 32, 32), 1015808),
    'bnn/bnn-vgg-small_1xb256_cifar10.py': ((3, 32, 32), None),
    'bnext/bnext-tiny_8xb64_in1k.py': ((3, 224, 224), 4816896000),
    'mobilenet_v1/mobilenet-v1-025_1xb128_fashion-mnist.py': ((1, 32, 32), 0),
    'binarized/binarized-resnet18-w16_1xb128_fashion-mnist.py':
    ((1, 32, 32), None),
}


@pytest.mark.parametrize('config', SIZES)
def test_size_of_the_test_images(get_json, config):
    """Without reading the data set, which is not there."""
    report = get_json(config=f'configs/{config}')
    shape, bops = SIZES[config]
    assert tuple(report['input_shape']) == shape
    assert bops is None or report['bops'] == bops


def test_other_pipelines(get_json, tmp_path, monkeypatch):
    """Another crop; a size that nothing says; nothing that is tested."""
    base = ROOT / CONFIG

    def write(text):
        path = tmp_path / 'config.py'
        path.write_text(f'_base_ = {str(base)!r}\n{text}\n')
        return path

    crop = [
        dict(type='LoadImage'),
        dict(type='ResizeEdge', scale=96, backend='pillow'),
        dict(type='CenterCrop', crop_size=64),
        dict(type='PackInputs')
    ]
    path = write(f'test_dataloader = dict(dataset=dict(pipeline={crop}))')
    assert get_json(config=path)['input_shape'] == [3, 64, 64]
    # A transform that packed files do not know has no say here.
    crop.insert(0, dict(type='Albumentations', transforms=[]))
    path = write(f'test_dataloader = dict(dataset=dict(pipeline={crop}))')
    assert get_json(config=path)['input_shape'] == [3, 64, 64]
    unknown = [dict(type='LoadImage'), dict(type='PackInputs')]
    for text in (f'test_dataloader = dict(dataset=dict(pipeline={unknown}))',
                 'test_dataloader = dict(_delete_=True)',
                 'test_dataloader = None'):
        with pytest.raises(SystemExit) as stop:
            monkeypatch.setattr(sys, 'argv', [TOOL, str(write(text))])
            runpy.run_path(str(ROOT / 'tools' / TOOL), run_name='__main__')
        assert '--shape' in str(stop.value)
        assert get_json('--shape', 64, config=write(text))['ops']

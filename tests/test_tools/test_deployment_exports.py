"""tools/deployment/export_onnx.py and export_openvino.py."""
import json
import os

import numpy as np
import onnx
import onnxruntime
import pytest

from mmreact.packed import (INPUT, PackedFile, Preprocessing, Program, ops,
                            save_packed)
from mmreact.packed.bits import pack
from mmreact.packed.openvino import shared_core
from mmreact.packed.reference import ReferenceBackend


@pytest.fixture(scope='module')
def packed():
    rng = np.random.default_rng(0)

    def f32(*shape):
        return rng.normal(size=shape).astype(np.float32)

    program = Program((3, 9, 9), [
        ops.Conv2d('stem', (INPUT, ), f32(16, 3, 3, 3), f32(16)),
        ops.Sign('sign', ('stem', ), f32(16), np.zeros(16, np.uint8)),
        ops.BinaryConv2d('conv', ('sign', ), pack(f32(16, 3, 3, 16)), f32(16),
                         f32(16), 16),
        ops.AdaptiveAvgPool2d('pool', ('conv', )),
        ops.Flatten('flat', ('pool', )),
        ops.Linear('fc', ('flat', ), f32(2, 16), f32(2)),
    ], 'fc')
    return PackedFile(program, Preprocessing(mean=(0., ) * 3, std=(1., ) * 3),
                      ('cat', 'dög'), dict(config='configs/a.py'))


@pytest.fixture(scope='module')
def path(packed, tmp_path_factory):
    path = tmp_path_factory.mktemp('packed') / 'net.safetensors'
    save_packed(path, packed)
    return path


def run_onnx(out, x):
    session = onnxruntime.InferenceSession(out)
    metadata = session.get_modelmeta().custom_metadata_map
    return session.run(None, {INPUT: x})[0], metadata


def run_openvino(out, x):
    model = shared_core().read_model(out)
    metadata = {
        key: model.get_rt_info(['mmreact', key]).astype(str)
        for key in ('classes', 'preprocessing', 'source')
    }
    config = dict(INFERENCE_PRECISION_HINT='f32')
    return shared_core().compile_model(model, 'CPU', config)([x])[0], metadata


@pytest.mark.parametrize('tool,name,args,run', [
    ('export_onnx.py', 'net.onnx', [], run_onnx),
    ('export_openvino.py', 'net.xml', ['--batch', 2], run_openvino),
])
def test_export(tool, name, args, run, packed, path, run_tool, tmp_path):
    out = tmp_path / name
    text = run_tool(f'deployment/{tool}', path, '-o', out, *args).stdout
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert text.startswith(str(out)) and f'{size:,} bytes' in text
    x = np.random.default_rng(1).normal(size=(2, 3, 9, 9)).astype(np.float32)
    y, metadata = run(out, x)
    expected = ReferenceBackend(packed.program).run(x, ['fc'])['fc']
    np.testing.assert_allclose(y, expected, 1e-5, 1e-5)
    assert json.loads(metadata['classes']) == ['cat', 'dög']
    assert json.loads(metadata['preprocessing'])['std'] == [1, 1, 1]
    assert json.loads(metadata['source']) == dict(config='configs/a.py')


def test_onnx_says_its_opset(path, run_tool, tmp_path):
    out = tmp_path / 'net.onnx'
    text = run_tool('deployment/export_onnx.py', path, '-o', out).stdout
    opset = onnx.load(out).opset_import[0].version
    assert f'opset {opset}\n' in text


@pytest.mark.parametrize('tool,out,message', [
    ('export_onnx.py', 'a.onnx', 'Error: Cannot load'),
    ('export_openvino.py', 'a.xml', 'Error: Cannot load'),
    ('export_openvino.py', 'a.onnx', 'Error: {out} does not end with .xml'),
])
def test_errors(tool, out, message, path, run_tool, tmp_path):
    source = tmp_path / 'none' if 'Cannot load' in message else path
    out = tmp_path / out
    result = run_tool(f'deployment/{tool}', source, '-o', out, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(message.format(out=out))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('tool,package,out', [
    ('export_onnx.py', 'onnx', 'net.onnx'),
    ('export_openvino.py', 'openvino', 'net.xml'),
])
def test_missing_package(tool, package, out, path, run_tool, tmp_path):
    module = tmp_path / 'modules' / f'{package}.py'
    module.parent.mkdir()
    module.write_text(f'raise ImportError("No module named {package}")')
    places = [str(module.parent), os.environ.get('PYTHONPATH', '')]
    result = run_tool(
        f'deployment/{tool}',
        path,
        '-o',
        tmp_path / out,
        check=False,
        PYTHONPATH=os.pathsep.join(filter(None, places)))
    assert result.returncode == 1
    assert result.stderr == (f'Error: No module named {package}. Get it: pip '
                             f'install "mmreact[{package}]"\n')

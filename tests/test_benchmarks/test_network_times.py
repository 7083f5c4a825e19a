"""benchmarks/networks.py from end to end, on small networks."""
import json
import os
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from benchmarks import engines, int8, networks
from benchmarks.models import Network
from mmreact.layers import BinaryConv2d
from mmreact.packed.openvino import shared_core

SHAPE = (1, 3, 32, 32)


def run(tmp_path, *args):
    path = tmp_path / 'results.json'
    error = networks.main(
        ['--size', '32', '--rounds', '2', '--json',
         str(path), *args])
    assert error is None
    return json.loads(path.read_text())


def test_every_engine(small, tmp_path):
    """All but NNCF, which needs a package of its own."""
    names = [
        f'small/{name}'
        for name in ('native', 'native:portable', 'openvino-binary',
                     'onnxruntime-fp32', 'openvino-fp32', 'torch',
                     'torch-constant')
    ]
    names += ['real/onnxruntime-int8', 'real/openvino-int8-qdq']
    # It takes bf16 if the processor has it, which oneDNN may then refuse.
    if 'ONEDNN_MAX_CPU_ISA' not in os.environ:
        names.append('real/openvino-default')
    found = run(tmp_path, '--contenders', *names, '--busy')
    assert [f'{r["network"]}/{r["engine"]}' for r in found['results']] == names
    for row in found['results']:
        assert row['calls'] >= 2 and 0 < row['min_ms'] <= row['median_ms']
        # 7 bits are coarse in so small a network.
        assert row['correlation'] > (0.88 if row['weight_bits'] else 0.95)
        assert row['weight_bits'] in ((7, 8) if 'int8' in row['engine'] else
                                      (None, ))
    layers = {row['engine']: row['layers'] for row in found['results']}
    assert layers['onnxruntime-int8'] == dict(QLinearConv=27, QGemm=1)
    assert sum(layers['openvino-int8-qdq'].values()) == 28
    assert found['command'].startswith(
        'python -m benchmarks.networks --size 32 --rounds 2 --contenders ')
    assert found['busy'] and found['input_shape'] == list(SHAPE)
    assert found['networks']['small']['top1'] == 12.5
    assert found['networks']['real']['top1'] == 50.6
    assert found['networks']['small']['bops'] > 0
    assert {'torch', 'openvino'} <= set(found['machine']['versions'])


def test_threads_are_contenders(small, tmp_path):
    found = run(tmp_path, '--contenders', 'small/native', '--threads', '1',
                '2', '--batch', '2')
    assert [row['threads'] for row in found['results']] == [1, 2]
    assert found['batch'] == 2


def test_weights_binarized_once(small):
    """The same network, whose layers binarize nothing any more."""
    network = Network('small', SHAPE[1:])
    x = torch.from_numpy(network.images(2))
    with torch.no_grad():
        assert torch.equal(network.constant_model(x), network.model(x))
    for model, binarizer in ((network.model, 'scaled_sign'),
                             (network.constant_model, 'real')):
        assert {
            m.weight_binarizer
            for m in model.modules() if isinstance(m, BinaryConv2d)
        } == {binarizer}


def test_same_weights_each_time(small):
    x = Network('small', SHAPE[1:]).images(1)
    one, two = (
        engines.create('native', Network('small', SHAPE[1:]), SHAPE, 1).run(x)
        for _ in range(2))
    assert np.array_equal(one, two) and one.std() > 0.01


def test_a_real_rival_is_found_out(small):
    data = Network('real', SHAPE[1:]).onnx
    with pytest.raises(int8.FellBackError, match='ONNX Runtime runs 28 of 28'):
        int8.check_onnxruntime(data)
    model = shared_core().read_model(data)
    compiled = shared_core().compile_model(model, 'CPU')
    with pytest.raises(int8.FellBackError, match='OpenVINO runs 28 of 28'):
        int8.check_openvino(compiled)


def test_another_network_is_found_out():
    """Also where a network has one engine only, or all are wrong alike."""
    right, wrong = np.random.default_rng(0).normal(size=(2, 1000))

    class Truth:

        def run(self, x):
            return right

    def find(**outputs):
        made = {
            ('net', name, 1): engines.Engine(lambda x, y=y: y)
            for name, y in outputs.items()
        }
        return networks.correlations(made, dict(net=Truth()), dict(net=None))

    assert find(a=right) == {('net', 'a', 1): pytest.approx(1)}
    for outputs in (dict(b=wrong), dict(a=right, b=wrong)):
        with pytest.raises(RuntimeError, match='net/b/1 threads does not'):
            find(**outputs)


def test_missing_package(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'nncf', None)
    names = ['--contenders', 'small/native', 'real/openvino-int8']
    error = networks.main(['--size', '32', *names])
    assert 'nncf' in error and '--skip-missing' in error
    found = run(tmp_path, *names, '--skip-missing')
    assert [row['engine'] for row in found['results']] == ['native']
    skipped, = found['skipped']
    assert skipped['contender'] == 'real/openvino-int8'
    assert 'nncf' in skipped['reason']


@pytest.mark.parametrize('args,message', [
    (['--rounds', '0'], '--rounds: 0 is not a positive number'),
    (['--threads', '1', 'x'], '--threads: x is not a positive number'),
    (['--contenders', 'ReActNet-Z/native'], 'no contender ReActNet-Z/native'),
    (['--contenders', 'ReActNet-A/tensorrt'], 'engines: native, '),
])
def test_wrong_arguments(args, message, capsys):
    with pytest.raises(SystemExit):
        networks.main(args)
    assert message in capsys.readouterr().err


def test_groups_name_what_there_is():
    for group in networks.GROUPS.values():
        for network, names in group.items():
            assert network in networks.NETWORKS
            for name in names:
                assert name.split(':')[0] in engines.ENGINES


@pytest.mark.parametrize('bits,largest', [(8, 127), (7, 64)])
def test_quantised_weights(small, bits, largest):
    """A scale for each output channel, zero points of 0, and the range."""
    import onnx
    model = onnx.load_from_string(
        int8.quantise_qdq(Network('real', SHAPE[1:]), bits))
    arrays = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in model.graph.initializer
    }
    weights = [
        arrays[n.input[0]].shape[0] == arrays[n.input[1]].size
        and not arrays[n.input[2]].any() for n in model.graph.node
        if n.op_type == 'DequantizeLinear' and n.input[0] in arrays
        and arrays[n.input[0]].ndim == 4
    ]
    assert len(weights) == 27 and all(weights)
    assert max(
        np.abs(a.astype(int)).max() for a in arrays.values()
        if a.dtype == np.int8) == largest
    assert onnxruntime.InferenceSession(model.SerializeToString())

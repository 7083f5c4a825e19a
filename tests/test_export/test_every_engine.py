"""Every network of the configs in OpenVINO and in ONNX Runtime."""
import numpy as np
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from test_every_config import (ABLATIONS, BACKBONES, CONFIGS, LAST, SMALL,
                               input_shape, scope)

from mmreact.export import lower, verify
from mmreact.packed import INPUT
from mmreact.packed.onnx import build_onnx
from mmreact.packed.openvino import OpenVINOBackend
from mmreact.packed.reference import ReferenceBackend

__all__ = ['scope']  # a fixture


class ONNXBackend:
    """A program's ONNX model as a backend."""
    name = 'onnxruntime'

    def __init__(self, program, threads):
        self.program = program
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads

    def run(self, x, names):
        names = list(names)
        model = build_onnx(self.program, names).SerializeToString()
        session = onnxruntime.InferenceSession(model, self.options,
                                               ['CPUExecutionProvider'])
        values = self.program.infer(x.shape[1:], len(x))
        return {
            name: y.astype(np.int8) if values[name].kind == 'sign' else y
            for name, y in zip(names, session.run(names, {INPUT: x}))
        }


def check(model, shape, backend, images, number=2):
    """Each layer from equal inputs; then the output alone.

    With no other result OpenVINO and ONNX Runtime merge more. A few signs may
    differ then, by rounding.
    """
    program, x = lower(model, shape), images(number, *shape)
    engine = backend(program, 1)
    report = verify(model, program, x, engine)
    assert report.ok, report.table()
    y, = engine.run(x.numpy(), [program.output]).values()
    expected, = ReferenceBackend(program).run(x.numpy(),
                                              [program.output]).values()
    assert np.corrcoef(y.ravel(), expected.ravel())[0, 1] > 0.98


both = pytest.mark.parametrize('backend', [
    OpenVINOBackend,
    pytest.param(ONNXBackend, marks=pytest.mark.slow),
])


@pytest.mark.slow
@pytest.mark.parametrize('name', [*SMALL, *LAST])
@both
def test_config(name, backend, randomize, images):
    cfg = Config.fromfile(CONFIGS[name])
    torch.manual_seed(0)
    model, shape = randomize(MODELS.build(cfg.model)), input_shape(cfg)
    check(model, shape, backend, images, 1 if shape[1] > 64 else 2)


@pytest.mark.slow
@pytest.mark.parametrize('options', ABLATIONS)
@both
def test_ablations(options, backend, randomize, images):
    cfg = Config.fromfile(CONFIGS['reactnet-small_1xb128_fashion-mnist']).model
    cfg.backbone.update(options)
    if 'arch' in options:
        cfg.head.in_channels = options['arch'][-1][0]
    if 'out_indices' in options:
        cfg.head.in_channels = 64
    torch.manual_seed(0)
    check(randomize(MODELS.build(cfg)), (1, 17, 21), backend, images)


@pytest.mark.parametrize('options', BACKBONES, ids=lambda o: o['type'])
@both
def test_backbones(options, backend, randomize, images):
    torch.manual_seed(0)
    model = MODELS.build(dict(options, out_indices=(0, -1)))
    check(randomize(model), (3, 33, 41), backend, images)

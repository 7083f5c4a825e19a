"""Every network of the configs in the native backend."""
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from test_every_config import (ABLATIONS, BACKBONES, CONFIGS, LAST, ROOT,
                               SMALL, input_shape)

from mmreact.export import lower
from mmreact.packed import native
from mmreact.packed.reference import run_operation

try:
    KERNELS = native.kernels()
except ImportError:
    pytest.skip('the compiled library was not built', allow_module_level=True)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def check(model, shape, images, number=2):
    program = lower(model, shape)
    check_program(program, images(number, *shape).numpy())


def check_program(program, x):
    """Each operation on the inputs it got: signs exactly, real values within
    the rounding of sums; then all joined, which must change no bit.
    """
    backend = native.NativeBackend(program, 2)
    names = [op.name for op in program.operations]
    results = backend.run(x, names)
    for op in program.operations:
        inputs = [results.get(name, x) for name in op.inputs]
        expected, got = run_operation(op, *inputs), results[op.name]
        if got.dtype == np.int8:
            assert np.array_equal(got, expected), op.name
        else:
            largest = max(1, np.abs(expected).max())
            bound = 1e-5 * np.abs(expected) + 5e-6 * largest
            assert (np.abs(got - expected) <= bound).all(), op.name
    wanted = [program.output, *program.features]
    for kernel in KERNELS:
        joined = native.NativeBackend(program, 1, kernel).run(x, wanted)
        for name in wanted:
            assert np.array_equal(joined[name], results[name]), name


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=[] if name in SMALL else pytest.mark.slow)
    for name in [*SMALL, *LAST]
])
def test_config(name, randomize, images):
    cfg = Config.fromfile(CONFIGS[name])
    torch.manual_seed(0)
    model = randomize(MODELS.build(cfg.model))
    check(model, input_shape(cfg), images, 1)


@pytest.mark.parametrize('options', ABLATIONS)
def test_ablations(options, randomize, images):
    cfg = Config.fromfile(CONFIGS['reactnet-small_1xb128_fashion-mnist']).model
    cfg.backbone.update(options)
    if 'arch' in options:
        cfg.head.in_channels = options['arch'][-1][0]
    if 'out_indices' in options:
        cfg.head.in_channels = 64
    torch.manual_seed(0)
    check(randomize(MODELS.build(cfg)), (1, 17, 21), images)


@pytest.mark.parametrize('options', BACKBONES, ids=lambda o: o['type'])
def test_backbones(options, randomize, images):
    torch.manual_seed(0)
    model = randomize(MODELS.build(dict(options, out_indices=(0, -1))))
    check(model, (3, 33, 41), images)


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'reactnet/reactnet-a_8xb32_in1k', 'reactnet/react-resnet18_8xb64_in1k'
])  # yapf: disable
def test_photographs(name, randomize):
    """Of ImageNet, in the package foolbox, as a config's pipeline has them."""
    found = find_spec('foolbox')
    if found is None:
        pytest.skip('foolbox, whose photographs these are, is not installed')
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    torch.manual_seed(0)
    model = randomize(MODELS.build(cfg.model)).eval()
    pipeline = Compose(
        [TRANSFORMS.build(t) for t in cfg.test_dataloader.dataset.pipeline])
    paths = sorted(
        Path(found.submodule_search_locations[0],
             'data').glob('imagenet_0[0-2]_*.jpg'))
    assert len(paths) == 3
    images = [pipeline(dict(img_path=str(path)))['inputs'] for path in paths]
    x = model.data_preprocessor(dict(inputs=images))['inputs']
    check_program(lower(model, x.shape[1:]), x.numpy())

"""A converted network computes what the authors' code computes."""
import importlib.util
from pathlib import Path

import authors
import matplotlib
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image
from torchvision.transforms import functional as TF

from mmreact.zoo.converters import NETWORKS
from mmreact.zoo.converters.convert import to_ours

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'

#: Architecture, stage, how the weights are stored.
FORMS = [
    ('reactnet-a', 1, 'latent'),
    ('reactnet-a', 2, 'latent'),
    ('reactnet-a', 2, 'ones'),
    ('reactnet-a', 2, 'oihw'),  # AdamBNN's code
    ('react-resnet18', 1, 'latent'),
    ('react-resnet18', 2, 'latent'),
    ('react-resnet18', 2, 'ones'),
    ('react-resnet18', 2, 'flat'),  # the authors' first version
    ('react-resnet34', 2, 'latent'),
    ('bireal18', 2, 'latent'),
    ('bireal18', 2, 'ones'),
    ('bireal34', 2, 'latent'),
]


def photographs(size, number=2):
    """Photographs as the networks see them, ``(N, 3, size, size)``.

    One comes with matplotlib, which training needs; the ImageNet ones of the
    package foolbox are taken where it is installed.
    """
    paths = [Path(matplotlib.get_data_path(), 'sample_data/grace_hopper.jpg')]
    spec = importlib.util.find_spec('foolbox')
    if spec is not None:
        folder = Path(spec.submodule_search_locations[0], 'data')
        paths = [*sorted(folder.glob('imagenet_*.jpg')), *paths]
    images = []
    for i in range(number):
        image = Image.open(paths[i % len(paths)]).convert('RGB')
        image = TF.resize(TF.to_tensor(image), size * 8 // 7, antialias=True)
        image = TF.center_crop(image, [size, size])
        images.append(image.flip(-1) if i >= len(paths) else image)
    return TF.normalize(
        torch.stack(images), [.485, .456, .406], [.229, .224, .225])


def official_state(arch, stage, form, images, width):
    flat = dict(oihw=False, flat=True).get(form)
    state = authors.random_state(arch, images, width, stage, flat)
    if form == 'ones':
        # BN was estimated anew then: a scale of 1 is 50 times a latent one.
        for key, value in state.items():
            if 'binary' in key:
                scale = value.abs().mean()
                state[key] = value.sign()
                state[_norm_of(key)] /= scale**2
                state[_norm_of(key).replace('var', 'mean')] /= scale
    return state


def _norm_of(key):
    """Name of the variance that follows a 1-bit convolution."""
    block, conv = key.rsplit('.', 2)[:2]
    norm = dict(
        binary_pw='bn2', binary_pw_down1='bn2_1',
        binary_pw_down2='bn2_2').get(conv, 'bn1')
    return f'{block}.{norm}.running_var'


def convert(arch, stage, state):
    """The conversion and the network that it is for."""
    found = to_ours(state)
    assert (found.arch, found.layout) == (arch, 'official')
    found.stage = stage
    init_default_scope('mmpretrain')
    if found.config:
        model = Config.fromfile(CONFIGS / found.config).model
        model.pop('teacher', None)
        model['backbone'].update(found.backbone)
    else:
        model = dict(
            type='ImageClassifier',
            backbone=found.backbone,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='LinearClsHead',
                num_classes=1000,
                in_channels=found.state_dict['head.fc.weight'].shape[1]))
    model = MODELS.build(model)
    model.load_state_dict(found.state_dict, strict=True)
    return found, model.eval()


def check_blocks(model, steps):
    """Each block on the input that the authors' one had."""
    ours = [
        model.backbone.stem,
        *(block for stage in model.backbone.stages for block in stage)
    ]
    assert len(steps) == len(ours)
    for block, (x, y, distance) in zip(ours, steps):
        scale = y.abs().max()
        # Rounding moves a value at a threshold to its other side.
        kept = torch.ones_like(y[:, :1], dtype=bool)
        if distance is not None:
            kept = distance > 2e-6 * scale
            assert kept.float().mean() > .95
        error = ((block(x) - y).abs() * kept).max() / scale
        assert error < 1e-4


def check_float64(model, arch, state, found, images, width):
    """The scores: rounding is too small here to move a sign."""
    state = {
        k: v.double() if v.is_floating_point() else v
        for k, v in state.items()
    }
    theirs = authors.Weights(stage=found.stage, flat=found.flat, state=state)
    expected, steps = authors.forward(arch, theirs, images.double(), width)
    scores = model.double()(images.double())
    torch.testing.assert_close(scores, expected, rtol=1e-6, atol=1e-8)
    model.float()
    return scores, steps


@pytest.mark.parametrize('arch,stage,form', FORMS)
@torch.no_grad()
def test_narrow(arch, stage, form):
    """Eight times narrower, on small photographs."""
    width = NETWORKS[arch].width // 8
    images = photographs(64)
    state = official_state(arch, stage, form, images, width)
    found, model = convert(arch, stage, state)
    theirs = authors.Weights(stage=stage, flat=found.flat, state=state)
    check_blocks(model, authors.forward(arch, theirs, images, width)[1])
    scores, steps = check_float64(model, arch, state, found, images, width)
    # The comparison means something: photographs differ, signs vary.
    assert (scores[0] - scores[1]).abs().max() > .1
    for x, *_ in steps[1:]:
        assert .05 < (x > 0).float().mean() < .95


@pytest.mark.slow
@pytest.mark.parametrize('arch', NETWORKS)
@torch.no_grad()
def test_full_size(arch):
    """Predictions are the same though rounding moves some signs."""
    width = NETWORKS[arch].width
    images = photographs(224)
    state = official_state(arch, 2, 'latent', images, width)
    theirs = authors.Weights(flat=NETWORKS[arch].flat, state=state)
    # As a trained one, the classifier knows what it sees: the nearest one.
    *_, (_, features, _) = authors.forward(arch, theirs, images, width)[1]
    features = features.mean((2, 3))
    state['fc.weight'][:len(images)] = 10 * features
    state['fc.bias'][:len(images)] = -5 * features.square().sum(1)
    found, model = convert(arch, 2, state)
    scores, steps = authors.forward(arch, theirs, images, width)
    check_blocks(model, steps)
    ours = model(images)
    assert ours.argmax(1).tolist() == [0, 1] == scores.argmax(1).tolist()
    if arch in ('reactnet-a', 'react-resnet18'):  # it takes long
        check_float64(model, arch, state, found, images[:1], width)

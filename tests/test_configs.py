"""Every config loads, learns, and says what its name says."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmreact.engine.stages import Run, make_plan
from mmreact.engine.stages.checks import get_num_classes
from mmreact.engine.stages.fingerprint import flatten
from mmreact.engine.stages.plan import find_config
from mmreact.models import ReActNet  # noqa: F401, registers

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = {
    path.stem: path
    for path in sorted((ROOT / 'configs').rglob('*.py'))
    if '_base_' not in path.parts
}
#: OpenMMLab's names: model[-stage]_GPUSxbBATCH[-EPOCHSe]_dataset
NAME = re.compile(r'(?P<model>[a-z0-9]+(-[a-z0-9]+)*?)(-stage(?P<stage>\d))?'
                  r'_(?P<gpus>\d+)xb(?P<batch>\d+)(-(?P<epochs>\d+)e)?'
                  r'_(?P<data>[a-z0-9]+(-[a-z0-9]+)*)')
DATASETS = {
    'in1k': ('ImageNet', 1000),
    'fashion-mnist': ('FashionMNIST', 10),
    'cifar10': ('CIFAR10', 10),
    'custom': ('CustomDataset', 10)
}


def stage_before(name):
    """The config whose last checkpoint a stage starts from, by its name.

    ``x-stage1`` comes before ``x-stage2``, the highest stage before ``x``.
    """
    words = NAME.fullmatch(name)
    rest = name[words.end('stage') if words['stage'] else words.end('model'):]
    last = int(words['stage'] or 9)
    names = [f'{words["model"]}-stage{i}{rest}' for i in range(1, last)]
    return next((n for n in reversed(names) if n in CONFIGS), None)


LATER_STAGES = [name for name in CONFIGS if stage_before(name)]
#: Two stages that differ in the weight binarizer: ReActNet's.
STAGE_2 = [
    name for name in LATER_STAGES if CONFIGS[name].parent.name == 'reactnet'
]
#: Learning rate, epochs, weight decay of stage 1: paper, script and AdamBNN.
RECIPES = {
    'reactnet-a_8xb32_in1k': (1.25e-3, 128, 1e-5),
    'reactnet-a_8xb32-120e_in1k': (5e-4, 120, 1e-5),
    'reactnet-a_8xb32-256e_in1k': (1.25e-3, 256, 5e-6),
    'react-resnet18_8xb64_in1k': (2.5e-3, 128, 1e-5),
}
#: Optimizer, learning rate, batch on all GPUs and epochs, of one stage.
ONE_STAGE_RECIPES = {
    'bireal-resnet18_8xb64_in1k': ('Adam', 1e-3, 512, 256),
    'bireal-resnet50_8xb32_in1k': ('Adam', 5e-4, 256, 256),
    'bnext-tiny_8xb64_in1k': ('AdamW', 1e-3, 512, 512),
    'meliusnet22_2xb32_in1k': ('RAdam', 2e-3, 64, 120),
    'meliusnet29_2xb32_in1k': ('RAdam', 2e-3, 64, 120),
    'meliusnet42_4xb16_in1k': ('RAdam', 2e-3, 64, 120),
    'meliusnet59_8xb12_in1k': ('RAdam', 3e-3, 96, 150),
    'mobilenet-v1_8xb128_in1k': ('SGD', 0.4, 1024, 120),
}

#: What an ablation of ReActNet-A changes in its backbone.
ABLATIONS = dict(
    baseline=dict(rsign=False, activation='none'),
    prelu=dict(rsign=False, activation='prelu'),
    rsign=dict(activation='none'),
    rprelu=dict(rsign=False),
    labels=dict(),
    noconcat=dict(expansion='conv'))

every_config = pytest.mark.parametrize('name', CONFIGS)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(CONFIGS[name])


def test_names_are_unique():
    """They name work directories within one another."""
    files = [p for p in (ROOT / 'configs').glob('[!_]*/**/*.py')]
    assert len(CONFIGS) == len(files) >= 10
    assert set(RECIPES) < set(STAGE_2)


@every_config
def test_name(name):
    """The name tells the model, the batch, the epochs and the data."""
    words = NAME.fullmatch(name)
    assert words, name
    cfg = load(name)
    dataset, classes = DATASETS[words['data']]
    family = re.sub(r'\d+(bn)?$', '', words['model'].split('-')[0])
    assert CONFIGS[name].parent.name.startswith(family)
    for key in ('train', 'val', 'test'):
        assert cfg[f'{key}_dataloader'].dataset.type == dataset
    assert get_num_classes(cfg.model) == classes
    assert cfg.data_preprocessor.num_classes == classes
    assert cfg.train_dataloader.batch_size == int(words['batch'])
    if words['epochs']:
        assert cfg.train_cfg.max_epochs == int(words['epochs'])
    built = MODELS.build(cfg.model).backbone
    layers = [m for m in built.modules() if hasattr(m, 'one_bit_weight')]
    real = words['stage'] or 'real' in words['model'].split('-')
    assert {layer.one_bit_weight for layer in layers} <= {not real}


@every_config
def test_training_and_testing_data(name):
    """Trained on the training split, tested on the other, in order."""
    cfg = load(name)
    train, val, test = (
        cfg[f'{key}_dataloader'] for key in ('train', 'val', 'test'))
    assert test == val
    assert train.sampler.shuffle and not val.sampler.shuffle
    own = 'data_prefix' if 'custom' in name else 'split'
    assert train.dataset[own] == 'train' and val.dataset[own] != 'train'
    assert train.dataset.pipeline[0].type == 'SeedAugmentation'
    assert 'SeedAugmentation' not in [t.type for t in val.dataset.pipeline]
    assert {t.type for t in train.dataset.pipeline} & {'RandomFlip'}


@every_config
def test_runtime(name):
    """What keeps checkpoints whole, strict and reproducible is on."""
    cfg = load(name)
    checkpoint = cfg.default_hooks.checkpoint
    assert checkpoint.backend_args == dict(backend='atomic')
    assert checkpoint.max_keep_ckpts >= 2 and checkpoint.interval == 1
    assert {hook.type
            for hook in cfg.custom_hooks} >= {
                'StrictLoadHook', 'ReproducibilityHook', 'OPsCounterHook',
                'SyncBuffersHook'
            }


@every_config
def test_references(name):
    """What a config starts from or learns from is there."""
    cfg = load(name)
    sources = [cfg.get('start_from') or {}, cfg.model.get('teacher') or {}]
    for source in sources:
        if source.get('config'):
            path = find_config(source['config'], CONFIGS[name])
            assert path in CONFIGS.values()
    plan = make_plan(CONFIGS[name], 'work')
    assert plan[-1].name == name
    before = plan[-1].start_from
    assert (before and before.name) == stage_before(name)
    if name in STAGE_2:
        assert isinstance(before, Run)
        assert plan[-1].teacher == before.teacher


@pytest.mark.parametrize('name', STAGE_2)
def test_what_stage_2_changes(name):
    """Nothing but the binarizer, the weight decay and the start, and of the
    network that comes with the package the length.
    """
    longer = {'train_cfg.max_epochs', 'param_scheduler.end'}
    second = flatten(load(name).to_dict())
    first = flatten(load(stage_before(name)).to_dict())
    none = object()
    assert {
        key
        for key in first.keys() | second.keys()
        if first.get(key, none) != second.get(key, none)
    } == {
        'model.backbone.weight_binarizer',
        'optim_wrapper.optimizer.weight_decay', 'start_from.config'
    } | (
        longer if 'reactnet-tiny' in name else set())


@pytest.mark.parametrize('name', RECIPES)
def test_published_recipes(name):
    lr, epochs, decay = RECIPES[name]
    stages = load(stage_before(name)), load(name)
    for cfg, weight_decay in zip(stages, (decay, 0)):
        assert cfg.optim_wrapper.optimizer == dict(
            type='Adam', lr=lr, weight_decay=weight_decay)
        assert cfg.train_cfg.max_epochs == epochs
        assert cfg.model.teacher.model.backbone.depth == 34


@pytest.mark.parametrize('ablation', ABLATIONS)
@pytest.mark.parametrize('stage', ['-stage1', ''])
def test_ablations(ablation, stage):
    """The listed options, and where the labels teach the head; no more."""
    theirs = load(f'reactnet-a{stage}_8xb32_in1k')
    ours = load(f'reactnet-a-{ablation}{stage}_8xb32_in1k')
    assert ours.model.backbone == {
        **theirs.model.backbone,
        **ABLATIONS[ablation]
    }
    if ablation == 'labels':
        assert 'teacher' not in ours.model
        assert ours.model.head.loss.type == 'CrossEntropyLoss'
        ours.model = theirs.model
        theirs.pop('teacher')  # the base that the model's is taken from
    ours.model.backbone, ours.start_from = theirs.model.backbone, None
    theirs.start_from = None
    assert ours.to_dict() == theirs.to_dict()


@pytest.mark.parametrize('name', ONE_STAGE_RECIPES)
def test_published_recipes_of_one_stage(name):
    cfg = load(name)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, cfg.auto_scale_lr.base_batch_size,
            cfg.train_cfg.max_epochs) == ONE_STAGE_RECIPES[name]
    assert optimizer.weight_decay == dict(
        SGD=1e-4, AdamW=1e-3).get(optimizer.type, 0)
    if optimizer.type == 'RAdam':  # the authors' own implementation's
        assert (optimizer.betas, optimizer.eps) == ((0.95, 0.999), 1e-5)
        assert cfg.param_scheduler.type == 'CosineAnnealingLR'


@every_config
def test_schedule_ends_with_the_training(name):
    """No scheduler goes on, and none that is updated each step stops."""
    cfg = load(name)
    assert cfg.train_cfg.by_epoch
    schedulers = cfg.param_scheduler
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    for scheduler in schedulers:
        if scheduler.type in ('MultiStepLR', 'StepLR'):
            marks = scheduler.get('milestones', [scheduler.get('step_size')])
            assert max(marks) < cfg.train_cfg.max_epochs
        elif scheduler is schedulers[-1]:
            assert scheduler.get(
                'end', scheduler.get('T_max')) == cfg.train_cfg.max_epochs


def decays_linearly(name):
    scheduler = load(name).param_scheduler
    return isinstance(scheduler, dict) and scheduler.type == 'LinearLR'


@pytest.mark.parametrize('name', list(filter(decays_linearly, CONFIGS)))
def test_learning_rate(name):
    """It starts at lr and falls linearly to 0 in the last iteration."""
    cfg = load(name)
    epochs, length = cfg.train_cfg.max_epochs, 10
    assert cfg.train_cfg.by_epoch and cfg.param_scheduler.by_epoch
    assert (cfg.param_scheduler.begin, cfg.param_scheduler.end) == (0, epochs)
    wrapper = build_optim_wrapper(nn.Conv2d(2, 2, 1), cfg.optim_wrapper)
    # As Runner does with the length of its train_dataloader.
    scheduler = PARAM_SCHEDULERS.build(
        cfg.param_scheduler,
        default_args=dict(optimizer=wrapper, epoch_length=length))
    assert not scheduler.by_epoch  # stepped after each iteration
    lr, last = cfg.optim_wrapper.optimizer.lr, epochs * length - 1
    for i in range(last + 1):
        for group in wrapper.param_groups:
            assert group['lr'] == pytest.approx(
                lr * (1 - i / last), rel=1e-9, abs=1e-12)
        wrapper.step()
        scheduler.step()


@pytest.fixture(scope='session')
def random_weights(tmp_path_factory):
    """Return a file with random weights of a model, one for each model."""
    folder, files = tmp_path_factory.mktemp('weights'), {}

    def save(model):
        key = str(model)
        if key not in files:
            files[key] = folder / f'{len(files)}.pth'
            torch.manual_seed(0)
            torch.save(MODELS.build(model).state_dict(), files[key])
        return str(files[key])

    return save


def small_batch(cfg):
    """Some images, as small as the network allows with a margin.

    More of them where a network may leave one pixel: BN of two values, which
    become 1 and -1, has next to no gradient.
    """
    channels = len(cfg.data_preprocessor.mean)
    size, number = 64, 2
    # Where the size of the images is fixed: as it is.
    if not cfg.model.get('neck') or cfg.model.backbone.get(
            'scale') == 'learned':
        size = 224
    if cfg.train_dataloader.dataset.type in ('FashionMNIST', 'CIFAR10'):
        size, number = 32, 8
    torch.manual_seed(1)
    images = torch.randint(0, 256, (number, channels, size, size)).byte()
    last = get_num_classes(cfg.model) - 1
    samples = [DataSample().set_gt_label(i % 2 * last) for i in range(number)]
    return dict(inputs=images, data_samples=samples)


def decayed(model, shifts):
    """Names of the parameters that decay, found by type and name."""
    return {
        f'{prefix}.{key}'
        for prefix, module in model.named_modules()
        for key, _ in module.named_parameters(recurse=False)
        if 'Conv2d' in type(module).__name__ and key == 'weight' or shifts
        and type(module).__name__ in ('RSign', 'RPReLU') and key != 'beta'
    }


def check_groups(cfg, model, optimizer):
    """Two groups; weight decay is the config's, and 0 on the rest."""
    names = {id(p): key for key, p in model.named_parameters()}
    decay = cfg.optim_wrapper.optimizer.weight_decay
    groups = optimizer.param_groups
    assert [group['weight_decay'] for group in groups] == [decay, 0]
    given = [{names[id(p)] for p in group['params']} for group in groups]
    shifts = cfg.optim_wrapper.get('paramwise_cfg', {}).get('decay_shifts')
    expected = decayed(model, shifts)
    assert given == [expected, set(names.values()) - expected]


def is_heavy(name):
    """A step of 60 million weights and more: one of the VGGs will do."""
    vgg = CONFIGS[name].parent.name == 'vgg' and 'vgg11bn_' not in name
    return vgg or '-alexnet_' in name


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow if is_heavy(name) else ())
    for name in CONFIGS
])
def test_one_step(name, random_weights):
    """A step on random images: a finite loss, and all parameters move."""
    run = make_plan(CONFIGS[name], 'work')[-1]
    cfg = run.cfg
    teacher = cfg.model.get('teacher')
    if teacher is not None:
        net = teacher.get('model') or Config.fromfile(teacher.config).model
        teacher.checkpoint = random_weights(net)
    torch.manual_seed(0)
    # As Runner does with a data_preprocessor beside the model.
    model = MODELS.build(
        dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    model.train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    if cfg.optim_wrapper.get('constructor') == 'BinaryOptimWrapperConstructor':
        check_groups(cfg, model, wrapper.optimizer)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    log = model.train_step(small_batch(cfg), wrapper)
    assert log['loss'].isfinite() and log['loss'] > 0
    optimizer = cfg.optim_wrapper.optimizer
    for key, p in model.named_parameters():
        if cfg.model.backbone.type == 'RealToBinaryNet' and key.endswith(
                'shortcut.2.bias'):
            continue  # taken back by the next BN: gradients are rounding
        moved = (p.detach() - before[key]).abs().max()
        # A step may be too small for what it is added to: RAdam's first one
        # is lr times the gradient, which is nearly 0 for the scale of a BN
        # that other BNs follow.
        state = wrapper.optimizer.state[p]
        assert moved > 0 or state['exp_avg'].any(), key
        if optimizer.type == 'Adam':  # whose first step is lr g / (|g| + eps)
            g = state['exp_avg'].abs().max() / 0.1
            step = optimizer.lr * g / (g + optimizer.get('eps', 1e-8))
            assert moved == pytest.approx(step.item(), 0.05, 1e-6), key

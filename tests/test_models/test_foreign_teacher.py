"""Teachers that do not come from OpenMMLab, and one with real weights.

EfficientNet-lite0 comes with its ImageNet weights in two packages, and the
package foolbox has 20 ImageNet photographs, labelled in their file names.
"""
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample
from torch import nn

from mmreact.engine.stages import Run, check_plan
from mmreact.models import FrozenTeacher
from mmreact.utils.checkpoint import CheckpointError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LITE0 = Config.fromfile(CONFIGS /
                        '_base_/teachers/efficientnet_lite0_in1k.py').teacher


class Net(nn.Module):
    """A classifier as one writes it in plain PyTorch."""

    def __init__(self, num_classes=5, gives=lambda logits: logits):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, num_classes)
        self.gives = gives

    def forward(self, x):
        return self.gives(self.fc(self.bn(self.conv(x)).mean((2, 3))))


def saved(net, path, *without):
    torch.manual_seed(0)
    net.bn.running_mean.normal_()
    state = {k: v for k, v in net.state_dict().items() if k not in without}
    torch.save(state, path)
    return str(path)


def preprocessor(**kwargs):
    return MODELS.build(dict(type='ClsDataPreprocessor', **kwargs))


def test_a_plain_module(tmp_path):
    """Its own normalisation, bare keys, feature maps, eval, no gradients."""
    net = Net()
    teacher = FrozenTeacher(
        model=dict(type=Net),
        checkpoint=saved(net, tmp_path / 'net.pth'),
        data_preprocessor=dict(mean=[127.] * 3, std=[128.] * 3, to_rgb=True),
        feature_layers=['conv'])
    images = torch.randint(0, 256, (3, 3, 8, 8)).float()  # BGR
    student = preprocessor(mean=[1., 2., 3.], std=[4., 5., 6.])
    x = (images - student.mean) / student.std
    logits, (feature, ) = teacher.outputs(x, student, 5)
    own = (images.flip(1) - 127) / 128
    with torch.no_grad():
        torch.testing.assert_close(logits, net.eval()(own))
        torch.testing.assert_close(feature, net.conv(own))
    assert not logits.requires_grad and not teacher._module.training
    assert not any(p.requires_grad for p in teacher._module.parameters())


def test_named_by_its_path(tmp_path):
    """A class or a function of any package, without registration."""
    torch.manual_seed(0)
    import torchvision
    net = torchvision.models.squeezenet1_1(num_classes=5).eval()
    torch.save(net.state_dict(), tmp_path / 'net.pth')
    teacher = FrozenTeacher(
        model=dict(type='torchvision.models.squeezenet1_1', num_classes=5),
        checkpoint=str(tmp_path / 'net.pth'))
    x = torch.randn(2, 3, 32, 32)
    logits, _ = teacher.outputs(x, preprocessor(), 5)
    with torch.no_grad():
        assert torch.equal(logits, net(x))


def test_a_file_of_an_old_torch(tmp_path):
    """It has no counters of batches; any other missing key is an error."""
    counter = 'bn.num_batches_tracked'
    net = Net()
    path = saved(net, tmp_path / 'old.pth', counter)
    teacher = FrozenTeacher(model=dict(type=Net), checkpoint=path)
    x = torch.randn(2, 3, 8, 8)
    logits, _ = teacher.outputs(x, preprocessor(), 5)
    with torch.no_grad():
        assert torch.equal(logits, net.eval()(x))
    path = saved(net, tmp_path / 'cut.pth', counter, 'bn.bias')
    teacher = FrozenTeacher(model=dict(type=Net), checkpoint=path)
    with pytest.raises(CheckpointError) as error:
        teacher.outputs(x, preprocessor(), 5)
    assert [
        line for line in str(error.value).splitlines() if 'missing' in line
    ] == ['  missing: bn.bias (4,)']


@pytest.mark.parametrize('kwargs,words', [
    (dict(num_classes=4), ['has 4 classes', 'the student 5']),
    (dict(gives=lambda x: dict(logits=x)), ['Net gave a dict', 'logits (N']),
    (dict(gives=lambda x: (x, x)), ['Net gave a tuple']),
    (dict(gives=lambda x: x[:, :, None]), ['a Tensor (2, 5, 1)']),
])
def test_no_logits(tmp_path, kwargs, words):
    path = saved(Net(**kwargs), tmp_path / 'net.pth')
    teacher = FrozenTeacher(model=dict(type=Net, **kwargs), checkpoint=path)
    with pytest.raises(ValueError) as error:
        teacher.outputs(torch.randn(2, 3, 8, 8), preprocessor(), 5)
    for word in words:
        assert word in str(error.value)


def plan_with(teacher, tmp_path, checkpoint):
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(CONFIGS / 'reactnet/reactnet-a_8xb32_in1k.py')
    cfg.train_dataloader = cfg.val_dataloader = None
    cfg.model.teacher = teacher
    return [Run('run', cfg, tmp_path, teacher=checkpoint)]


def test_checked_before_training(tmp_path):
    """Its weights; its classes are not in its config and come later."""
    check_plan(plan_with(LITE0, tmp_path, LITE0.checkpoint))
    path = saved(Net(), tmp_path / 'net.pth')
    with pytest.raises(CheckpointError, match='missing: _conv_stem.weight'):
        check_plan(plan_with(LITE0, tmp_path, path))
    gone = dict(model=dict(type='no_such_package.Net'), checkpoint=path)
    with pytest.raises(KeyError, match='no_such_package.Net'):
        check_plan(plan_with(gone, tmp_path, path))


@pytest.fixture(scope='module')
def student():
    """ReActNet-A of stage 2 with EfficientNet-lite0 as its teacher."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(CONFIGS / 'reactnet/reactnet-a_8xb32_in1k.py')
    cfg.model.teacher = LITE0
    cfg.model.data_preprocessor = dict(cfg.data_preprocessor)
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


@pytest.fixture(scope='module')
def photographs():
    """A batch as the test pipeline of ImageNet makes it: uint8, BGR."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(CONFIGS / 'reactnet/reactnet-a_8xb32_in1k.py')
    pipeline = Compose(
        [TRANSFORMS.build(t) for t in cfg.test_dataloader.dataset.pipeline])
    folder, = find_spec('foolbox').submodule_search_locations
    paths = sorted(Path(folder, 'data').glob('imagenet_*_*.jpg'))
    assert len(paths) == 20
    samples = [
        pipeline(
            dict(img_path=str(path), gt_label=int(path.stem.split('_')[-1])))
        for path in paths
    ]
    return dict(
        inputs=torch.stack([s['inputs'] for s in samples]),
        data_samples=[s['data_samples'] for s in samples])


def labels(samples):
    return torch.cat([sample.gt_label for sample in samples])


def test_real_weights_on_photographs(student, photographs):
    """17 of 20 first, 19 in the first five, as the package's own logits."""
    batch = student.data_preprocessor(photographs)
    logits, _ = student.teacher.outputs(batch['inputs'],
                                        student.data_preprocessor, 1000)
    right = logits.topk(5).indices == labels(batch['data_samples'])[:, None]
    assert right[:, 0].sum() >= 17 and right.any(1).sum() >= 19
    assert not logits.requires_grad
    net = student.teacher._module
    assert not any(m.training for m in net.modules())
    assert not any(p.requires_grad for p in net.parameters())

    from efficientnet_lite_pytorch import EfficientNet
    judge = EfficientNet.from_name('efficientnet-lite0').eval()
    judge.load_state_dict(torch.load(LITE0.checkpoint, weights_only=True))
    rgb = photographs['inputs'].flip(1).float()
    with torch.no_grad():
        expected = judge((rgb - 127) / 128)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_the_normalisation_is_its_own(student, photographs):
    """Guards the test above: with the student's it gives other logits."""
    batch = student.data_preprocessor(photographs)
    options = {k: v for k, v in LITE0.items() if k != 'data_preprocessor'}
    wrong = FrozenTeacher(**options).outputs(batch['inputs'],
                                             student.data_preprocessor,
                                             1000)[0]
    right = student.teacher.outputs(batch['inputs'], student.data_preprocessor,
                                    1000)[0]
    assert (wrong - right).abs().max() > 0.5


@pytest.mark.slow
def test_distillation_on_photographs(student, photographs):
    """A few steps of ReActNet-A bring its outputs nearer to the teacher's."""
    batch = dict(
        inputs=photographs['inputs'][:8],
        data_samples=[DataSample().set_gt_label(0)] * 8)  # play no part
    wrapper = OptimWrapper(torch.optim.Adam(student.parameters(), lr=1e-3))
    student.train()
    losses = [
        student.train_step(batch, wrapper)['loss'].item() for _ in range(4)
    ]
    x = student.data_preprocessor(batch)['inputs']
    logits, _ = student.teacher.outputs(x, student.data_preprocessor, 1000)
    log = logits.log_softmax(1)
    entropy = -(log.exp() * log).sum(1).mean().item()
    # At first the student is about undecided among 1000 classes.
    assert losses[0] > 6 > max(losses[2:])
    assert min(losses) > entropy  # which no student can undercut

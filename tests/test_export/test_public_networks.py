"""Networks as torchvision and the CIFAR literature have them."""
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from mmreact import binarize
from mmreact.export import LoweringError, lower, verify
from mmreact.export.lowering import lower_traced
from mmreact.packed.reference import ReferenceBackend


class Shortcut(nn.Module):
    """Every second pixel, and channels of zeros (option A)."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        pad = (self.channels - x.shape[1]) // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, pad, pad), 'constant', 0)


class Block(nn.Module):

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = Shortcut(cout) if stride > 1 else nn.Sequential()

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return F.relu(y)


class CIFARResNet(nn.Module):
    """ResNet-20, -56 and so on of the ResNet paper, section 4.2."""

    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        layers, cin = [], 16
        for width in (16, 32, 64):
            for i in range(blocks):
                stride = 2 if i == 0 and width > 16 else 1
                layers.append(Block(cin, width, stride))
                cin = width
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        out = self.layers(F.relu(self.bn1(self.conv1(x))))
        out = F.avg_pool2d(out, out.size()[3])
        return self.linear(out.view(out.size(0), -1))


@pytest.mark.parametrize('blocks',
                         [3, pytest.param(9, marks=pytest.mark.slow)])
def test_cifar_resnets(blocks, randomize, images):
    """Binarized, packed, and the same; also for larger images."""
    torch.manual_seed(0)
    model = randomize(binarize(CIFARResNet(blocks)).model)
    program = lower(model, (3, 32, 32))
    kinds = [type(op).__name__ for op in program.operations]
    assert kinds.count('BinaryConv2d') == 6 * blocks
    assert kinds.count('Pad') == kinds.count('Crop') == 2
    report = verify(model, program, images(2, 3, 32, 32))
    assert report.ok, report.table()
    program.infer((3, 48, 40))


# name -> size of the images; the smallest that the network takes, or little
SIZES = dict(
    alexnet=63,
    vgg11=32,
    vgg16_bn=32,
    resnet18=32,
    resnet50=32,
    resnext50_32x4d=32,
    wide_resnet50_2=32,
    densenet121=32,
    googlenet=32,
    inception_v3=75,
    squeezenet1_0=32,
    mobilenet_v2=32,
    mobilenet_v3_small=32,
    mnasnet1_0=32,
    shufflenet_v2_x1_0=32,
    efficientnet_b0=32,
    efficientnet_v2_s=32,
    regnet_y_400mf=32,
    convnext_tiny=32)


@pytest.mark.slow
@pytest.mark.parametrize('name', SIZES)
def test_torchvision(name):
    """The trace is the network, and the program has its output's shape."""
    options = dict(weights=None, num_classes=7)
    if name in ('googlenet', 'inception_v3'):
        options.update(init_weights=False, transform_input=True)
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, **options).eval()
    shape = (3, SIZES[name], SIZES[name])
    lowered = lower_traced(model, shape)
    x = torch.randn(2, *shape)
    with torch.no_grad():
        torch.testing.assert_close(lowered.module(x), model(x))
    values = lowered.program.infer(shape)
    assert values[lowered.program.output].shape == (1, 7)


def test_segmentation():
    """A dictionary with 'out', at the size of the image."""
    torch.manual_seed(0)
    model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3).eval()
    program = lower(model, (3, 64, 64))
    x = torch.randn(2, 3, 64, 64)
    result = ReferenceBackend(program).run(x.numpy(), [program.output])
    with torch.no_grad():
        truth = model(x)['out']
    torch.testing.assert_close(
        torch.from_numpy(result[program.output]), truth, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('name,words', [
    ('vit_b_16',
     ['cannot be traced', 'self.class_token.expand(n', 'number of images']),
    ('swin_t', ['shifted_window_attention', 'is not known']),
])
def test_transformers_stop_in_words(name, words):
    with torch.device('cpu'):
        model = torchvision.models.get_model(name, weights=None)
    with pytest.raises(LoweringError) as error:
        lower(model, (3, 224, 224))
    for word in words:
        assert word in str(error.value)

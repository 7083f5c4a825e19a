"""What happens to public networks: binarize, train, count, pack, run.

Without names, all networks are tried, which takes minutes.
"""
import argparse
import sys
import warnings
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision.models as zoo
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'foreign_networks.md'
HEAD = '''# Public networks, binarized

This page is generated. Do not edit it; run

    python tools/analysis_tools/foreign_networks.py --write

Each network is built with random weights (seed 0; 1000 classes, the
CIFAR-style ones 10) and goes through the same steps, for images of the stated
size:

1. **1-bit layers, weights**: how many of the convolutions and linear layers
   `mmreact.binarize` makes 1-bit with its defaults, and how many of their
   weights. The first, the last and depthwise layers stay real, and so do
   layers whose weight other code reads.
2. **Gradients**: one forward and backward in training mode on two images.
   "all" says that every parameter has a finite gradient.
3. **BOPs**, **FLOPs**: by `mmreact.count_ops`, in millions.
4. **Packed**: by `mmreact.export.lower`; the size of all constants, or why
   there is no program.
5. **Verified**: by `mmreact.export.verify` with one image and the native
   engine. On equal inputs each operation of the numpy reference must give what
   torch gives, and each of the native engine what the reference gives: else
   the entry is "wrong". With "verified" the whole networks also predict the
   same class of the image; with "undecided" rounding makes them predict
   another one, and the entry says which signs differ first and how many of
   them are ties. A tie is a sum that is exactly on the threshold of a sign, so
   that torch's rounding decides it; networks without BN or bias between 1-bit
   layers have many. All that depends on the machine.

Untrained weights say nothing about accuracy. GoogLeNet and Inception-v3 are
built without their auxiliary heads.

'''
COLUMNS = ('Network', 'Input', '1-bit layers', '1-bit weights', 'Gradients',
           'BOPs', 'FLOPs', 'Packed', 'Verified')


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.stride, self.room = stride, (cout - cin) // 2

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.room or self.stride != 1:
            x = F.pad(x[:, :, ::self.stride, ::self.stride],
                      (0, 0, 0, 0, self.room, self.room))
        return F.relu(out + x)


class CifarResNet(nn.Module):
    """ResNet for 32x32 images (He et al., CVPR 2016), shortcut A.

    Args:
        depth (int): 20, 32, 44, 56 or 110.
    """

    def __init__(self, depth, num_classes=10):
        super().__init__()
        blocks, width = (depth - 2) // 6, 16
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        layers = []
        for stage in range(3):
            for i in range(blocks):
                stride = 2 if stage and i == 0 else 1
                layers.append(CifarBlock(width, 16 << stage, stride))
                width = 16 << stage
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x):
        out = self.layers(F.relu(self.bn1(self.conv1(x))))
        out = F.avg_pool2d(out, out.size()[3])
        return self.linear(out.view(out.size(0), -1))


#: Name -> constructor and the size of the images.
NETWORKS = {
    'AlexNet': (zoo.alexnet, 64),
    'VGG-11': (zoo.vgg11, 64),
    'VGG-16-BN': (zoo.vgg16_bn, 64),
    'ResNet-18': (zoo.resnet18, 64),
    'ResNet-50': (zoo.resnet50, 64),
    'ResNeXt-50': (zoo.resnext50_32x4d, 64),
    'WideResNet-50-2': (zoo.wide_resnet50_2, 64),
    'DenseNet-121': (zoo.densenet121, 64),
    'GoogLeNet': (partial(zoo.googlenet, aux_logits=False,
                          init_weights=False), 64),
    'Inception-v3':
    (partial(zoo.inception_v3, aux_logits=False, init_weights=False), 75),
    'SqueezeNet-1.1': (zoo.squeezenet1_1, 64),
    'MobileNetV2': (zoo.mobilenet_v2, 64),
    'MobileNetV3-Small': (zoo.mobilenet_v3_small, 64),
    'MobileNetV3-Large': (zoo.mobilenet_v3_large, 64),
    'MNASNet-1.0': (zoo.mnasnet1_0, 64),
    'ShuffleNetV2-1.0': (zoo.shufflenet_v2_x1_0, 64),
    'EfficientNet-B0': (zoo.efficientnet_b0, 64),
    'EfficientNetV2-S': (zoo.efficientnet_v2_s, 64),
    'RegNetY-400MF': (zoo.regnet_y_400mf, 64),
    'ConvNeXt-Tiny': (zoo.convnext_tiny, 64),
    'ResNet-20 (CIFAR)': (partial(CifarResNet, 20), 32),
    'ResNet-56 (CIFAR)': (partial(CifarResNet, 56), 32),
    'ViT-B/32': (partial(zoo.vit_b_32, image_size=64), 64),
    'Swin-T': (zoo.swin_t, 64),
}


def build(name):
    """A binarized network and the report on its layers."""
    import mmreact
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about weights of other versions
        return mmreact.binarize(NETWORKS[name][0]())


def binarized(report):
    """The columns about layers."""
    weights = sum(layer.weights for layer in report.binarized)
    total = sum(layer.weights for layer in report.layers)
    return (f'{len(report.binarized)} of {len(report.layers)}',
            f'{weights / 1e6:.2f} M of {total / 1e6:.2f} M')


def gradients(model, images):
    """Of how many parameters a step in training mode gives gradients."""
    model.train()(images).square().mean().backward()
    parameters = list(model.parameters())
    finite = sum(
        p.grad is not None and bool(p.grad.isfinite().all())
        for p in parameters)
    model.zero_grad()
    return 'all' if finite == len(parameters) else (
        f'{finite} of {len(parameters)}')


def packed(model, images):
    """The columns about packing: size or reason, and verification."""
    from mmreact.export import LoweringError, lower, verify
    from mmreact.packed import PackedModel
    from mmreact.packed.file import PackedFile
    try:
        program = lower(model.eval(), images.shape[1:])
    except LoweringError as error:
        reason = ' '.join(str(error).split('. ')[0].split())
        return 'no: ' + reason.rstrip('.').replace('|', ' '), ''
    size = sum(array.nbytes for op in program.operations
               for array in op.tensors().values())
    backend = PackedModel(PackedFile(program), backend='native').backend
    report = verify(model, program, images, backend)
    return f'{size / 1e6:.2f} MB', report.verdict + cause(report)


def cause(report):
    """What a verdict is due to; nothing to say of 'verified'."""
    if report.verdict == 'wrong':
        return f': {", ".join(report.failures)}'
    if report.verdict == 'verified':
        return ''
    first = report.differences[0]
    if first.layer is None:
        return ': the logits differ by rounding'
    return (f': differs first in {first.signs} of the signs of '
            f'`{first.layer}`, ties: {first.ties}')


def try_network(name):
    """A row of the table."""
    import mmreact
    model, report = build(name)
    size = NETWORKS[name][1]
    images = torch.randn(2, 3, size, size)
    learned = gradients(model, images)
    counted = mmreact.count_ops(model, images.shape[1:])
    return (name, f'{size}x{size}', *binarized(report), learned,
            f'{counted.bops / 1e6:,.1f}', f'{counted.flops / 1e6:,.1f}',
            *packed(model, images[:1]))


def table(rows):
    lines = [COLUMNS, ('---', '---', *['--:'] * 5, '---', '---'), *rows]
    return '\n'.join(f'| {" | ".join(row)} |' for row in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', help='networks (default: all)')
    parser.add_argument(
        '--write', action='store_true', help=f'write {PAGE.name} with all')
    args = parser.parse_args()
    if unknown := set(args.names) - set(NETWORKS):
        parser.error(f'unknown: {", ".join(sorted(unknown))}. Known: '
                     f'{", ".join(NETWORKS)}')
    rows = []
    for name in NETWORKS if args.write or not args.names else args.names:
        rows.append(try_network(name))
        print(' | '.join(rows[-1]), flush=True)
    if args.write:
        PAGE.write_text(HEAD + table(rows) + '\n')


if __name__ == '__main__':
    sys.exit(main())

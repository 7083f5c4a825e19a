"""How other implementations name the parameters of these networks.

* 'official': the authors' code (liuzechun/ReActNet, liuzechun/AdamBNN,
  liuzechun/Bi-Real-net).
* 'mmcls': the reruns on MMClassification 0.x in lucifer443/BinaryNeuralNetwork
  (``MobileArch`` and ``ResArch``).

Both write shifts as biases ``(1, C, 1, 1)`` that are added, where we subtract
thresholds: ``alpha = -bias`` in RSign; ``gamma = -bias`` before and
``zeta = bias`` behind the PReLU.
"""
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, NamedTuple, Tuple, Union

import torch
from torch import Size, nn

from ...layers import BinaryConv2d, RPReLU, RSign

Names = Dict[str, Union[str, Tuple[str, str, str]]]


@dataclass(frozen=True)
class Layout:
    """Their module names, by ours.

    Attributes:
        stem (dict): Module of the backbone -> theirs.
        head (str): Theirs for ``head.fc``.
        block (str): Prefix of a block's modules.
        parts (dict): Module of a block -> theirs; for an RPReLU three: the
            shift before, the PReLU, the shift behind.
        doubling (dict): The same for what differs in a block that doubles
            the channels with a pair of convolutions.

    In ``block`` and ``parts``, ``{index}`` is the block's number in the
    network and ``{stage}`` its stage's, both from 1, ``{block}`` its number
    in the stage from 0; two of our blocks are one of a ResNet's, ``{pair}``,
    in which they are ``{half}`` 1 and 2.
    """
    stem: Dict[str, str]
    head: str
    block: str
    parts: Names
    doubling: Names = field(default_factory=dict)


_DOUBLING = {
    'conv2.0': 'binary_pw_down1',
    'conv2.1': 'binary_pw_down2',
    'bn2.0': 'bn2_1',
    'bn2.1': 'bn2_2'
}
_RESNET = Layout(
    stem={
        'stem.0': 'conv1',
        'stem.1': 'bn1'
    },
    head='fc',
    block='layer{stage}.{block}.',
    parts={
        'sign': 'move0',
        'conv': 'binary_conv',
        'bn': 'bn1',
        'act': ('move1', 'prelu', 'move2'),
        'shortcut.1': 'downsample.1',
        'shortcut.2': 'downsample.2'
    })
_MMCLS_RESNET = Layout(
    stem={
        'stem.0': 'backbone.conv1',
        'stem.1': 'backbone.bn1'
    },
    head='head.fc',
    block='backbone.layer{stage}.{pair}.',
    parts={
        'sign': 'move{half}',
        'conv': 'conv{half}',
        'bn': 'bn{half}',
        'act': ('prelu{half}.bias1', 'prelu{half}.prelu', 'prelu{half}.bias2'),
        'shortcut.1': 'downsample.1',
        'shortcut.2': 'downsample.2'
    })

#: Layout -> type of our backbone -> names.
LAYOUTS = dict(
    official=dict(
        ReActNet=Layout(
            stem={
                'stem.0': 'feature.0.conv1',
                'stem.1': 'feature.0.bn1'
            },
            head='fc',
            block='feature.{index}.',
            parts={
                'sign1': 'move11',
                'conv1': 'binary_3x3',
                'bn1': 'bn1',
                'act1': ('move12', 'prelu1', 'move13'),
                'sign2': 'move21',
                'conv2.0': 'binary_pw',
                'bn2.0': 'bn2',
                'act2': ('move22', 'prelu2', 'move23')
            },
            doubling=_DOUBLING),
        ReActResNet=_RESNET,
        BiRealNet=_RESNET),
    mmcls=dict(
        ReActNet=Layout(
            stem={
                'stem.0': 'backbone.conv1.conv',
                'stem.1': 'backbone.conv1.bn'
            },
            head='head.fc',
            block='backbone.layer{stage}.{block}.',
            parts={
                'sign1': 'move1',
                'conv1': 'binary_3x3',
                'bn1': 'bn1',
                'act1': ('prelu1.bias1', 'prelu1.prelu', 'prelu1.bias2'),
                'sign2': 'move2',
                'conv2.0': 'binary_pw',
                'bn2.0': 'bn2',
                'act2': ('prelu2.bias1', 'prelu2.prelu', 'prelu2.bias2')
            },
            doubling=_DOUBLING),
        ReActResNet=_MMCLS_RESNET,
        BiRealNet=_MMCLS_RESNET))


class Entry(NamedTuple):
    """One parameter or buffer, in both implementations.

    ``kind`` is 'same', 'binary' (a 1-bit convolution's weight), 'plus' or
    'minus' (a shift and its sign); ``shape`` and ``dtype`` are ours.
    """
    theirs: str
    ours: str
    kind: str
    shape: Size
    dtype: torch.dtype

    @property
    def their_shapes(self) -> List[Tuple[int, ...]]:
        """Shapes that it may have in their files, the usual one first."""
        if self.kind == 'binary':
            return [tuple(self.shape), (self.shape.numel(), 1)]
        if self.kind in ('plus', 'minus'):
            return [(1, self.shape.numel(), 1, 1)]
        return [tuple(self.shape)]


def entries(model: nn.Module, layout: Layout) -> List[Entry]:
    """Pair all parameters and buffers of our model with theirs."""
    found = []
    for ours, module, theirs in _modules(model, layout):
        tensors = dict(module.named_parameters(recurse=False))
        tensors.update(module.named_buffers(recurse=False))
        for name, tensor in tensors.items():
            their_name, kind = f'{theirs}.{name}', 'same'
            if isinstance(module, BinaryConv2d):
                kind = 'binary'
            elif isinstance(module, RSign):
                their_name, kind = f'{theirs}.bias', 'minus'
            elif isinstance(module, RPReLU):
                their_name, kind = dict(
                    gamma=(f'{theirs[0]}.bias', 'minus'),
                    beta=(f'{theirs[1]}.weight', 'same'),
                    zeta=(f'{theirs[2]}.bias', 'plus'))[name]
            found.append(
                Entry(their_name, f'{ours}.{name}', kind, tensor.shape,
                      tensor.dtype))
    return found


def _modules(model: nn.Module, layout: Layout) -> Iterator[tuple]:
    """Yield (our name, module, their name) of modules with own tensors."""
    for ours, theirs in layout.stem.items():
        yield f'backbone.{ours}', model.backbone.get_submodule(ours), theirs
    index = 0
    for s, stage in enumerate(model.backbone.stages):
        for b, block in enumerate(stage):
            index += 1
            where = dict(
                index=index, stage=s + 1, block=b, pair=b // 2, half=b % 2 + 1)
            parts = dict(layout.parts)
            if len(getattr(block, 'conv2', ())) == 2:
                parts.update(layout.doubling)
            for name, module in block.named_modules():
                if any(True for _ in module.named_parameters(recurse=False)):
                    yield (f'backbone.stages.{s}.{b}.{name}', module,
                           _format(layout.block, parts[name], where))
    yield 'head.fc', model.head.fc, layout.head


def _format(block: str, theirs, where: dict):
    if isinstance(theirs, tuple):
        return tuple((block + part).format(**where) for part in theirs)
    return (block + theirs).format(**where)

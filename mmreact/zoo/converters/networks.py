"""The networks whose weights can be converted."""
from typing import Dict, NamedTuple, Tuple

import torch
from mmpretrain.registry import MODELS
from torch import nn

from ... import models  # noqa: F401, registers

#: Channels of a stem that no network here has.
MAX_WIDTH = 4096


class Network(NamedTuple):
    """A row of :data:`NETWORKS`.

    Attributes:
        backbone (dict): Config of our backbone.
        width (int): Channels of its stem; all others are multiples.
        configs (dict[int, str]): Stage -> config of ours, below ``configs/``.
            The stages are those of the training: 1 has real weights, 2
            binary ones.
        flat (bool): Whether the authors' code keeps the 1-bit weights of
            stage 2 in one column, ``(N, 1)``, and calls them ``weights``.
        mmcls (str): Name in the reruns on MMClassification 0.x.
    """
    backbone: dict
    width: int
    configs: Dict[int, str]
    flat: bool
    mmcls: str


def _configs(folder: str, name: str, suffix: str, *stages: int) -> dict:
    middle = {1: '-stage1', 2: ''}
    return {s: f'{folder}/{name}{middle[s]}_{suffix}.py' for s in stages}


#: Name -> what it is here and elsewhere.
NETWORKS = {
    'reactnet-a':
    Network(
        dict(type='ReActNet'), 32,
        _configs('reactnet', 'reactnet-a', '8xb32_in1k', 1, 2), True,
        'ReActNet-A'),
    'react-resnet18':
    Network(
        dict(type='ReActResNet', depth=18), 64,
        _configs('reactnet', 'react-resnet18', '8xb64_in1k', 1, 2), False,
        'ReActNet-18'),
    'react-resnet34':
    Network(
        dict(type='ReActResNet', depth=34), 64,
        _configs('reactnet', 'react-resnet34', '8xb64_in1k', 1, 2), False,
        'ReActNet-34'),
    'bireal18':
    Network(
        dict(type='BiRealNet', depth=18), 64,
        _configs('bireal', 'bireal-resnet18', '8xb64_in1k', 2), True,
        'BiRealNet-18'),
    'bireal34':
    Network(
        dict(type='BiRealNet', depth=34), 64,
        _configs('bireal', 'bireal-resnet34', '8xb64_in1k', 2), True,
        'BiRealNet-34'),
}


def backbone_config(arch: str, width: int, in_channels: int = 3) -> dict:
    """The config of a network's backbone, also of a narrower or wider one.

    Args:
        arch (str): A key of :data:`NETWORKS`.
        width (int): Channels of the stem.
        in_channels (int): Channels of the image.
    """
    network = NETWORKS[arch]
    config = dict(network.backbone)
    if in_channels != 3:
        config.update(in_channels=in_channels)
    if width != network.width:
        if config['type'] == 'ReActNet':
            blocks = MODELS.get('ReActNet').arch_settings['a']['blocks']
            config.update(
                arch=[(c // network.width * width, s) for c, s in blocks],
                stem_channels=width)
        else:
            config.update(base_channels=width)
    return config


def build(arch: str, sizes: Tuple[int, int, int]) -> nn.Module:
    """Build backbone and classifier without values (device 'meta').

    Args:
        arch (str): A key of :data:`NETWORKS`.
        sizes (tuple[int, int, int]): Channels of the stem and of the image,
            and classes.

    Returns:
        nn.Module: Parameters have the names that they have in a classifier.
    """
    width, in_channels, classes = sizes
    with torch.device('meta'):
        backbone = MODELS.build(backbone_config(arch, width, in_channels))
        features = width * (32 if arch == 'reactnet-a' else 8)
        head = nn.ModuleDict(dict(fc=nn.Linear(features, classes)))
    return nn.ModuleDict(dict(backbone=backbone, head=head))

"""Layers of 1-bit networks: thin modules over :mod:`mmreact.functional`."""
from .activation_scale import ActivationScale
from .binarize import BinarizedLayer, BinarizeReport, binarize
from .binary import BinaryConv2d, BinaryLinear
from .channel_gate import ChannelGate
from .channel_mix import ChannelMix
from .halving_pool import HalvingPool
from .leaky_clip import LeakyClip
from .learned_scale import LearnedScale
from .rprelu import RPReLU
from .rsign import RSign
from .signed_layer import SignedLayer

__all__ = [
    'ActivationScale', 'BinarizeReport', 'BinarizedLayer', 'BinaryConv2d',
    'BinaryLinear', 'ChannelGate', 'ChannelMix', 'HalvingPool', 'LeakyClip',
    'LearnedScale', 'RPReLU', 'RSign', 'SignedLayer', 'binarize'
]

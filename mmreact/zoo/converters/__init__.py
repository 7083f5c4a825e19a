"""Weights of other implementations, in both directions.

``networks`` lists what can be converted, ``layouts`` how others name their
parameters, ``convert`` moves tensors, ``configs`` reads what a checkpoint
says of itself, ``files`` does all that with checkpoints.
"""
from .convert import Conversion, ConversionError
from .files import convert_file, reverse_file
from .networks import NETWORKS

__all__ = [
    'NETWORKS', 'Conversion', 'ConversionError', 'convert_file', 'reverse_file'
]

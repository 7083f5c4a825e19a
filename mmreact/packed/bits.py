"""Signs in 64-bit words: bit 1 is +1, bit i of word w is channel 64 w + i."""
import numpy as np


def pack(signs: np.ndarray) -> np.ndarray:
    """Pack along the last dimension.

    Args:
        signs (ndarray): ``(*, C)``; what is > 0 becomes bit 1.

    Returns:
        ndarray: ``(*, ceil(C / 64))`` uint64, with zeros behind the last
        channel.
    """
    channels = signs.shape[-1]
    bits = np.zeros((*signs.shape[:-1], -(-channels // 64) * 64), bool)
    bits[..., :channels] = signs > 0
    packed = np.packbits(bits, axis=-1, bitorder='little')
    return packed.view('<u8').astype(np.uint64)


def unpack(words: np.ndarray, channels: int) -> np.ndarray:
    """Undo :func:`pack`.

    Args:
        words (ndarray): ``(*, ceil(channels / 64))`` uint64.
        channels (int): Number of channels.

    Returns:
        ndarray: ``(*, channels)`` int8, +1 and -1.
    """
    octets = np.ascontiguousarray(words, '<u8').view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, count=channels, bitorder='little')
    return bits.astype(np.int8) * 2 - 1

"""How activations are distributed in front of the signs of a network."""
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Dict, Iterator, Optional, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..layers import RSign
from .binary_stats import centre
from .panels import make_panels, select_layers

BINS = 100
BEFORE, AFTER = '#7f9fc0', '#d62728'


@dataclass
class Distribution:
    """What reaches an RSign: ``x``, and ``x - alpha``, of which it takes the
    sign.

    Both are counted between the ``edges`` ``(BINS + 1, )``, which are four
    standard deviations of the first batch around its mean; what lies beyond
    is no part of the histograms, but of all else.
    """
    edges: np.ndarray
    before: np.ndarray
    after: np.ndarray
    number: int = 0
    positive_before: int = 0
    positive_after: int = 0
    learnable: bool = True

    @property
    def share_before(self) -> float:
        """Share of ``x > 0``, what a plain sign would make +1."""
        return self.positive_before / self.number

    @property
    def share_after(self) -> float:
        """Share of ``x > alpha``, what becomes +1."""
        return self.positive_after / self.number

    def density(self, counts: np.ndarray) -> np.ndarray:
        """Counts as a density over all values."""
        return counts / self.number / np.diff(self.edges)


def sign_layers(model: nn.Module,
                layers: Optional[Sequence[str]] = None) -> Dict[str, RSign]:
    """The RSign layers of a model by name, or those that a pattern matches.

    Raises:
        ValueError: If there are none, or a pattern matches none.
    """
    found = {
        name: module
        for name, module in model.named_modules() if isinstance(module, RSign)
    }
    if not found:
        raise ValueError('The network has no RSign: its activations are not '
                         'binarized. Give the config of a 1-bit network.')
    return {name: found[name] for name in select_layers(list(found), layers)}


@contextmanager
def record_distributions(
        layers: Dict[str, RSign]) -> Iterator[Dict[str, Distribution]]:
    """Count what reaches layers while the model runs within the context.

    Raises:
        ValueError: When the model runs, if values are not finite.
    """
    found: Dict[str, Distribution] = {}

    def count(name: str, layer: RSign, x: Tensor) -> None:
        shifted = centre(layer, x)
        if name not in found:
            found[name] = _empty(name, layer, x, shifted)
        one = found[name]
        one.number += x.numel()
        one.positive_before += int((x > 0).sum())
        one.positive_after += int((shifted > 0).sum())
        one.before += _histogram(x, one.edges)
        one.after += _histogram(shifted, one.edges)

    handles = [
        layer.register_forward_pre_hook(lambda layer, args, name=name: count(
            name, layer, args[0].detach())) for name, layer in layers.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _empty(name: str, layer: RSign, x: Tensor,
           shifted: Tensor) -> Distribution:
    sides = [(t.mean().item(), 4 * t.std(unbiased=False).item())
             for t in (x.double(), shifted.detach().double())]
    low = min(mean - reach for mean, reach in sides)
    high = max(mean + reach for mean, reach in sides)
    if not np.isfinite([low, high]).all():
        raise ValueError(f'{name} gets values that are not finite (NaN or '
                         'infinite): the checkpoint is of no use.')
    if low == high:  # all values are the same
        low, high = low - 1, high + 1
    return Distribution(
        np.linspace(low, high, BINS + 1),
        np.zeros(BINS),
        np.zeros(BINS),
        learnable=layer.alpha is not None)


def _histogram(x: Tensor, edges: np.ndarray) -> np.ndarray:
    """In double precision, where counts of any size are exact."""
    return torch.histc(x.detach().double(), BINS, edges[0],
                       edges[-1]).cpu().numpy()


def draw_distributions(columns: Dict[str, Dict[str, Distribution]]) -> Figure:
    """A row a layer and a column a checkpoint.

    Args:
        columns (dict): Title -> layer -> distribution, with the same layers
            in each.

    Raises:
        ValueError: If the layers differ.
    """
    first, *others = columns.values()
    for title, other in zip(list(columns)[1:], others):
        if differing := sorted(first.keys() ^ other.keys()):
            raise ValueError(
                f'{title} has other layers with an RSign, so that they cannot '
                f'stand side by side: {", ".join(differing)}. Choose common '
                'ones with --layers.')
    panels = make_panels(
        len(first), len(columns), 4.2, 1.5, sharex='row', sharey='row')
    for panel, (title, layers) in zip(panels.T, columns.items()):
        panel[0].annotate(
            title, (0.5, 1), (0, 17),
            'axes fraction',
            'offset points',
            ha='center',
            fontsize=8)
        for axes, name in zip(panel, first):
            _draw(axes, layers[name])
            axes.set_title(
                f'{name}: {_percent(layers[name])}', fontsize=7, loc='left')
    figure = panels[0, 0].figure
    handles = {
        label: handle
        for axes in panels.flat
        for handle, label in zip(*axes.get_legend_handles_labels())
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc='outside lower center',
        ncols=2,
        frameon=False,
        fontsize=8)
    return figure


def _percent(one: Distribution) -> str:
    if not one.learnable:
        return f'{one.share_after:.1%} become +1'
    return (f'{one.share_after:.1%} become +1 ({one.share_before:.1%} with '
            'alpha = 0)')


def _draw(axes, one: Distribution) -> None:
    axes.stairs(
        one.density(one.before),
        one.edges,
        fill=True,
        color=BEFORE,
        label='x, before RSign')
    if one.learnable:
        axes.stairs(
            one.density(one.after),
            one.edges,
            color=AFTER,
            label='x - alpha, of which RSign takes the sign')
    axes.axvline(0, color='0.2', lw=0.8)
    axes.set_yticks([])

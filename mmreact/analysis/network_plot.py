"""Draw published accuracy over operations."""
from typing import Dict, List, Sequence, Tuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from .networks import Network

COLORS = ('#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#8c564b',
          '#d6459f', '#0f99a8', '#606060', '#858500', '#000000', '#1a9850',
          '#08519c', '#c51b7d')
#: One fewer than colours, so that both together repeat late.
MARKERS = 'osD^vPX<>hp*d'
#: Where a label may stand, in points from its marker, the nearest first.
DIRECTIONS = ((9, 0), (-9, 0), (0, 10), (0, -10), (8, 6), (8, -6), (-8, 6),
              (-8, -6), (5, 9), (5, -9), (-5, 9), (-5, -9))
OFFSETS = [(dx * distance, dy * distance) for distance in (1, 1.5, 2, 2.7, 3.5)
           for dx, dy in DIRECTIONS]


def plot_networks(networks: Sequence[Network]) -> Figure:
    """Plot published top-1 over OPs, a line a family.

    The OPs are the published ones (filled markers), else the counted ones
    (hollow markers). Networks without a published accuracy are left out.

    Raises:
        ValueError: If none has one.
    """
    families: Dict[str, List[Network]] = {}
    for network in networks:
        if network.top1 is not None:
            families.setdefault(network.family, []).append(network)
    if not families:
        raise ValueError('No network has a published accuracy: there is '
                         'nothing to draw. Give Results in a metafile.')
    figure = Figure(figsize=(11, 8.5), dpi=100, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(
        xscale='log',
        xlabel='OPs = BOPs / 64 + FLOPs, for one 224x224 image',
        ylabel='published top-1 accuracy on ImageNet-1k (%)')
    axes.grid(True, which='both', color='0.93')
    axes.set_axisbelow(True)
    for i, (family, members) in enumerate(families.items()):
        _draw_family(axes, family, members, COLORS[i % len(COLORS)],
                     MARKERS[i % len(MARKERS)])
    axes.margins(0.12, 0.07)
    handles, _ = axes.get_legend_handles_labels()
    handles += [
        Line2D([], [],
               color='0.3',
               marker='o',
               linestyle='',
               label=label,
               markerfacecolor=face)
        for label, face in (('OPs as published', '0.3'),
                            ('OPs counted, none published', 'white'))
    ]
    figure.legend(
        handles=handles, loc='outside lower center', ncols=5, frameon=False)
    canvas.draw()
    _place_labels(axes)
    return figure


def position(network: Network) -> float:
    """OPs to draw a network at: the published ones, else the counted."""
    return float(network.published.get('OPs', network.counted['ops']))


def _draw_family(axes: Axes, family: str, members: List[Network], color: str,
                 marker: str) -> None:
    points = sorted(
        (position(member), member.top1, member.name, 'OPs' in member.published)
        for member in members)
    style = dict(color=color, marker=marker, markersize=7, linewidth=1.1)
    axes.plot([point[0] for point in points], [point[1] for point in points],
              label=family,
              **style)
    for x, y, name, published in points:
        if not published:
            axes.plot(x, y, markerfacecolor='white', **style)
        axes.annotate(
            name, (x, y),
            xytext=OFFSETS[0],
            textcoords='offset points',
            fontsize=8,
            color=color,
            arrowprops=dict(
                arrowstyle='-', color=color, lw=0.5, shrinkA=0, shrinkB=3),
            bbox=dict(boxstyle='square,pad=0', fc='white', ec='none', lw=0))


def _place_labels(axes: Axes) -> None:
    """Move each label, in turn, to the place that costs least.

    What costs: to leave the axes, to cover a label or a marker, to be near
    another marker, to cover a line, to be far away; in this order.
    """
    renderer = axes.figure.canvas.get_renderer()
    inside = axes.get_window_extent(renderer)
    lines = [
        axes.transData.transform(line.get_xydata()) for line in axes.lines
    ]
    points = np.concatenate(lines)
    between = np.concatenate([_walk(line) for line in lines])
    taken: List[Bbox] = []
    for label in axes.texts:
        own = np.hypot(*(points - axes.transData.transform(label.xy)).T) < 2
        others, costs = points[~own], []
        for tier, offset in enumerate(OFFSETS):
            box = _move(label, offset, renderer)
            outside = sum(not inside.contains(*corner)
                          for corner in (box.min, box.max))
            costs.append(1000 * outside + 100 * sum(map(box.overlaps, taken)) +
                         100 * _number_inside(box.padded(5), points) +
                         10 * _number_inside(box.padded(12), others) +
                         _number_inside(box, between) + tier / 3)
        taken.append(_move(label, OFFSETS[int(np.argmin(costs))], renderer))


def _move(label: Annotation, offset: Tuple[float, float], renderer) -> Bbox:
    """Put a label beside its marker and return what it then covers."""
    dx, dy = offset
    label.set_position(offset)
    label.set_ha('left' if dx > 0 else 'right' if dx < 0 else 'center')
    label.set_va('bottom' if dy > 0 else 'top' if dy < 0 else 'center')
    return Text.get_window_extent(label, renderer)  # without the leader


def _walk(line: np.ndarray, step: float = 8) -> np.ndarray:
    """Points every few pixels along a line ``(N, 2)``."""
    pieces = [line[:1]]
    for start, end in zip(line, line[1:]):
        number = int(np.hypot(*(end - start)) / step) + 2
        pieces.append(np.linspace(start, end, number))
    return np.concatenate(pieces)


def _number_inside(box: Bbox, points: np.ndarray) -> int:
    return int(np.all((points > box.min) & (points < box.max), axis=1).sum())


def save_plot(figure: Figure, path: str) -> None:
    """Write a figure to ``.png`` or ``.svg``, the same bytes each time."""
    metadata = dict(Date=None) if str(path).endswith('.svg') else None
    with rc_context({'svg.hashsalt': 'mmreact', 'svg.fonttype': 'none'}):
        figure.savefig(path, metadata=metadata)

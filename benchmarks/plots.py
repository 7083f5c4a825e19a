"""The two plots of docs/performance.md."""
from pathlib import Path
from typing import List

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmreact.analysis.network_plot import save_plot

from .tables import bound, label
from .targets import Results

#: Longer bars are left out: they would hide what lies close together.
LONGEST_MS = 10
#: Beginning of an engine's name -> colour, name in the legend.
KINDS = {
    'native': ('#d62728', '1-bit, mmreact'),
    'openvino-binary': ('#ff9896', '1-bit, OpenVINO'),
    'int8': ('#1f77b4', 'int8'),
    'openvino-default': ('#7fb3d5', 'bf16'),
    'fp32': ('#b0b0b0', 'fp32'),
}


def kind_of(engine: str) -> str:
    return next((kind for kind in KINDS if kind in engine), 'fp32')


def figure(width: float, height: float, **axes):
    made = Figure(figsize=(width, height), dpi=100, layout='constrained')
    FigureCanvasAgg(made)
    return made, made.add_subplot(**axes)


def bars(results: Results) -> Figure:
    """Time of an image for each contender: the minimum, and the median."""
    doc = results['networks_1']
    rows = [
        row for row in doc['results']
        if row['min_ms'] < LONGEST_MS and ':' not in row['engine']
    ]
    rows.sort(key=lambda row: row['min_ms'])
    made, axes = figure(
        9,
        0.6 + 0.26 * len(rows),
        xlabel='milliseconds an image, one thread: minimum (bar) and median '
        '(line)')
    for i, row in enumerate(rows):
        color, name = KINDS[kind_of(row['engine'])]
        axes.barh(i, row['min_ms'], color=color, label=name, height=0.72)
        axes.plot([row['min_ms'], row['median_ms']], [i, i], color='0.2')
        axes.text(
            max(row['min_ms'], row['median_ms']),
            i,
            f'  {row["min_ms"]:.2f}',
            va='center',
            fontsize=9)
    axes.set_yticks(
        range(len(rows)), [
            f'{row["network"]} '
            f'({doc["networks"][row["network"]]["top1"]:.1f} %) · '
            f'{label(row)}' for row in rows
        ],
        fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.01)
    axes.spines[['top', 'right']].set_visible(False)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels())))
    names = [name for _, name in KINDS.values() if name in handles]
    axes.legend([handles[name] for name in names],
                names,
                loc='upper right',
                frameon=False)
    return made


def roofline(results: Results) -> Figure:
    """1-bit layers under what popcounting and memory allow."""
    doc = results['layers']
    peak = doc['peaks']['gmacs'][doc['kernel']]
    made, axes = figure(
        9,
        6,
        xscale='log',
        yscale='log',
        xlabel='multiply-accumulates for each byte read or written',
        ylabel='GMAC/s')
    rows = [
        row for row in doc['results']
        if row['added'] and row['added']['min_ms'] > 0
    ]
    intensity = [row['macs']['binary'] / row['bytes'] for row in rows]
    x = np.geomspace(min(intensity) / 1.6, max(intensity) * 2)
    for (size, speed), style in zip(
            list(doc['peaks']['gigabytes'].items())[1:], ('--', ':')):
        axes.plot(
            x,
            np.minimum(peak, speed * x),
            style,
            color='0.5',
            label=f'floats of {size}, changed in place: {speed:.0f} GB/s')
    axes.axhline(peak, color='0.2', label=f'popcounting: {peak:.0f} GMAC/s')
    for shape, marker, color, offset in (('3x3', 's', '#d62728', (-4, 7)),
                                         ('1x1', 'o', '#1f77b4', (5, -11))):
        points = [(i, row) for i, row in zip(intensity, rows)
                  if row['layer'].startswith(shape)]
        axes.plot(
            [i for i, _ in points],
            [peak * bound(doc, r) / r['added']['min_ms'] for _, r in points],
            marker,
            color=color,
            label=f'{shape} layers of {doc["network"]}')
        for i, row in points:
            axes.annotate(
                short(row),
                (i, peak * bound(doc, row) / row['added']['min_ms']),
                offset,
                textcoords='offset points',
                color=color,
                fontsize=8)
    axes.grid(True, which='both', color='0.93')
    axes.set_axisbelow(True)
    axes.legend(loc='lower right', fontsize=9)
    return made


def short(row: dict) -> str:
    """Channels, size of the input, and what else there is."""
    channels, height, _ = row['input_shape']
    stride = ' /2' if 'stride' in row['layer'] else ''
    twice = ' x2' if 'twice' in row['layer'] else ''
    return f'{channels}@{height}{stride}{twice}'


def draw(results: Results, folder: Path) -> List[Path]:
    """Write both as SVG."""
    paths = []
    for plot in (bars, roofline):
        paths.append(folder / f'performance_{plot.__name__}.svg')
        save_plot(plot(results), paths[-1])
    return paths

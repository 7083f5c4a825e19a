"""Draw every seed of every method as a point."""
from typing import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .seeds import Row, interval


def plot_seeds(rows: Sequence[Row], label: str) -> Figure:
    """A line for each method: its seeds, their mean and its 95 % interval.

    Args:
        rows (Sequence[Row]): From :func:`~mmreact.analysis.seeds.summarize`.
        label (str): What the results are, e.g. 'accuracy/top1'.

    Raises:
        ValueError: If no run has a result.
    """
    if not any(row.n for row in rows):
        raise ValueError('No run has a result: there is nothing to draw.')
    figure = Figure(
        figsize=(8, 1.2 + 0.45 * len(rows)), dpi=100, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel=label)
    axes.grid(True, axis='x', color='0.9')
    axes.set_axisbelow(True)
    for y, row in enumerate(rows):
        values = list(row.values.values())
        axes.plot(
            values, [y] * len(values),
            'o',
            color='#1f77b4',
            alpha=0.6,
            label='' if y else 'a seed')
        if row.mean is not None:
            axes.plot(row.mean, y, '|', color='#d62728', markersize=16, mew=2)
        low, high = interval(values)
        if low is not None:
            axes.plot([low, high], [y, y], color='#d62728', linewidth=1.5)
    axes.set_yticks(
        range(len(rows)), [f'{row.name} (n = {row.n})' for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title('points: seeds, red: mean and 95 % interval', fontsize=9)
    return figure

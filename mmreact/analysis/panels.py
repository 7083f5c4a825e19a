"""Figures with a panel for each layer of a network."""
from fnmatch import fnmatchcase
from typing import List, Optional, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def select_layers(names: Sequence[str],
                  patterns: Optional[Sequence[str]] = None) -> List[str]:
    """Those layers that a pattern matches, in their order; without patterns
    all.

    Args:
        names (Sequence[str]): Names of layers, e.g. 'backbone.layer1.0.sign'.
        patterns (Sequence[str], optional): Names with the wildcards of
            :mod:`fnmatch`, e.g. 'backbone.layer1.*'.

    Raises:
        ValueError: For a pattern that matches none. The message lists them.
    """
    for pattern in patterns or ():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f'The pattern {pattern!r} matches no layer. The '
                             f'layers: {", ".join(names) or "none"}.')
    return [
        name for name in names
        if not patterns or any(fnmatchcase(name, p) for p in patterns)
    ]


def make_panels(rows: int, columns: int, width: float, height: float,
                **kwargs) -> np.ndarray:
    """Axes ``(rows, columns)`` of a new figure; a panel's size in inches.

    Further arguments are those of
    :meth:`matplotlib.figure.Figure.subplots`.
    """
    figure = Figure(
        figsize=(columns * width, rows * height + 0.6),
        dpi=100,
        layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False, **kwargs)
    for axes in panels.flat:
        axes.grid(True, color='0.93')
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=7)
    return panels

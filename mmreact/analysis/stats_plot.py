"""Read what BinaryStatsHook logged, and draw it."""
import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from matplotlib.figure import Figure

from .binary_stats import FILE
from .panels import make_panels, select_layers

#: Statistic -> title of its figure. Those that are logged as minimum, median
#: and maximum are drawn as a line within a band.
FIGURES = dict(
    sign_flips='Share of weight signs that flipped since the last log',
    weight_zero_gradient='Share of weights without a gradient',
    weight_magnitude='Mean |W|',
    activation_zero_gradient='Share of activations without a gradient',
    positive_share='Share of +1 behind RSign: range and median over channels',
    dead_channels='Channels that are always +1 or always -1 in the batch',
    alpha='Thresholds of RSign: range and median over channels',
    gamma='Shifts before RPReLU: range and median over channels',
    zeta='Shifts behind RPReLU: range and median over channels')
COLOR = '#d62728'
COLUMNS = 5

#: Iteration -> key ('statistic/layer') -> number.
Log = Dict[int, Dict[str, float]]


def find_logs(source: Union[str, Path]) -> List[Path]:
    """The log files of a run, the oldest first.

    Args:
        source (str | Path): A log file, or the work directory of a run or a
            folder within.

    Raises:
        FileNotFoundError: If there is none.
    """
    source = Path(source)
    if source.is_file():
        return [source]
    for pattern in (f'*/vis_data/{FILE}', f'vis_data/{FILE}', FILE):
        # MMEngine names the folders by the time at which they were begun.
        if found := sorted(source.glob(pattern)):
            return found
    below = sorted(
        {str(path.parents[2])
         for path in source.glob(f'**/vis_data/{FILE}')})
    hint = (f'These work directories below it do: {", ".join(below)}.'
            if below else 'Train with BinaryStatsHook: --cfg-options '
            'default_hooks.binary_stats.interval=100.')
    raise FileNotFoundError(f'{source} holds no {FILE}. {hint}')


def read_log(source: Union[str, Path]) -> Log:
    """Read the log of a run.

    What a resumed run repeats replaces what was there. A last line that was
    not finished is left out.

    Raises:
        FileNotFoundError: See :func:`find_logs`.
        ValueError: If a file has no line, or one that is not of such a log.
    """
    log: Log = {}
    paths = find_logs(source)
    for path in paths:
        new = _read_file(path)
        first = min(new, default=np.inf)
        log = {step: v for step, v in log.items() if step < first}
        log.update(new)
    if not log:
        raise ValueError(f'{paths[-1]} is empty: no iteration was logged yet.')
    return log


def _read_file(path: Path) -> Log:
    with open(path, encoding='utf-8', errors='replace') as f:
        lines = f.read().split('\n')
    log: Log = {}
    for number, line in enumerate(lines[:-1], 1):  # whole ones end with \n
        try:
            values = json.loads(line)
            step = values.pop('step')
            if not (isinstance(step, int) and all(
                    isinstance(v, (int, float)) and '/' in key
                    for key, v in values.items())):
                raise ValueError
        except (ValueError, TypeError, AttributeError, KeyError,
                RecursionError):
            raise ValueError(
                f'{path}, line {number}, is no line of {FILE}: '
                f'{line[:60]!r}. Give the log that BinaryStatsHook wrote, not '
                'scalars.json.') from None
        log[step] = values
    return log


def draw_log(log: Log,
             layers: Optional[Sequence[str]] = None) -> Dict[str, Figure]:
    """A figure for each statistic that was logged, a panel a layer.

    Args:
        log (dict): From :func:`read_log`.
        layers (Sequence[str], optional): Patterns, see
            :func:`.panels.select_layers`.

    Returns:
        dict[str, Figure]: By the keys of ``FIGURES``, in their order.

    Raises:
        ValueError: For a pattern that matches no layer, or a log of other
            numbers.
    """
    names = {  # once each, in their order
        key.split('/', 1)[1]: None
        for values in log.values()
        for key in values
    }
    chosen = select_layers(list(names), layers)
    figures = {}
    for statistic, title in FIGURES.items():
        curves = {name: _curve(log, statistic, name) for name in chosen}
        curves = {name: c for name, c in curves.items() if len(c[0])}
        if curves:
            figures[statistic] = _draw(title, curves)
    if not figures:
        raise ValueError('The log holds none of the statistics that are '
                         f'drawn: {", ".join(FIGURES)}.')
    return figures


def _curve(log: Log, statistic: str, name: str) -> Tuple[list, np.ndarray]:
    """Iterations ``[n]`` and values ``(n, 1)``, or ``(n, 3)`` of a range."""
    found = []
    for suffixes in ([''], ['_min', '_median', '_max']):
        keys = [f'{statistic}{suffix}/{name}' for suffix in suffixes]
        found += [(step, [values[key] for key in keys])
                  for step, values in sorted(log.items())
                  if all(key in values for key in keys)]
    return [step for step, _ in found], np.array([v for _, v in found])


def _draw(title: str, curves: Dict[str, Tuple[list, np.ndarray]]) -> Figure:
    columns = min(len(curves), COLUMNS)
    rows = -(-len(curves) // columns)
    panels = make_panels(rows, columns, 2.8, 1.7, sharex=True, sharey=True)
    for axes, (name, (steps, values)) in zip(panels.flat, curves.items()):
        # A single log would be an invisible line.
        marker = 'o' if len(steps) == 1 else None
        axes.plot(
            steps,
            values[:, values.shape[1] // 2],
            color=COLOR,
            lw=1,
            marker=marker)
        if values.shape[1] == 3:
            axes.fill_between(
                steps, values[:, 0], values[:, 2], color=COLOR, alpha=0.2)
        axes.set_title(name, fontsize=7)
    for axes in panels.flat[len(curves):]:
        axes.remove()
    for axes in panels.flat[len(curves) - columns:len(curves)]:
        axes.tick_params(labelbottom=True)  # also above a removed one
    figure = panels[0, 0].figure
    figure.suptitle(title, fontsize=11)
    figure.supxlabel('iteration', fontsize=9)
    return figure

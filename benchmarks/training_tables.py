"""The table of docs/training.md about memory and time of a training step."""
from typing import Callable, Dict, List, Optional

from .tables import table
from .targets import Results

MIB = 2**20


def number(row: dict, key: str) -> float:
    """A figure of a contender: ``'saved_bytes'``, ``'train min_ms'``."""
    for part in key.split():
        row = row[part]
    return row


def line(doc: dict, what: str, key: str, target: Optional[float],
         speed_up: bool) -> List[str]:
    """A row of the table; ratios are ours by the twin's, or for a speed-up
    the other way round.
    """
    rows = {row['contender']: row for row in doc['results']}
    unit, form = (MIB, '.0f') if key.endswith('bytes') else (1000, '.2f')
    twin = number(rows['naive'], key)
    cells, ratios = [f'{twin / unit:{form}}'], []
    for name in ('ours', 'with_cp'):
        value = number(rows[name], key) if name in rows else None
        ratio = value and (twin / value if speed_up else value / twin)
        ratios.append(ratio)
        cells += ['–', '–'] if value is None else [
            f'{value / unit:{form}}', f'{ratio:.3f}'
        ]
    aim = ['', '']
    if target:
        holds = ratios[0] >= target if speed_up else ratios[0] <= target
        aim = [f'{"≥" if speed_up else "≤"} {target}', 'no yes'.split()[holds]]
    return [what, *cells[:3], *aim, *cells[3:]]


def training(results: Results) -> str:
    """Memory and time, eager and compiled."""
    eager, compiled = results['training'], results['training_compiled']
    rows = [line(eager, 'kept for backward, MiB', 'saved_bytes', .25, False)]
    for doc, how, memory, time in ((eager, '', .45, .75),
                                   (compiled, 'compiled: ', 1., .95)):
        rows.append(
            line(doc, f'{how}peak resident memory, MiB', 'peak_bytes', memory,
                 False))
        held = None if how else 2.5
        batch = f'evaluation, batch {doc["batch"]}'
        for kind, what, aim, speed_up in (('train', 'step', time, False),
                                          ('evaluate', batch, held,
                                           True), ('evaluate_one',
                                                   'evaluation, one image',
                                                   held, True)):
            for which in ('min', 'median'):
                rows.append(
                    line(doc, f'{how}{what}, {which}, s', f'{kind} {which}_ms',
                         aim, speed_up))
    texts = [
        f'`{d["command"]}`, load {d["load_average"][0]:.1f} before and '
        f'{d["load_average"][1]:.1f} after' for d in (eager, compiled)
    ]
    where = eager['machine']
    return table([
        '', 'naive twin', 'ours', 'ratio', 'target', 'holds', '`with_cp`',
        'ratio'
    ], rows) + (f'\n\n{"; ".join(texts)}; {where["cpu"]}, {eager["date"]}, '
                f'torch {where["versions"]["torch"]}. Ratios of evaluation '
                'say how many times ours is faster.')


def floor(results: Results) -> str:
    """What of the peak is there whatever a network keeps."""
    doc = results['training']
    rows = {row['contender']: row for row in doc['results']}
    imports = min(row['import_bytes'] for row in rows.values())
    states = 4 * doc['parameter_bytes']
    twin, ours = (rows[name] for name in ('naive', 'ours'))
    least = imports + states + ours['saved_bytes']
    above = [row['peak_bytes'] - imports - states for row in (ours, twin)]
    share = (imports + states) / twin['peak_bytes']
    return (
        f'Of the peak, {imports / MIB:.0f} MiB are there after the imports '
        f'(torch, torchvision, MMPretrain); {states / MIB:.0f} are weights, '
        'their gradients and Adam\'s two moments. Together that is '
        f'{share:.2f} of the twin\'s peak. With what is kept for '
        'backward, and not one temporary map, ours '
        f'would be at {least / twin["peak_bytes"]:.2f}. Above this floor it '
        f'takes {above[0] / MIB:.0f} MiB where the twin takes '
        f'{above[1] / MIB:.0f}: {above[0] / above[1]:.2f} of it.')


def convolutions(results: Results) -> str:
    """How much of the eager times is beyond the layers' reach."""
    doc = results['training']
    rows = {row['contender']: row for row in doc['results']}
    texts = []
    for kind, what in (('train', 'a step'),
                       ('evaluate', f'evaluating {doc["batch"]} images'),
                       ('evaluate_one', 'evaluating one')):
        twin, ours = (rows[name][kind] for name in ('naive', 'ours'))
        own, all_ours, all_twins = (ours['convolution_ms'], ours['min_ms'],
                                    twin['min_ms'])
        texts.append(f'{own:.0f} of {all_ours:.0f} ms of {what}: everything '
                     f'else takes {all_ours - own:.0f} ms, and '
                     f'{all_twins - twin["convolution_ms"]:.0f} in the twin')
    return ('PyTorch\'s float convolutions (oneDNN), which are the same in '
            f'both, take {"; ".join(texts)} (profiled, minima of three).')


#: Name in the page -> function of the results.
SECTIONS: Dict[str, Callable[[Results], str]] = dict(
    training=training, floor=floor, convolutions=convolutions)

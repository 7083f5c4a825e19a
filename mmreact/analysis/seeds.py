"""Compare methods that were trained with several seeds.

Runs with the same seed see the same data in the same order, so methods are
compared seed by seed: the paired differences vary less than the results.
"""
import csv
import io
import json
from dataclasses import asdict, dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

#: Confidence of all intervals.
LEVEL = 0.95


@dataclass(frozen=True)
class Sample:
    """What one method reached.

    Args:
        name (str): The method.
        values (dict[int, float]): Seed -> result, of the runs that have one.
        seconds (tuple[float]): Training times of those runs that know it.
        problems (tuple[str]): What happened to the runs without a result.
    """
    name: str
    values: Dict[int, float]
    seconds: Tuple[float, ...] = ()
    problems: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Statistics of one method; None where there are too few runs.

    ``std`` is the sample standard deviation (n - 1) and needs two runs.
    ``difference`` is the mean over the seeds that the baseline has too of
    result minus the baseline's result; ``low`` and ``high`` are its 95 %
    interval by Student's t with ``pairs - 1`` degrees of freedom.
    """
    name: str
    n: int
    mean: Optional[float]
    std: Optional[float]
    pairs: int
    difference: Optional[float]
    low: Optional[float]
    high: Optional[float]
    seconds: Optional[float]
    values: Dict[int, float] = field(default_factory=dict)
    problems: Tuple[str, ...] = ()


def summarize(samples: Sequence[Sample],
              baseline: Optional[str] = None) -> List[Row]:
    """Make a row for each method.

    Args:
        samples (Sequence[Sample]): One a method.
        baseline (str, optional): The method that the others are compared
            with. Defaults to the first.

    Raises:
        ValueError: If there is no method of the baseline's name.
    """
    names = [sample.name for sample in samples]
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise ValueError(f'There is no {baseline!r} to compare with. There '
                         f'are: {", ".join(names)}.')
    reference = samples[names.index(baseline)]
    return [_row(sample, reference) for sample in samples]


def _row(sample: Sample, reference: Sample) -> Row:
    values = list(sample.values.values())
    differences = [] if sample is reference else [
        value - reference.values[seed]
        for seed, value in sample.values.items() if seed in reference.values
    ]
    low, high = interval(differences)
    return Row(
        name=sample.name,
        n=len(values),
        mean=_mean(values),
        std=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        pairs=len(differences),
        difference=_mean(differences),
        low=low,
        high=high,
        seconds=_mean(sample.seconds),
        values=dict(sample.values),
        problems=sample.problems)


def _mean(values: Sequence[float]) -> Optional[float]:
    return float(np.mean(values)) if len(values) else None


def interval(
        values: Sequence[float]) -> Tuple[Optional[float], Optional[float]]:
    """The 95 % interval of the mean of a normal sample, by Student's t.

    ``mean -+ t(0.975, n - 1) * std / sqrt(n)``; ``(None, None)`` for fewer
    than two values.
    """
    if len(values) < 2:
        return None, None
    from scipy.stats import t
    half = t.ppf((1 + LEVEL) / 2,
                 len(values) - 1) * np.std(
                     values, ddof=1) / np.sqrt(len(values))
    mean = np.mean(values)
    return float(mean - half), float(mean + half)


def cells(rows: Sequence[Row]) -> List[List[str]]:
    """The table for people: a line of titles and a line for each row."""
    table = [[
        'method', 'mean', 'std', 'n', 'difference', '95 % interval', 'seconds'
    ]]
    for row in rows:
        between = ''
        if row.low is not None:
            between = f'{row.low:+.2f} to {row.high:+.2f}'
        table.append([
            row.name,
            _number(row.mean, '.2f'),
            _number(row.std, '.2f'),
            str(row.n),
            _number(row.difference, '+.2f'), between,
            _number(row.seconds, ',.0f')
        ])
    return table


def _number(value: Optional[float], form: str) -> str:
    return '' if value is None else format(value, form)


def text_table(rows: Sequence[Row]) -> str:
    """Columns of plain text, and what went wrong below them."""
    table = cells(rows)
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = [
        '  '.join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths)))
        for line in table
    ]
    lines += [
        f'{row.name}: {problem}' for row in rows for problem in row.problems
    ]
    return '\n'.join(line.rstrip() for line in lines) + '\n'


def markdown_table(rows: Sequence[Row]) -> str:
    """A table of Markdown; problems follow as a list."""
    head, *body = cells(rows)
    lines = ['| ' + ' | '.join(head) + ' |', '|---' + '|--:' * 6 + '|']
    lines += [
        '| ' + ' | '.join(cell.replace('|', r'\|') for cell in line) + ' |'
        for line in body
    ]
    problems = [
        f'- {row.name}: {problem}' for row in rows for problem in row.problems
    ]
    return '\n'.join(lines + ([''] + problems if problems else [])) + '\n'


def csv_table(rows: Sequence[Row]) -> str:
    """Every run: method, seed, result; runs without a result have none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(['method', 'seed', 'result', 'problem'])
    for row in rows:
        writer.writerows([row.name, seed, value, '']
                         for seed, value in sorted(row.values.items()))
        writer.writerows([row.name, '', '', problem]
                         for problem in row.problems)
    return out.getvalue()


def json_table(rows: Sequence[Row]) -> str:
    """All that :class:`Row` has, as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=1) + '\n'

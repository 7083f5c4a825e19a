"""Keys of a config that also hold in the runs before it.

A config that changes a recipe of several runs says which of its values reach
how far::

    all_stages = ['model.backbone.estimator']  # what it starts from, too
    all_runs = ['train_dataloader', 'model.head.num_classes']  # and teachers

A run before takes the whole value of such a key from the config that lists
it, whatever its own file says. Options of the command line go last.
"""
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

from mmengine.config import Config

from ...utils.config_options import check_is_read

LISTS = ('all_stages', 'all_runs')


@dataclass
class SharedKeys:
    """Values that a run hands to those before it, by their dotted keys.

    ``stages`` reach what it starts from, ``runs`` also the teachers.
    """
    stages: Dict[str, Any] = field(default_factory=dict)
    runs: Dict[str, Any] = field(default_factory=dict)

    def for_teacher(self) -> 'SharedKeys':
        """What reaches a teacher."""
        return SharedKeys({}, self.runs)

    def apply(self, name: str, cfg: Config) -> None:
        """Put the values into the config of the run ``name``.

        Raises:
            ValueError: If the config has no place for a key.
        """
        for label, values in zip(LISTS, (self.stages, self.runs)):
            for key, value in values.items():
                try:
                    parent, last = _parent(cfg, key)
                    parent[last] = deepcopy(value)
                except (KeyError, IndexError, TypeError):
                    raise ValueError(
                        f'{label} hands {key} to {name}, whose config has no '
                        'place for it. List a key that both have.') from None
            if values:  # a record of this run says it for itself
                known = cfg.get(label) or []
                cfg[label] = [*known, *(k for k in values if k not in known)]

    def includes(self, other: 'SharedKeys') -> bool:
        """Whether all of the other's values are among these."""
        mine = {**self.runs, **self.stages}
        return all(key in mine and mine[key] == value for key, value in {
            **other.runs,
            **other.stages
        }.items())


def read_shared_keys(name: str, cfg: Config,
                     inherited: SharedKeys) -> SharedKeys:
    """What a run hands on: the keys that its config lists, and those before.

    Args:
        name (str): The run's name, for messages.
        cfg (Config): Its config, with all options.
        inherited (SharedKeys): What it was handed itself; goes on as it is.

    Raises:
        ValueError: If a list is none of keys, or the config has no such key.
    """
    found = []
    for label in LISTS:
        keys = cfg.get(label) or []
        if not isinstance(keys, (list, tuple)) or not all(
                isinstance(key, str) for key in keys):
            raise ValueError(f'{label} of {name} must be a list of keys such '
                             f"as ['train_dataloader'], got {keys!r}.")
        for key in keys:
            check_is_read(cfg, key, f'{label} of {name}')
        found.append({key: _value(name, label, cfg, key) for key in keys})
    return SharedKeys({
        **found[0],
        **inherited.stages
    }, {
        **found[1],
        **inherited.runs
    })


def _value(name: str, label: str, cfg: Config, key: str) -> Any:
    try:
        parent, last = _parent(cfg, key)
        return parent[last]
    except (KeyError, IndexError, TypeError):
        raise ValueError(f'{label} of {name} lists {key}, which its config '
                         'does not have.') from None


def _parent(cfg: Config, key: str) -> Tuple[Any, Any]:
    """The dict or list that holds a dotted key, and the last part of it."""
    *places, last = key.split('.')
    value: Any = cfg
    for place in places:
        value = value[_index(value, place)]
    if not isinstance(value, (dict, list, Config)):
        raise TypeError
    return value, _index(value, last)


def _index(value: Any, place: str):
    return int(place) if isinstance(value, list) and place.isdigit() else place

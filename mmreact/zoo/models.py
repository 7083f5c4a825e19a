"""Networks by name, in PyTorch."""
from pathlib import Path
from typing import Union

from mmengine.model import BaseModel

from .. import models  # noqa: F401, registers the networks
from ..utils.checkpoint import (find_weights, load_checkpoint,
                                recorded_classes, recorded_meta)
from ..utils.config_files import read_config
from .catalogue import info
from .files import checkpoint_file


def get_model(name: str,
              pretrained: Union[bool, str, Path] = False,
              **kwargs) -> BaseModel:
    """Build a network of the catalogue.

    Args:
        name (str): Its name.
        pretrained (bool | str | Path): True takes the published weights, and
            it is an error if there are none; False leaves the network
            untrained; a path takes this checkpoint. Defaults to
            False, as in MMPretrain.
        **kwargs: Changes to the config's ``model``, e.g.
            ``head=dict(num_classes=10)``.

    Returns:
        BaseModel: In eval mode, on the CPU. MMPretrain's inferencers take it.

    Raises:
        ZooError: If there is no such name, or no weights.
        CheckpointError: If the checkpoint cannot be read or does not fit.
    """
    from mmpretrain.apis import get_model as build
    row = info(name)
    source = None
    if pretrained is not False:
        source = checkpoint_file(name) if pretrained is True else pretrained
    model = build(read_config(row.config), **kwargs)
    if source is not None:
        checkpoint = load_checkpoint(source)
        reading = find_weights(
            model,
            checkpoint,
            str(source),
            hint='Give head=dict(num_classes={}) (VGG: backbone=...).')
        model.load_state_dict(reading.weights)
        if recorded_classes(checkpoint):
            model._dataset_meta = recorded_meta(checkpoint)['dataset_meta']
    return model

"""Classify single images with a checkpoint."""
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Optional, Union

import torch

from ..packed.command import say_trained_on
from ..packed.image_files import Predict
from ..packed.model import Prediction, top_classes
from ..utils.checkpoint import load_checkpoint
from ..utils.config_files import read_config
from ..utils.recorded_config import recorded_config, using_recorded
from .packing import class_names, load_model
from .stages.checks import get_num_classes
from .test_images import image_preprocessing, note_on_sizes, training_images


def checkpoint_predict(checkpoint: Union[str, Path],
                       topk: int,
                       config: Optional[str] = None,
                       device: Optional[str] = None) -> Predict:
    """What classifies image files with a checkpoint.

    Images are prepared as by a packed file of it: as its test pipeline does.
    What the network was trained on is said on standard error.

    Args:
        checkpoint (str | Path): File or address.
        topk (int): How many classes to give, or all if there are fewer.
        config (str, optional): Config file. Defaults to what the checkpoint
            records.
        device (str, optional): Defaults to a GPU if there is one.

    Raises:
        CheckpointError: If the checkpoint cannot be read, does not fit, or
            records no config.
        LoweringError: If the test pipeline has parts that packed files do not
            know.
    """
    content = load_checkpoint(checkpoint)
    cfg = read_config(config) if config else recorded_config(
        content, str(checkpoint))
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    with nullcontext() if config else using_recorded(checkpoint, content):
        prepare = image_preprocessing(cfg)
        names = class_names(cfg, content, get_num_classes(cfg.model))
        model = load_model(cfg, checkpoint).to(device)
    say_trained_on(training_images(cfg).text)
    if note_on_sizes(prepare):
        print(note_on_sizes(prepare), file=sys.stderr)

    @torch.inference_mode()
    def predict(file: Path) -> Prediction:
        x = torch.from_numpy(prepare(file)).to(device)
        try:
            logits = model(x, mode='tensor').cpu().numpy()
        except RuntimeError as error:
            raise ValueError('The network cannot take what the test pipeline '
                             f'makes of it, {tuple(x.shape)}: '
                             f'{str(error).splitlines()[0]}') from error
        return top_classes(logits, min(topk, logits.shape[1]), names)[0]

    return predict

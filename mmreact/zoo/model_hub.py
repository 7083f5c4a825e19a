"""Our names in MMPretrain's own list_models, get_model and inferencers.

They ask its ModelHub, which registers MMPretrain's names when it is first
asked. Ours follow there, so that importing mmreact reads no metafile.
"""
from mmpretrain.apis import ModelHub

from .catalogue import INDEX, find_root


def register() -> None:
    """Let the ModelHub know our names from its first use on; once."""
    theirs = ModelHub._register_mmpretrain_models
    if getattr(theirs, 'adds_mmreact', False):
        return

    def register_all(cls):
        theirs()
        if not getattr(cls, '_has_mmreact', False):
            add_models()
            cls._has_mmreact = True

    register_all.adds_mmreact = True
    ModelHub._register_mmpretrain_models = classmethod(register_all)


def add_models() -> None:
    """Add each name that MMPretrain does not have.

    Names of both (VGG, ResNet) mean the same network and weights; there
    MMPretrain's row stays, where ModelHub's own method would raise.
    """
    from modelindex.load_model_index import load
    root = find_root()
    index = load(str(root / INDEX))
    index.build_models_with_collections()
    for model in index.models:
        name = model.name.lower()
        if not ModelHub.has(name):
            model.config = str(root / model.config)
            ModelHub._models_dict[name] = model

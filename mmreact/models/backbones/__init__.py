from .reactnet import ReActNet

__all__ = ['ReActNet']

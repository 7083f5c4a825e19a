"""What a network costs, and what its 1-bit layers do."""
from .ops_counter import LayerOps, OpsReport, count_ops

__all__ = ['LayerOps', 'OpsReport', 'count_ops']

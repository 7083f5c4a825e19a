"""What a network costs, and what its 1-bit layers do."""
from .ops_counter import count_ops
from .ops_report import LayerOps, OpsReport, UncoveredWeight

__all__ = ['LayerOps', 'OpsReport', 'UncoveredWeight', 'count_ops']

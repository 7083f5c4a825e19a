"""Fixtures of the packed networks' tests."""
import pytest
from small_networks import build_packed


@pytest.fixture
def packed():
    return build_packed()

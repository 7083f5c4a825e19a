"""Helpers shared by models and engine."""

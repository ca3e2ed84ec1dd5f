"""Paired statistics over score arrays: numpy and scipy only."""

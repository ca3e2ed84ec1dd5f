"""Paired statistics over score arrays: numpy and scipy only.

Modules import `scipy` as a whole, which loads its parts when they are first used: `scipy.stats`
takes half a second that a command's --help has no need of.
"""

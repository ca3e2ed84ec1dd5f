"""Measurements, run by hand from a checkout: `python -m benchmarks.NAME`.

What several of them share: `timing`, `sweep`, and `torch_process` for PyTorch beside
ours. `..._in_torch.py` files are run by a Python that has PyTorch, without jclip.
"""

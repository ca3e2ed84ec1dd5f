"""Holm's adjustment as a textbook has it, for tests of what a family was given to it."""


def plain_holm(p):
    """Of a list of p values, in its order: the smallest times n, the next times n - 1, .."""
    adjusted, largest = [0.0] * len(p), 0.0
    for done, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, (len(p) - done) * p[index])
        adjusted[index] = min(largest, 1.0)
    return adjusted

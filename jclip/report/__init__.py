"""Figures and pages that a person reads: results in, pictures and self-contained HTML out."""

"""Adapters: few trained parameters beside a frozen network."""

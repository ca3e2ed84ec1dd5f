"""The ground floor: atomic replacing, tables, JSON, safetensors, digests. Knows nothing of CLIP."""

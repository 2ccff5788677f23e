"""Data sets: the bundled digits, those that are fetched on request, and your own; inputs in [0, 1]."""

from sw.data.dataset import Dataset, from_arrays, read_npz
from sw.data.sources import DATASETS, Source, get, is_available, load

__all__ = ["DATASETS", "Dataset", "Source", "from_arrays", "get", "is_available", "load", "read_npz"]

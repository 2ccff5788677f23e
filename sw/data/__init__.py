"""Data sets: the bundled digits, those that are fetched or brought, and your own; inputs in [0, 1]."""

from sw.data.cache import bring, get, how, is_available, load
from sw.data.dataset import Dataset, from_arrays, read_npz
from sw.data.sources import DATASETS, Census, Source

__all__ = [
    "DATASETS",
    "Census",
    "Dataset",
    "Source",
    "bring",
    "from_arrays",
    "get",
    "how",
    "is_available",
    "load",
    "read_npz",
]

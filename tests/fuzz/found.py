"""Inputs that were read wrongly once, in base64: what happened, by reader."""

from collections.abc import Mapping

__all__ = ["FOUND"]

FOUND: Mapping[str, Mapping[str, str]] = {}

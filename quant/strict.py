"""JSON files that one verb writes and another reads: checked field by field, whoever wrote them."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from quant.errors import ChandelierError
from quant.files import replacing

__all__ = ["Strict", "first_error"]


def first_error(error: ValidationError) -> str:
    """The first field that is not what it should be, and why."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"


class Strict(BaseModel):
    """What such a file holds: no field more, none of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def write_json(self, path: Path) -> None:
        """Writes the file; equal values give equal bytes."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read_json(cls, path: Path, *, writer: str, again: str) -> Self:
        """What is in the file ``path``.

        Parameters
        ----------
        writer : str
            Who writes it, for the error if it is missing: ``'chandelier rtl' writes a design with its manifest``.
        again : str
            What to do if it is damaged: ``generate the design again``.

        Raises
        ------
        ChandelierError
            If it is missing, of another version, or not what it should be; the line names the first bad field.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ChandelierError(f"cannot read {path} ({error.strerror}): {writer}") from None
        except ValidationError as error:
            raise ChandelierError(f"{path}: {first_error(error)}; {again}") from None

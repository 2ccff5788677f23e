"""The study of ``chandelier explore``: a configuration, and what of it is to be varied, for which devices and aims."""

from collections.abc import Mapping
from math import prod
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from quant.errors import ChandelierError
from sw.config import Config, Section, validated

__all__ = ["AIMS", "TARGET", "Aim", "Choice", "DeviceName", "HardwareSection", "Study", "StudySection"]

Aim = Literal["accuracy", "luts", "brams", "images_per_second", "energy"]
DeviceName = Literal["ecp5-25f", "ecp5-45f", "ecp5-85f"]
#: What a study can be for: whether more of it is better.
AIMS: Mapping[Aim, bool] = {
    "accuracy": True,
    "luts": False,
    "brams": False,
    "images_per_second": True,
    "energy": False,
}
#: What a trial is: key -> its value, like ``network.steps`` -> 2.
Choice = dict[str, Any]
#: The key of what is chosen beside the configuration.
TARGET = "hardware.target_cycles"


class StudySection(Section):
    """``[study]``: how long to search, and for what."""

    #: Designs that are tried.
    trials: int = Field(default=40, ge=1, le=100_000)
    #: A design is on the front if no other is as good in all of these, and better in one.
    aims: list[Aim] = Field(default=list(AIMS), min_length=2)
    #: Trials that are chosen together, from what came of those before; as many can run at the same time.
    batch: int = Field(default=8, ge=1, le=1000)
    #: Share of the epochs that every trial gets; the others only if no other trial dominates what came of that.
    short: float = Field(default=0.25, gt=0, le=1)
    #: Designs below are not on the front.
    least_accuracy: float = Field(default=0.0, ge=0, lt=1)
    #: Whether the designs of the front are placed and routed in the end, in minutes each.
    place_and_route: bool = False


class HardwareSection(Section):
    """``[hardware]``: what designs are for."""

    #: A design is for the first of these in which it fits; if it fits none, it is not trained.
    devices: list[DeviceName] = Field(default=list(get_args(DeviceName)), min_length=1)
    #: MHz that images a second are reckoned with, until the design is placed and routed.
    clock: float = Field(default=80.0, gt=0, le=1000)
    #: Lanes are chosen for one of these numbers of cycles a sample, at the activity of the network, or for the fewest
    #: that it can have.
    target_cycles: list[int] = Field(min_length=1)


class Study(Config):
    """A configuration for ``train``, what is tried in place of single values, for what, and how."""

    study: StudySection = StudySection()
    hardware: HardwareSection
    #: Section -> key -> values to choose from, in an order in which neighbours are alike.
    space: dict[str, dict[str, list[Any]]] = Field(default={})

    @model_validator(mode="after")
    def _has_choices(self) -> "Study":
        if not self.quantisation.epochs:
            raise ValueError("quantisation.epochs is 0: trials are trained quantisation-aware")
        for cycles in self.hardware.target_cycles:
            if cycles < 1:
                raise ValueError(f"hardware.target_cycles must be at least 1, not {cycles}")
        for key, values in self.choices.items():
            for value in values:
                try:
                    self.config(0, {key: value})
                except ChandelierError as error:
                    raise ValueError(f"space.{error}") from None
            if not values or any(value in values[:k] for k, value in enumerate(values)):
                raise ValueError(f"space.{key} needs values that are different, not {values}")
        return self

    @property
    def choices(self) -> dict[str, list[Any]]:
        """All values of each key, lanes included."""
        found = {f"{section}.{key}": values for section, keys in self.space.items() for key, values in keys.items()}
        return found | {TARGET: self.hardware.target_cycles}

    @property
    def designs(self) -> int:
        """How many there are."""
        return prod(len(values) for values in self.choices.values())

    def config(self, number: int, choice: Choice) -> Config:
        """The configuration of a trial.

        Raises
        ------
        ChandelierError
            If the values do not go together.
        """
        values: dict[str, Any] = {key: own for key, own in self.model_dump().items() if key in Config.model_fields}
        values["name"] = f"{self.name}-{number}"
        for path, value in choice.items():
            section, _, key = path.partition(".")
            if path != TARGET:
                values[section] = values.get(section, {}) | {key: value}
        return validated(Config, values, ", ".join(f"{path} = {value}" for path, value in choice.items()))

    def identity(self) -> str:
        """What must not change while a study goes on: all but the number of trials, and what is done in the end."""
        loose = {"trials", "place_and_route", "least_accuracy"}
        return self.model_copy(update={"study": self.study.model_dump(exclude=loose)}).model_dump_json(warnings=False)

"""A host's end of a design in its AXI shell (docs/axi.md): registers in memory, packets by DMA; samples to results."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hw.load_image import load_image
from hw.loader import Status
from hw.manifest import Manifest
from hw.protocol import NETWORK_BYTES, Greeting, Result, pack_codes
from hw.registers import read_registers
from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from sw.host import check_codes, check_network

__all__ = ["AxiBoard", "AxiCounters", "Packets", "Registers"]

#: Bytes of a word.
_WORD = 4
#: How often the status is read until a network that was loaded is there.
_LOOKS = 1000


class Registers(Protocol):
    """Registers at byte offsets, like ``pynq.MMIO``."""

    def read(self, offset: int, /) -> int:
        """The word there."""

    def write(self, offset: int, value: int, /) -> None:
        """Writes a word."""


class Packets(Protocol):
    """Packets of words, uint32, to and from the shell; both methods wait, and raise an ``OSError`` if nothing comes."""

    def send(self, packet: np.ndarray, /) -> None:
        """Sends a packet, and returns when it has been taken."""

    def receive(self, words: int, /) -> np.ndarray:
        """The next packet, of at most so many words."""


@dataclass(frozen=True)
class AxiCounters:
    """What the registers of these names say, each modulo 2**32."""

    samples: int
    results: int
    errors: int
    cycles: int


class AxiBoard:
    """A design behind AXI; ``greeting`` is what its registers say that it is.

    Parameters
    ----------
    registers : Registers
    packets : Packets
        To ``s_axis``, and from ``m_axis``.
    images : Packets, optional
        To ``s_axis_load`` of a design with loadable weights.

    Raises
    ------
    ChandelierError
        From every method: if the DMA fails, or what is behind the registers is no shell of this version.
    """

    def __init__(self, registers: Registers, packets: Packets, images: Packets | None = None) -> None:
        self._map = read_registers()
        self._registers, self._packets, self._images = registers, packets, images
        self._offsets = {register.name: register.offset for register in self._map}
        self._fields = {field.name: (register, field) for register in self._map for field in register.fields}
        for name in ("id", "version"):
            got, expected = self._read(name), self._fields[name][1].value
            if got != expected:
                raise ChandelierError(
                    f"register {name} is 0x{got:08X}, and of a shell of this Chandelier 0x{expected:08X}: check the "
                    "address, and the bitstream"
                )
        self._slots, self._logit_words = self._read("format_slots"), self._read("format_logit_words")
        network = self._read("fingerprint_low") | self._read("fingerprint_high") << 32
        self.greeting = Greeting(
            version=self._read("version"),
            window=self._slots,
            network=network.to_bytes(NETWORK_BYTES, "little"),
            features=self._read("features"),
            bits=self._read("format_bits"),
            vectors=self._read("vectors"),
            classes=self._read("classes"),
            logit_bytes=_WORD * self._logit_words,
            image_words=0,  # images are made by the manifest
            status=Status(self._read("status_weights")),
        )

    def _read(self, name: str) -> int:
        """The value of a field."""
        register, field = self._fields[name]
        return (int(self._registers.read(register.offset)) & field.mask) >> field.lsb

    def _pulse(self, name: str) -> None:
        register, field = self._fields[name]
        self._registers.write(register.offset, field.mask)

    def check(self, network: IntegerNetwork) -> None:
        """Refuses a design that was made for another network, or into which something was loaded.

        Raises
        ------
        ChandelierError
            If it is one.
        """
        if self._read("status_loaded"):
            raise ChandelierError(
                "something was loaded into the design, which cannot say what: load the network, and do not check it"
            )
        check_network(self.greeting, network, "the design", "load the bitstream of that one")

    def infer(self, codes: np.ndarray) -> Iterator[tuple[int, Result]]:
        """Number and result of each sample, in their order: as many are under way as have room.

        Parameters
        ----------
        codes : (samples, features) or (samples, steps, features) uint8

        Raises
        ------
        ChandelierError
            If they are not what the design takes, too.
        """
        check_codes(self.greeting, codes, "the design")
        packed = pack_codes(codes, self.greeting.bits, _WORD).view("<u4")
        waiting: deque[int] = deque()
        for k, packet in enumerate(packed):
            with _moving():
                self._packets.send(packet)
            waiting.append(k)
            if len(waiting) == self._slots:
                yield waiting.popleft(), self._receive()
        for k in waiting:
            yield k, self._receive()

    def _receive(self) -> Result:
        classes, words = self.greeting.classes, self._logit_words
        with _moving():
            packet = np.asarray(self._packets.receive(2 + classes * words), "<u4")
        if packet.shape != (2 + classes * words,):
            raise ChandelierError(
                f"a result of {packet.size} words came, and of {classes} classes it has {2 + classes * words}: reset "
                "the design and the DMA"
            )
        size = self.greeting.logit_bytes
        logits = packet[2:].tobytes()
        values = (logits[k : k + size] for k in range(0, len(logits), size))
        return Result(int(packet[0]), int(packet[1]), tuple(int.from_bytes(v, "little", signed=True) for v in values))

    def load(self, network: IntegerNetwork, manifest: Manifest) -> None:
        """Loads a network into a design with loadable weights; no sample may be under way.

        Parameters
        ----------
        network : IntegerNetwork
        manifest : Manifest
            Of the design.

        Raises
        ------
        ChandelierError
            If the network does not fit, the manifest is that of another design, or the design refuses the image.
        """
        image = load_image(network, manifest)
        if self._images is None:
            raise ChandelierError("nothing leads to s_axis_load: make the board with its DMA as images")
        load = self._read("load_fingerprint_low") | self._read("load_fingerprint_high") << 32
        if manifest.load is None or f"{load:016x}" != manifest.load.fingerprint:
            raise ChandelierError(f"the design takes images for {load:016x}, and the manifest is of another one")
        with _moving():
            self._images.send(np.frombuffer(image, "<u4"))
        for _ in range(_LOOKS):
            status = self._read("status_weights")
            if status != Status.LOADING:
                break
        if status != Status.READY:
            raise ChandelierError(f"the design did not take the image of {network.name}: load it again")

    def counters(self) -> AxiCounters:
        """What has been counted since the last reset."""
        return AxiCounters(**{name: self._read(name) for name in ("samples", "results", "errors", "cycles")})

    def reset(self) -> None:
        """Sets the counters to zero."""
        self._pulse("control_clear")

    def restart(self) -> None:
        """Drops all samples that are under way, and sets the counters to zero."""
        self._pulse("control_reset")


@contextmanager
def _moving() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # timeouts are some
        raise ChandelierError(f"the DMA fails ({error}): does its clock run, and is the design out of reset?") from None

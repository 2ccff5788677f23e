"""A design behind AXI: packets of samples in, packets of results out, and registers (docs/axi.md)."""

from typing import Any

from amaranth import ClockDomain, Module, Mux, ResetInserter, ResetSignal, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import WORD, RegisterBank, axi_lite, axi_stream, packet_layout
from hw.division import divide
from hw.instance import RESET_CYCLES, design_instance
from hw.layouts import result_layout
from hw.loader import LOAD_LAYOUT, Status
from hw.manifest import Manifest
from hw.packets import SLOTS, PacketStore, ResultSender, logit_words, vector_words
from hw.protocol import NETWORK_BYTES
from hw.registers import Register, read_registers
from hw.skid import Skid
from hw.splitter import WordSplitter
from quant.errors import ChandelierError
from quant.formats import Format

__all__ = ["UNDER_WAY", "AxiDesign", "AxiShell", "design_registers"]

#: Samples that may be under way between the store and the results: more than the layers of any network take up.
UNDER_WAY = 16


def _logit(manifest: Manifest) -> Format:
    (logits,) = (field for field in manifest.output.fields if field.signal == "logits")
    return Format(logits.width, signed=logits.signed)


def design_registers(manifest: Manifest) -> list[Register]:
    """The registers of a design in its shell."""
    port, logit, load = manifest.input, _logit(manifest), manifest.load
    return read_registers(
        FINGERPRINT=int.from_bytes(bytes.fromhex(manifest.network_sha256)[:NETWORK_BYTES], "little"),
        FEATURES=port.features,
        CLASSES=manifest.output.classes,
        BITS=port.bits,
        VECTORS=port.markers,
        STEPS=port.steps,
        LOGIT_WORDS=logit_words(logit.width, signed=logit.signed),
        SLOTS=SLOTS,
        LOADABLE=int(load is not None),
        LOAD_FINGERPRINT=0 if load is None else int(load.fingerprint, 16),
    )


class AxiShell(wiring.Component):
    """Samples from packets to ``events`` of the design, ``results`` to packets, and all registers.

    Ports: the design is reset while ``restart`` is high, for ``RESET_CYCLES`` after each reset. ``weights`` and
    ``loaded`` are what the register ``status`` shows.

    Parameters
    ----------
    manifest : Manifest
        Of the design.

    Raises
    ------
    ChandelierError
        If the design is fully spatial, or a package is missing.
    """

    samples: stream.Interface
    packets: stream.Interface
    bus: Any
    events: stream.Interface
    results: stream.Interface
    restart: Signal
    weights: Signal
    loaded: Signal

    def __init__(self, manifest: Manifest) -> None:
        if manifest.input.dense:
            raise ChandelierError(
                "a fully spatial design takes a whole input at once: --shell axi is for --fold events"
            )
        self._port = manifest.input
        self._result = result_layout(manifest.output.classes, _logit(manifest))
        self._registers = design_registers(manifest)
        super().__init__(
            {
                "samples": In(stream.Signature(packet_layout())),
                "packets": Out(stream.Signature(packet_layout())),
                "bus": In(axi_lite()),
                "events": Out(stream.Signature(manifest.input.width)),
                "results": In(stream.Signature(self._result)),
                "restart": Out(1),
                "weights": In(2),
                "loaded": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bank: Any = RegisterBank(self._registers)
        m.submodules.bank = bank
        m.submodules.store = store = PacketStore(self._port)
        splitter = WordSplitter(words=vector_words(self._port), lanes=store.lanes, value_bits=self._port.bits)
        m.submodules.splitter = ResetInserter(self.restart)(splitter)
        # When each sample that is under way began.
        starts: Any = fifo.SyncFIFOBuffered(width=WORD, depth=UNDER_WAY)
        m.submodules.starts = ResetInserter(self.restart)(starts)
        m.submodules.sender = sender = ResultSender(self._result)
        wiring.connect(m, wiring.flipped(self.bus), bank.bus)
        wiring.connect(m, wiring.flipped(self.samples), store.i)
        wiring.connect(m, store.o, splitter.i)
        wiring.connect(m, sender.o, wiring.flipped(self.packets))
        self._send_events(m, splitter.o)
        now, busy, finished = Signal(WORD), Signal(), Signal()
        resetting = Signal(range(RESET_CYCLES + 1), init=RESET_CYCLES)
        m.d.sync += [
            now.eq(now + 1),
            resetting.eq(Mux(bank.control_reset, RESET_CYCLES, resetting - self.restart)),
        ]
        m.d.comb += [
            self.restart.eq(resetting != 0),
            store.forget.eq(self.restart),
            store.hold.eq(~starts.w_rdy),
            sender.i.p.eq(self.results.p),
            sender.i.valid.eq(self.results.valid & ~self.restart),
            self.results.ready.eq(sender.i.ready & ~self.restart),
            finished.eq(self.results.valid & self.results.ready),
            starts.w_en.eq(store.began),
            starts.w_data.eq(now),
            starts.r_en.eq(finished),
            sender.cycles.eq(now - starts.r_data),
            busy.eq(store.busy | (starts.level != 0)),
            bank.status_busy.eq(busy),
            bank.status_weights.eq(self.weights),
            bank.status_loaded.eq(self.loaded),
        ]
        self._count(m, bank, samples=store.good, results=finished, errors=store.bad, cycles=busy)
        return m

    def _count(self, m: Module, bank: Any, **events: Signal) -> None:
        """A counter behind each of these registers."""
        for name, event in events.items():
            counter = Signal(WORD, name=name)
            m.d.comb += getattr(bank, name).eq(counter)
            with m.If(bank.control_clear | self.restart):
                m.d.sync += counter.eq(0)
            with m.Elif(event):
                m.d.sync += counter.eq(counter + 1)

    def _send_events(self, m: Module, found: Any) -> None:
        """The events of the splitter, one at a time, as the design takes them."""
        index, value, last = self._port.fields
        (event,) = found.p.events
        place, lane = divide(event.index, index.lanes)
        m.d.comb += [
            self.events.valid.eq(found.valid),
            found.ready.eq(self.events.ready),
            self.events.p[last.offset].eq(found.p.last),
        ]
        for k in range(index.lanes):
            own = event.value if index.lanes == 1 else Mux(lane == k, event.value, 0)
            m.d.comb += self.events.p[index.offset + k * index.stride :][: index.width].eq(place)
            m.d.comb += self.events.p[value.offset + k * value.stride :][: value.width].eq(own)


class AxiDesign(wiring.Component):
    """The design of a manifest in its AXI shell, with the names of ports that AMBA gives them, ``_`` between.

    ``aclk`` is the only clock. ``aresetn``, low for a cycle or longer, resets all of it at a clock edge. No output
    depends on an input of the same cycle. Where weights are loadable, ``s_axis_load`` takes images, each a packet.

    Parameters
    ----------
    manifest : Manifest
    """

    aclk: Signal
    aresetn: Signal
    s_axis: Any
    m_axis: Any
    s_axi: Any
    s_axis_load: Any

    def __init__(self, manifest: Manifest) -> None:
        self._top, self._load = manifest.top, manifest.load
        self._shell = AxiShell(manifest)
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axis": In(axi_stream()),
                "m_axis": Out(axi_stream()),
                "s_axi": In(axi_lite()),
                **({"s_axis_load": In(axi_stream())} if manifest.load else {}),
            }
        )

    def ports(self) -> dict[str, Any]:
        """Name of each port, with its signal and direction, as ``amaranth.back`` takes them."""
        named = {}
        for path, _, value in self.signature.flatten(self):
            named["_".join(map(str, path))] = (value, None)
        return named

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sync: Any = ClockDomain("sync")
        sync.clk = self.aclk
        m.domains.sync = sync
        m.d.comb += ResetSignal().eq(~self.aresetn)
        m.submodules.shell = shell = self._shell
        images = self._take_images(m, shell) if self._load else None
        wiring.connect(m, wiring.flipped(self.s_axi), shell.bus)
        m.d.comb += [
            *_from_axi(shell.samples, self.s_axis),
            self.m_axis.tdata.eq(shell.packets.p.data),
            self.m_axis.tlast.eq(shell.packets.p.last),
            self.m_axis.tvalid.eq(shell.packets.valid),
            shell.packets.ready.eq(self.m_axis.tready),
        ]
        m.submodules.design = design_instance(
            self._top, ResetSignal() | shell.restart, shell.events, shell.results, images
        )
        return m

    def _take_images(self, m: Module, shell: AxiShell) -> tuple[Value, Value, Value, Value]:
        """Images from ``s_axis_load`` to the configuration port, whose connections are returned."""
        m.submodules.images = images = Skid(packet_layout())
        m.d.comb += _from_axi(images.i, self.s_axis_load)
        word: Any = Signal(LOAD_LAYOUT)
        first, status, begun = Signal(init=1), Signal(Status), Signal(reset_less=True)
        m.d.comb += [word.word.eq(images.o.p.data), word.first.eq(first), shell.weights.eq(status)]
        with m.If(images.o.valid & images.o.ready):
            m.d.sync += [first.eq(images.o.p.last), begun.eq(1)]
        m.d.comb += shell.loaded.eq(begun)
        return images.o.valid, word.as_value(), images.o.ready, status


def _from_axi(taker: Any, giver: Any) -> list[Any]:
    """Connects a stream of packets with an AXI4-Stream that brings them."""
    return [
        taker.p.data.eq(giver.tdata),
        taker.p.last.eq(giver.tlast),
        taker.valid.eq(giver.tvalid),
        giver.tready.eq(taker.ready),
    ]

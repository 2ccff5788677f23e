"""The bench module: instances of the designs, with a source, a sink and a tap on every probe of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from hw.manifest import Manifest, PayloadField

__all__ = ["BENCH", "Tap", "bench_verilog", "taps_of"]

#: Name of the bench module.
BENCH = "bench"


@dataclass(frozen=True)
class Tap:
    """One stream that is recorded.

    Parameters
    ----------
    layer : int
        Whose values they are; the results are the last layer's.
    name : str
        How messages call the stream.
    valid, ready, payload : str
        Hierarchical nets below the design's instance, or ports of it.
    width : int
        Bits of the payload.
    beats : int
        How many make a set: all neurons at one time step, or of one sample.
    sets : int
        How many come by for each sample.
    rows : int
        In each of so many equal parts of a set, one after the other, those of all sets of a sample come in a row.
    fields : sequence of PayloadField
        Where in the payload the signals are.
    """

    layer: int
    name: str
    valid: str
    ready: str
    payload: str
    width: int
    beats: int
    sets: int
    rows: int
    fields: Sequence[PayloadField]

    @property
    def words(self) -> int:
        """64-bit words that a beat is recorded in."""
        return -(-self.width // 64)


def taps_of(manifest: Manifest) -> list[Tap]:
    """The streams of a design that carry values of the golden model, in dataflow order, its results last."""
    steps = {"sample": 1, "step": manifest.input.steps}
    taps = [
        Tap(
            layer=p.layer,
            name=f"{p.path}.{p.stream}",
            valid=p.valid,
            ready=p.ready,
            payload=p.payload,
            width=p.width,
            beats=p.beats,
            sets=steps[p.per],
            rows=manifest.rows_of(p),
            fields=p.fields,
        )
        for p in manifest.probes
    ]
    output = manifest.output
    last = len(manifest.layers) - 1
    return [*taps, Tap(last, "o", "o__valid", "o__ready", "o__payload", output.width, 1, 1, 1, output.fields)]


def _design_verilog(manifest: Manifest, number: int, first_tap: int) -> str:
    """The instance of a design called ``dut<number>``, with its source, sink and taps."""
    width, output = manifest.input.width, manifest.output.width
    dut, common = f"dut{number}", ".clk(clk), .rst(rst), .cycle(cycle)"
    i, o = f"i{number}", f"o{number}"
    unused = "" if manifest.load is None else ", .c__valid(1'b0), .c__payload('0), .c__ready(), .status()"
    lines = [
        f"  logic {i}_valid, {i}_ready, {o}_valid, {o}_ready;",
        f"  logic [{width - 1}:0] {i}_payload;",
        f"  logic [{output - 1}:0] {o}_payload;",
        f"  harness_source #(.DESIGN({number}), .WIDTH({width})) source{number}"
        f" ({common}, .valid({i}_valid), .ready({i}_ready), .payload({i}_payload));",
        f"  {manifest.top} {dut} (.clk(clk), .rst(rst),"
        f" .i__valid({i}_valid), .i__ready({i}_ready), .i__payload({i}_payload),"
        f" .o__valid({o}_valid), .o__ready({o}_ready), .o__payload({o}_payload){unused});",
        f"  harness_sink #(.DESIGN({number})) sink{number} ({common}, .valid({o}_valid), .ready({o}_ready));",
    ]
    lines += [
        f"  harness_tap #(.TAP({first_tap + k}), .WIDTH({tap.width})) tap{first_tap + k} ({common},"
        f" .valid({dut}.{tap.valid}), .ready({dut}.{tap.ready}), .payload({dut}.{tap.payload}));"
        for k, tap in enumerate(taps_of(manifest))
    ]
    return "\n".join(lines)


def bench_verilog(manifests: Sequence[Manifest], views: Sequence[str] = ()) -> str:
    """SystemVerilog of the bench; designs and taps are numbered in the order of the manifests.

    ``views`` are blocks for waveforms (``sim.waves``).
    """
    parts, first_tap = [], 0
    for number, manifest in enumerate(manifests):
        parts.append(_design_verilog(manifest, number, first_tap))
        first_tap += len(taps_of(manifest))
    designs = "\n\n".join([*parts, *views])
    return f"""\
module {BENCH} (
    input logic clk /*verilator public_flat_rw*/,
    input logic rst /*verilator public_flat_rw*/
);
  longint unsigned cycle = 0;
  always @(posedge clk) cycle <= cycle + 1;

{designs}
endmodule
"""

"""The manifest: what a generated design is made of, for whoever simulates, packs or inspects it."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from amaranth import Shape
from amaranth.lib import data
from pydantic import Field, PositiveInt, ValidationError, model_validator

from quant.network import IntegerNetwork
from quant.network_file import Header
from quant.strict import Strict, first_error

__all__ = [
    "FILE_NAME",
    "FoldingEntry",
    "InputPort",
    "LayerEntry",
    "LoadPort",
    "Manifest",
    "OutputPort",
    "PayloadField",
    "Probe",
    "Timing",
    "network_manifest",
    "payload_fields",
    "stage_probe",
]

#: Name of the manifest's file in the folder of a generated design.
FILE_NAME = "manifest.json"
#: Version of the manifest; a reader refuses any other.
VERSION: Literal[1] = 1
#: Bytes of the longest manifest that is taken from a board: that of a hundred layers has a tenth of it.
_LONGEST = 1 << 20

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
_Count = Annotated[int, Field(ge=0)]


class PayloadField(Strict):
    """Where the elements of one signal lie in a payload vector.

    Element ``k`` of beat ``b`` is element ``b * lanes + k`` of the signal, and occupies ``width`` bits from bit
    ``offset + k * stride`` on, least significant bit first. Elements from ``neurons`` on, in the last beat,
    are padding.
    """

    signal: str
    offset: _Count
    stride: _Count
    width: PositiveInt
    signed: bool
    lanes: PositiveInt
    neurons: PositiveInt

    @property
    def beats(self) -> int:
        """Beats in which all elements have come by."""
        return -(-self.neurons // self.lanes)


class InputPort(Strict):
    """The event stream ``i`` of the top module.

    A beat with ``last`` clear is the non-zero input ``(index, value)``; a beat with ``last`` set ends the sample, or,
    of a sequence, the time step, and its index and value mean nothing. Where ``index`` and ``value`` have several
    lanes, lane ``k`` of ``n`` is the input ``n * index + k``, and a value of 0 is none.

    Of a fully spatial design there is a single field, ``x``: a beat is a whole input vector.
    """

    features: PositiveInt
    bits: PositiveInt
    kind: Literal["static", "sequence"]
    steps: PositiveInt
    fields: list[PayloadField]
    width: PositiveInt

    @property
    def dense(self) -> bool:
        """Whether a beat is a whole input vector."""
        return len(self.fields) == 1

    @property
    def markers(self) -> int:
        """End-of-step beats of a sample, or dense ones."""
        return 1 if self.kind == "static" else self.steps


class OutputPort(Strict):
    """The result stream ``o`` of the top module: one beat a sample, ``class`` and ``logits``."""

    classes: PositiveInt
    fields: list[PayloadField]
    width: PositiveInt


class FoldingEntry(Strict):
    """Lanes of a layer, see ``hw.folding.Folding``."""

    synapse_lanes: PositiveInt
    population_lanes: PositiveInt
    neuron_lanes: PositiveInt


class LayerEntry(Strict):
    """Shape, folding, cycle model and memory of a layer.

    ``cycles`` holds the closed-form terms of ``hw.cycles.LayerCycles``; ``memory_bits`` the bits of each memory; in
    each of ``rows`` parts of what the layer computes, one after the other, all time steps come in a row; ``events`` the
    fields of the stream of events that ``encoder`` in it sends: like those of the input, or one index of some values,
    and none where there is no such stream.
    """

    n_e: PositiveInt
    n_i: _Count
    d: PositiveInt
    folding: FoldingEntry
    cycles: dict[str, _Count]
    memory_bits: dict[str, _Count]
    rows: PositiveInt = 1
    events: list[PayloadField] = Field(default_factory=list)


class Probe(Strict):
    """The ``stream`` of the instance ``path`` that carries values of the golden model.

    ``valid``, ``ready`` and ``payload`` are hierarchical net names below the top module; a beat passes in each
    clock cycle in which both valid and ready are high. ``beats`` of them make a set: all neurons of one time step,
    or of one sample, as ``per`` says.
    """

    layer: _Count
    name: str
    path: str
    stream: str
    valid: str
    ready: str
    payload: str
    width: PositiveInt
    per: Literal["sample", "step"]
    beats: PositiveInt
    fields: list[PayloadField]


class Timing(Strict):
    """Cycles from a sample's first input beat to the next one's, and to its result, where the input plays no part."""

    interval: PositiveInt
    latency: PositiveInt


class LoadPort(Strict):
    """The configuration port ``c`` of a design with loadable weights (docs/loading.md).

    Parameters
    ----------
    version : int
        Of the images that it takes.
    fingerprint : str
        Of all that is constant in the design, 64 bits in hexadecimal.
    words : int
        Of the numbers in an image.
    shape : Header
        Of the network that the design was made for: what fits into it fits into the design.
    alike : list of bool
        For each layer, whether all rows of its ``w_ei`` have to be equal.
    """

    version: PositiveInt
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    words: PositiveInt
    shape: Header
    alike: list[bool]

    @property
    def image_words(self) -> int:
        """Of a whole image: magic, version, fingerprint and CRC are five more."""
        return self.words + 5


class Manifest(Strict):
    """Everything that a simulation or a tool flow has to know about a generated design.

    ``files`` maps each file of the design to its SHA-256; ``network_sha256`` is that of the network's file; ``timing``
    is that of a fully spatial design; ``load`` is there if the weights are loadable.
    """

    format: Literal["chandelier-rtl"] = "chandelier-rtl"
    version: Literal[1] = VERSION
    generator: str
    top: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    network_sha256: _Sha256
    files: dict[_FileName, _Sha256]
    input: InputPort
    output: OutputPort
    layers: list[LayerEntry]
    probes: list[Probe]
    timing: Timing | None = None
    load: LoadPort | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for probe in self.probes:
            if probe.layer >= len(self.layers):
                raise ValueError(f"probe {probe.path} is of layer {probe.layer}, which does not exist")
            if probe.beats % self.rows_of(probe) or any(field.neurons % self.rows_of(probe) for field in probe.fields):
                raise ValueError(f"probe {probe.path} does not have equal parts for {self.rows_of(probe)} rows")
        if self.load is not None and not len(self.layers) == len(self.load.shape.layers) == len(self.load.alike):
            raise ValueError("load is of another number of layers")
        carriers: list[InputPort | OutputPort | Probe] = [self.input, self.output, *self.probes]
        for carrier in carriers:
            for field in carrier.fields:
                if field.offset + (field.lanes - 1) * field.stride + field.width > carrier.width:
                    raise ValueError(f"field {field.signal} reaches beyond its payload of {carrier.width} bits")
        return self

    def rows_of(self, probe: Probe) -> int:
        """Equal parts of what a probe sees, one after the other, in each of which all time steps come in a row."""
        return self.layers[probe.layer].rows if probe.per == "step" else 1

    def write(self, folder: Path) -> None:
        """Writes ``manifest.json`` into ``folder``; equal manifests give equal bytes."""
        self.write_json(folder / FILE_NAME)

    def description(self) -> bytes:
        """What a board says of its design, so that images can be made for it: the manifest, as short as it can be."""
        layers = [layer.model_copy(update={"cycles": {}, "memory_bits": {}, "events": []}) for layer in self.layers]
        short = self.model_copy(update={"files": {}, "probes": [], "layers": layers})
        return zlib.compress(short.model_dump_json().encode(), 9)

    @classmethod
    def of_description(cls, description: bytes) -> Self:
        """The manifest that ``description`` is of, without files, probes, cycles and memories.

        Raises
        ------
        ValueError
            If it is none.
        """
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(description, _LONGEST)
        except zlib.error as error:
            raise ValueError(f"its description is damaged ({error})") from None
        if not inflater.eof or inflater.unused_data:
            raise ValueError("its description has a wrong length")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(f"its description, {first_error(error)}") from None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest in ``folder``.

        Raises
        ------
        ChandelierError
            If it is missing, of another version, or not what it should be; the line names the first bad field.
        """
        writer = "'chandelier rtl' writes a design with its manifest"
        return cls.read_json(folder / FILE_NAME, writer=writer, again="generate the design again")


def network_manifest(
    network: IntegerNetwork,
    *,
    generator: str,
    name: str,
    network_sha256: str,
    files: Mapping[str, str],
    input_fields: list[PayloadField],
    input_width: int,
    output: data.StructLayout,
    layers: list[LayerEntry],
    probes: list[Probe],
    timing: Timing | None = None,
    load: LoadPort | None = None,
) -> Manifest:
    """The manifest of a design of ``network`` whose top module is called ``name``, and whose results are ``output``."""
    return Manifest(
        generator=generator,
        top=name,
        network_sha256=network_sha256,
        files=dict(files),
        input=InputPort(
            features=network.input.features,
            bits=network.input.bits,
            kind=network.input.kind,
            steps=network.steps,
            fields=input_fields,
            width=input_width,
        ),
        output=OutputPort(classes=network.classes, fields=payload_fields(output), width=output.size),
        layers=layers,
        probes=probes,
        timing=timing,
        load=load,
    )


def stage_probe(
    layer: int,
    name: str,
    layout: data.ArrayLayout | data.StructLayout,
    *,
    per: Literal["sample", "step"],
    neurons: int | None = None,
    pixels: int = 1,
    names: Mapping[str, str],
) -> Probe:
    """The probe of what the stage ``name`` of a layer gives, in the payload ``layout``.

    ``names`` are those of fields that the golden model calls otherwise; the rest as in :func:`payload_fields`.
    """
    path = f"layer{layer}.{name}"
    fields = payload_fields(layout, neurons, pixels)
    return Probe(
        layer=layer,
        name=name,
        path=path,
        stream="o",
        valid=f"{path}__valid",
        ready=f"{path}__ready",
        payload=f"{path}__payload",
        width=layout.size,
        per=per,
        beats=fields[0].beats,
        fields=[f.model_copy(update={"signal": names.get(f.signal, f.signal)}) for f in fields],
    )


def payload_fields(
    layout: data.ArrayLayout | data.StructLayout, neurons: int | None = None, pixels: int = 1
) -> list[PayloadField]:
    """The fields of a payload of ``hw.layouts``.

    Parameters
    ----------
    layout
        A struct of scalars and arrays, or, for frames and several events at once, an array of structs.
    neurons : int, optional
        Elements of a pixel, where the payload is a beat of a frame; without it as many as are in one beat.
    pixels : int
        Of a frame.
    """
    struct, lanes = (layout.elem_shape, layout.length) if isinstance(layout, data.ArrayLayout) else (layout, 1)
    fields = []
    for name, member in struct:
        shape, offset, stride, count = member.shape, member.offset, struct.size, lanes
        if isinstance(shape, data.ArrayLayout) and isinstance(shape.elem_shape, data.StructLayout):
            inner = payload_fields(shape)
            fields += [field.model_copy(update={"offset": field.offset + offset}) for field in inner]
            continue
        if isinstance(shape, data.ArrayLayout):
            stride, count = Shape.cast(shape.elem_shape).width, shape.length
        element = Shape.cast(shape.elem_shape if isinstance(shape, data.ArrayLayout) else shape)
        fields.append(
            PayloadField(
                signal=str(name),
                offset=offset,
                stride=stride,
                width=element.width,
                signed=element.signed,
                lanes=count,
                neurons=pixels * (neurons or count),
            )
        )
    return fields

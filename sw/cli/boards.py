"""Verbs for boards: bitstream, simulate-board, run."""

from pathlib import Path
from typing import Annotated

import typer

from quant.files import write_json
from quant.network_file import load_network
from sw.cli.folding import chosen_foldings
from sw.cli.options import (
    Baud,
    JsonFile,
    NetworkFile,
    NeuronLanes,
    PlacerOption,
    PopulationLanes,
    RipUpOption,
    Samples,
    SynapseLanes,
    TargetCycles,
    TestData,
    Weights,
    WeightsOption,
    board_names,
    completion,
)
from sw.cli.root import app
from sw.console import console, key_value_table, progress_bars, progress_line


@app.command("bitstream")
def bitstream_command(
    network: NetworkFile,
    board: Annotated[
        str,
        typer.Option(
            help="ulx3s-85f | orangecrab-25f | icebreaker | ...: see docs/board.md.",
            autocompletion=completion(board_names),
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for bitstream, design, logs and report; made, or replaced.")
    ] = Path("bitstream"),
    weights: WeightsOption = Weights.FIXED,
    clock: Annotated[float | None, typer.Option(help="MHz of the design. [default: the board's]")] = None,
    baud: Baud = None,
    seeds: Annotated[str, typer.Option(help="Placements to try: a number of them, or their seeds: 1,2,3.")] = "3",
    placer: PlacerOption = "heap",
    rip_up: RipUpOption = False,
    target_cycles: TargetCycles = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
    json_file: JsonFile = None,
) -> None:
    """Make the file that a board's loader takes: the network behind its serial port, for *chandelier run*.

    yosys, nextpnr and the packers are taken from the PATH, or from the wheels of the extra *board*. Placements are
    tried until one holds the clock; if none does, the error names the worst path.
    """
    from hw.devices import Routing
    from hw.protocol import BAUD
    from sw.synth import bitstream_table, make_network_bitstream, parse_seeds

    integers = load_network(network)
    foldings = chosen_foldings(integers, target_cycles, synapse_lanes, population_lanes, neuron_lanes)
    chosen = parse_seeds(seeds)
    with progress_bars() as progress:
        made = make_network_bitstream(
            *(integers, output, board, foldings),
            loadable=weights is Weights.LOADABLE,
            clock=clock,
            baud=baud or BAUD,
            seeds=chosen,
            routing=Routing(placer, rip_up),
            progress=progress,
        )
    if json_file is not None:
        write_json(json_file, made.as_json())
    console.print(bitstream_table(made, output))
    console.print(f"next: {made.loader}", soft_wrap=True)
    console.print(f"then: chandelier run {network} --port PORT --data SET", soft_wrap=True)


@app.command("simulate-board")
def simulate_board_command(
    network: NetworkFile,
    weights: WeightsOption = Weights.FIXED,
    target_cycles: TargetCycles = None,
    synapse_lanes: SynapseLanes = None,
    population_lanes: PopulationLanes = None,
    neuron_lanes: NeuronLanes = None,
) -> None:
    """Simulate a board with the network behind a serial port, whose name is printed: for *run*, in another terminal.

    The design is what *bitstream* puts on a board, its UART's pins included. Ends when it is interrupted (Ctrl-C).
    """
    from sw.run import simulate_board

    integers = load_network(network)
    foldings = chosen_foldings(integers, target_cycles, synapse_lanes, population_lanes, neuron_lanes)
    progress_line("building the simulator, unless it has been built before")

    def ready(port: str) -> None:
        console.print(port, soft_wrap=True)
        progress_line(f"next: chandelier run {network} --port {port} --data SET; Ctrl-C ends the board")

    simulate_board(integers, foldings, ready, loadable=weights is Weights.LOADABLE)


@app.command("run")
def run_command(
    network: NetworkFile,
    port: Annotated[str, typer.Option(help="The board's serial port, like /dev/ttyUSB0.")],
    data: TestData,
    samples: Samples = None,
    load: Annotated[
        bool, typer.Option("--load", help="Load the network first, into a board with loadable weights.")
    ] = False,
    baud: Baud = None,
    json_file: JsonFile = None,
) -> None:
    """Send test samples to a board, and compare class and logits of each with the golden model.

    The board, real or from *simulate-board*, has to hold this network; or, made with *--weights loadable*, it takes it
    with *--load*. Ends with exit code 1 if there is a difference.
    """
    from hw.protocol import BAUD
    from sw.run import report_rows, run_network

    integers = load_network(network)
    with progress_bars() as progress:
        report = run_network(integers, port, baud or BAUD, data, samples, progress, loads=load)
    if json_file is not None:
        report.write(json_file)
    console.print(key_value_table(f"{integers.name} on {data}, board on {port}", report_rows(report)))
    if report.mismatches:
        raise typer.Exit(1)

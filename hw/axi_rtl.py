"""Writes a network in its AXI shell: Verilog, a packaging script for Vivado, and its registers in C and in words."""

import shutil
from pathlib import Path

from amaranth.back import verilog

from hw.axi_shell import AxiDesign, design_registers
from hw.folding import Foldings
from hw.manifest import Manifest
from hw.registers import SOURCE, c_header, markdown_table
from hw.rtl import own_files, write_rtl
from quant.files import replacing_directory
from quant.network import IntegerNetwork

__all__ = ["AXI", "write_axi"]

#: Name of the shell's top module.
AXI = "chandelier_axi"
#: Vivado finds the AXI interfaces, the clock and the reset by the names of the ports.
_PACKAGE = """\
# Packs the network in its AXI shell as an IP: vivado -mode batch -source package_ip.tcl
set here [file dirname [file normalize [info script]]]
create_project -in_memory
add_files [list {files}]
set_property top {top} [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir $here/ip -vendor chandelier -library user -taxonomy /UserIP -import_files -force
set core [ipx::current_core]
set_property name {top} $core
set_property version 1.{version} $core
set_property display_name {{Chandelier spiking network}} $core
set_property description {{{description}}} $core
foreach bus {{{buses}}} {{
  ipx::associate_bus_interfaces -busif $bus -clock aclk $core
}}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::save_core $core
"""


def _package_script(manifest: Manifest, version: int) -> str:
    port, classes = manifest.input, manifest.output.classes
    files = [f"{AXI}.v", *(name for name in manifest.files if name.endswith((".v", ".mem")))]
    return _PACKAGE.format(
        files=" \\\n  ".join(f"$here/{name}" for name in files),
        top=AXI,
        version=version,
        description=f"{port.features} inputs, {classes} classes, network {manifest.network_sha256[:16]}",
        buses=" ".join(["s_axis", "m_axis", "s_axi", *(["s_axis_load"] if manifest.load else [])]),
    )


def write_axi(
    network: IntegerNetwork, directory: Path, *, foldings: Foldings | None = None, loadable: bool = False
) -> Manifest:
    """Writes the design of ``network`` (:func:`hw.rtl.write_rtl`) and its shell; equal arguments, equal bytes.

    Beside the design there are ``chandelier_axi.v``, whose top module is of the same name, ``chandelier_axi.f`` (the
    list of both sources), ``package_ip.tcl`` for Vivado, ``registers.rdl`` (SystemRDL), ``registers.md`` with the
    values of this design, and ``chandelier_axi.h``. The manifest is that of the design without its shell.

    Raises
    ------
    ChandelierError
        If the design does not fit the shell, a package is missing, the folder holds other files, or it cannot be
        written.
    """
    with replacing_directory(directory, own_files()) as folder:
        manifest = write_rtl(network, folder, foldings=foldings, loadable=loadable)
        design, registers = AxiDesign(manifest), design_registers(manifest)
        (version,) = (register.fields[0].value for register in registers if register.name == "version")
        table = f"# Registers of {network.name}\n\n{markdown_table(registers, values=True)}"
        texts = {
            f"{AXI}.v": verilog.convert(design, name=AXI, ports=design.ports(), emit_src=False),
            f"{AXI}.f": f"{manifest.top}.v\n{AXI}.v\n",
            f"{AXI}.h": c_header(registers),
            "registers.md": table,
            "package_ip.tcl": _package_script(manifest, version),
        }
        for name, text in texts.items():
            (folder / name).write_bytes(text.encode())
        shutil.copyfile(SOURCE, folder / SOURCE.name)
    return manifest

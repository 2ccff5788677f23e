// The serial shell of a design between pins that cocotb drives.
module bench (
    input logic clk  /*verilator public_flat_rw*/,
    input logic rst  /*verilator public_flat_rw*/
);
  logic rx  /*verilator public_flat_rw*/, tx  /*verilator public_flat_rw*/;
  logic [1:0] leds;

  chandelier_serial dut (.*);
endmodule

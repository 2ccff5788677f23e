// The ends and the probes of the co-simulation bench. What they send and see lives in harness.cpp;
// the bench module that wires them to the designs is written by harness.py.

// Drives the input stream of a design with the beats loaded for it, pausing at random.
module harness_source #(
    parameter int DESIGN = 0,
    parameter int WIDTH = 1
) (
    input logic clk,
    input logic rst,
    input longint unsigned cycle,
    output logic valid,
    input logic ready,
    output logic [WIDTH-1:0] payload
);
  // The next beat, or a negative number for a pause; `taken` says that the previous beat was accepted just now. A wide
  // beat has further words, of 63 bits like the first one.
  import "DPI-C" function longint harness_next_beat(input int number, input bit taken, input longint unsigned cycle);
  import "DPI-C" function longint harness_beat_word(input int number, input int word);

  localparam int WORDS = (WIDTH + 62) / 63;

  longint beat;
  logic [63*WORDS-1:0] words;
  always @(posedge clk)
    if (rst) valid <= 1'b0;
    else if (!valid || ready) begin
      beat = harness_next_beat(DESIGN, valid, cycle);
      words[62:0] = beat[62:0];
      for (int i = 1; i < WORDS; i++) words[63*i+:63] = 63'(harness_beat_word(DESIGN, i));
      valid <= beat >= 0;
      payload <= words[WIDTH-1:0];
    end
endmodule

// Takes the results of a design, pausing at random. Their values are recorded by a tap.
module harness_sink #(
    parameter int DESIGN = 0
) (
    input logic clk,
    input logic rst,
    input longint unsigned cycle,
    input logic valid,
    output logic ready
);
  import "DPI-C" function bit harness_sink_ready(input int number);
  import "DPI-C" function void harness_result(input int number, input longint unsigned cycle);

  always @(posedge clk)
    if (rst) ready <= 1'b0;
    else begin
      ready <= harness_sink_ready(DESIGN);
      if (valid && ready) harness_result(DESIGN, cycle);
    end
endmodule

// Records every beat of a stream, how many had to wait, and that an offered beat stays as it is until it is taken.
module harness_tap #(
    parameter int TAP = 0,
    parameter int WIDTH = 1
) (
    input logic clk,
    input logic rst,
    input longint unsigned cycle,
    input logic valid,
    input logic ready,
    input logic [WIDTH-1:0] payload
);
  import "DPI-C" function void harness_word(input int tap, input longint unsigned word);
  import "DPI-C" function void harness_waited(input int tap);
  import "DPI-C" function void harness_violation(input int tap, input longint unsigned cycle);

  localparam int WORDS = (WIDTH + 63) / 64;

  logic offered = 1'b0;
  logic [WIDTH-1:0] offer;
  logic [64*WORDS-1:0] padded;
  assign padded = (64 * WORDS)'(payload);

  always @(posedge clk) begin
    offered <= valid && !ready && !rst;
    if (valid && !ready) offer <= payload;
    if (valid && !ready && !rst && !offered) harness_waited(TAP);
    if (offered && (!valid || payload != offer)) harness_violation(TAP, cycle);
    if (valid && ready && !rst) for (int i = 0; i < WORDS; i++) harness_word(TAP, padded[64*i+:64]);
  end
endmodule

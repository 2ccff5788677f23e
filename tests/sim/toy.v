// A hand-written design of the same port protocol as the generated ones: it sums events and their weighted indices.
//
// Layer 0 (hidden): sum = values, moment = values * weight[index]; a copy of both goes through a two-lane serialiser.
// The result: logits {sum, moment, sum + moment}, class 1.
module toy (
    input clk,
    input rst,
    input i__valid,
    output i__ready,
    input [6:0] i__payload,
    output o__valid,
    input o__ready,
    output [37:0] o__payload
);
  wire valid, ready;
  wire [21:0] sums;
  \toy.adder adder (.clk(clk), .rst(rst), .i__valid(i__valid), .i__ready(i__ready), .i__payload(i__payload),
      .o__valid(valid), .o__ready(ready), .o__payload(sums));
  \toy.readout readout (.clk(clk), .rst(rst), .i__valid(valid), .i__ready(ready), .i__payload(sums),
      .o__valid(o__valid), .o__ready(o__ready), .o__payload(o__payload));
endmodule

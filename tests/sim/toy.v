// A hand-written design with the ports of a generated one, small enough to be checked by eye.
//
// Of the events (index, value) of a sample:  sum = values, moment = values * weight[index], in one beat;
// then, for two time steps t, bal[k] = moment + k * sum + t of three neurons k, two in a beat;
// result: logits[k] = bal[k] summed over t, class = 1 if the moment is negative, else 0.
module toy (
    input clk,
    input rst,
    input i__valid,
    output i__ready,
    input [6:0] i__payload,
    output o__valid,
    input o__ready,
    output [61:0] o__payload
);
  wire sums_valid, sums_ready, frames_valid, frames_ready;
  wire [23:0] sums;
  wire [35:0] frames;
  \toy.adder adder (
      .clk(clk), .rst(rst), .i__valid(i__valid), .i__ready(i__ready), .i__payload(i__payload),
      .o__valid(sums_valid), .o__ready(sums_ready), .o__payload(sums));
  \toy.unfolder unfolder (
      .clk(clk), .rst(rst), .i__valid(sums_valid), .i__ready(sums_ready), .i__payload(sums),
      .o__valid(frames_valid), .o__ready(frames_ready), .o__payload(frames));
  \toy.readout readout (
      .clk(clk), .rst(rst), .i__valid(frames_valid), .i__ready(frames_ready), .i__payload(frames),
      .o__valid(o__valid), .o__ready(o__ready), .o__payload(o__payload));
endmodule

module \toy.adder (
    input clk,
    input rst,
    input i__valid,
    output i__ready,
    input [6:0] i__payload,
    output reg o__valid,
    input o__ready,
    output [23:0] o__payload
);
  reg signed [7:0] weight [0:7];
  initial $readmemh("toy_weights.mem", weight);

  reg [7:0] sum = 0;
  reg signed [15:0] moment = 0;
  wire signed [15:0] w = weight[i__payload[2:0]];
  wire signed [15:0] value = {13'b0, i__payload[5:3]};
  assign i__ready = !o__valid;
  assign o__payload = {moment, sum};
  initial o__valid = 0;

  always @(posedge clk)
    if (rst || (o__valid && o__ready)) begin
      o__valid <= 0;
      sum <= 0;
      moment <= 0;
    end else if (i__valid && i__ready) begin
      if (i__payload[6]) o__valid <= 1;
      else begin
        sum <= sum + i__payload[5:3];
        moment <= moment + value * w;
      end
    end
endmodule

module \toy.unfolder (
    input clk,
    input rst,
    input i__valid,
    output i__ready,
    input [23:0] i__payload,
    output o__valid,
    input o__ready,
    output [35:0] o__payload
);
  reg [1:0] beat = 0;  // {time step, half of the frame}
  wire signed [17:0] sum = {10'b0, i__payload[7:0]};
  wire signed [17:0] moment = $signed(i__payload[23:8]);
  wire signed [17:0] first = moment + {17'b0, beat[1]};
  assign o__valid = i__valid;
  assign o__payload = beat[0] ? {18'b0, first + 18'sd2 * sum} : {first + sum, first};
  assign i__ready = o__ready && beat == 3;

  always @(posedge clk)
    if (rst) beat <= 0;
    else if (o__valid && o__ready) beat <= beat + 1;
endmodule

module \toy.readout (
    input clk,
    input rst,
    input i__valid,
    output i__ready,
    input [35:0] i__payload,
    output reg o__valid,
    input o__ready,
    output [61:0] o__payload
);
  reg [1:0] beat = 0;
  reg signed [19:0] logit0 = 0, logit1 = 0, logit2 = 0;
  wire signed [19:0] low = $signed(i__payload[17:0]);
  wire signed [19:0] high = $signed(i__payload[35:18]);
  assign i__ready = !o__valid;
  assign o__payload = {logit2, logit1, logit0, 1'b0, logit0[19]};
  initial o__valid = 0;

  always @(posedge clk)
    if (rst || (o__valid && o__ready)) begin
      o__valid <= 0;
      logit0 <= 0;
      logit1 <= 0;
      logit2 <= 0;
    end else if (i__valid && i__ready) begin
      beat <= beat + 1;
      o__valid <= beat == 3;
      if (beat[0]) logit2 <= logit2 + low;
      else begin
        logit0 <= logit0 + low;
        logit1 <= logit1 + high;
      end
    end
endmodule

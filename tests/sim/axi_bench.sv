// The AXI shell of a design between pins that cocotb drives, and the rules of the AMBA specifications at each channel.

// A beat that is offered stays as it is until it is taken, and nothing is offered right after a reset.
module axi_channel #(
    parameter WIDTH = 1
) (
    input logic aclk,
    input logic aresetn,
    input logic valid,
    input logic ready,
    input logic [WIDTH-1:0] payload
);
  logic waits = 0, reset = 0;
  logic [WIDTH-1:0] offered;
  always_ff @(posedge aclk) begin
    waits   <= aresetn & valid & ~ready;
    reset   <= ~aresetn;
    offered <= payload;
    if (aresetn & waits) begin
      assert (valid) else $fatal(1, "%m: valid fell before the beat was taken");
      assert (payload == offered) else $fatal(1, "%m: the payload changed before it was taken");
    end
    if (reset) assert (!valid) else $fatal(1, "%m: valid is high in a reset");
    assert (!$isunknown({valid, ready})) else $fatal(1, "%m: valid or ready is unknown");
    if (valid) assert (!$isunknown(payload)) else $fatal(1, "%m: the payload is unknown");
  end
endmodule

module bench (
    input logic aclk  /*verilator public_flat_rw*/,
    input logic aresetn  /*verilator public_flat_rw*/
);
  logic [31:0] s_axis_tdata  /*verilator public_flat_rw*/;
  logic s_axis_tlast  /*verilator public_flat_rw*/, s_axis_tvalid  /*verilator public_flat_rw*/;
  logic s_axis_tready  /*verilator public_flat_rw*/;
  logic [31:0] m_axis_tdata  /*verilator public_flat_rw*/;
  logic m_axis_tlast  /*verilator public_flat_rw*/, m_axis_tvalid  /*verilator public_flat_rw*/;
  logic m_axis_tready  /*verilator public_flat_rw*/;
  logic [7:0] s_axi_awaddr  /*verilator public_flat_rw*/, s_axi_araddr  /*verilator public_flat_rw*/;
  logic [2:0] s_axi_awprot  /*verilator public_flat_rw*/, s_axi_arprot  /*verilator public_flat_rw*/;
  logic s_axi_awvalid  /*verilator public_flat_rw*/, s_axi_awready  /*verilator public_flat_rw*/;
  logic [31:0] s_axi_wdata  /*verilator public_flat_rw*/, s_axi_rdata  /*verilator public_flat_rw*/;
  logic [3:0] s_axi_wstrb  /*verilator public_flat_rw*/;
  logic s_axi_wvalid  /*verilator public_flat_rw*/, s_axi_wready  /*verilator public_flat_rw*/;
  logic [1:0] s_axi_bresp  /*verilator public_flat_rw*/, s_axi_rresp  /*verilator public_flat_rw*/;
  logic s_axi_bvalid  /*verilator public_flat_rw*/, s_axi_bready  /*verilator public_flat_rw*/;
  logic s_axi_arvalid  /*verilator public_flat_rw*/, s_axi_arready  /*verilator public_flat_rw*/;
  logic s_axi_rvalid  /*verilator public_flat_rw*/, s_axi_rready  /*verilator public_flat_rw*/;
`ifdef LOADABLE
  logic [31:0] s_axis_load_tdata  /*verilator public_flat_rw*/;
  logic s_axis_load_tlast  /*verilator public_flat_rw*/, s_axis_load_tvalid  /*verilator public_flat_rw*/;
  logic s_axis_load_tready  /*verilator public_flat_rw*/;
`endif

  chandelier_axi dut (.*);

  axi_channel #(33) s_axis (
      .valid(s_axis_tvalid), .ready(s_axis_tready), .payload({s_axis_tlast, s_axis_tdata}), .*);
  axi_channel #(33) m_axis (
      .valid(m_axis_tvalid), .ready(m_axis_tready), .payload({m_axis_tlast, m_axis_tdata}), .*);
  axi_channel #(11) aw (
      .valid(s_axi_awvalid), .ready(s_axi_awready), .payload({s_axi_awprot, s_axi_awaddr}), .*);
  axi_channel #(36) w (
      .valid(s_axi_wvalid), .ready(s_axi_wready), .payload({s_axi_wstrb, s_axi_wdata}), .*);
  axi_channel #(2) b (.valid(s_axi_bvalid), .ready(s_axi_bready), .payload(s_axi_bresp), .*);
  axi_channel #(11) ar (
      .valid(s_axi_arvalid), .ready(s_axi_arready), .payload({s_axi_arprot, s_axi_araddr}), .*);
  axi_channel #(34) r (
      .valid(s_axi_rvalid), .ready(s_axi_rready), .payload({s_axi_rresp, s_axi_rdata}), .*);
`ifdef LOADABLE
  axi_channel #(33) s_axis_load (
      .valid(s_axis_load_tvalid), .ready(s_axis_load_tready), .payload({s_axis_load_tlast, s_axis_load_tdata}), .*);
`endif
endmodule

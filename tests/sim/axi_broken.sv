// In the place of an AXI shell: keeps to the rules, but for one, which the file "fault.mem" chooses.
module chandelier_axi (
    input logic aclk,
    input logic aresetn,
    input logic [31:0] s_axis_tdata,
    input logic s_axis_tlast,
    input logic s_axis_tvalid,
    output logic s_axis_tready,
    output logic [31:0] m_axis_tdata,
    output logic m_axis_tlast,
    output logic m_axis_tvalid,
    input logic m_axis_tready,
    input logic [7:0] s_axi_awaddr,
    input logic [2:0] s_axi_awprot,
    input logic s_axi_awvalid,
    output logic s_axi_awready,
    input logic [31:0] s_axi_wdata,
    input logic [3:0] s_axi_wstrb,
    input logic s_axi_wvalid,
    output logic s_axi_wready,
    output logic [1:0] s_axi_bresp,
    output logic s_axi_bvalid,
    input logic s_axi_bready,
    input logic [7:0] s_axi_araddr,
    input logic [2:0] s_axi_arprot,
    input logic s_axi_arvalid,
    output logic s_axi_arready,
    output logic [31:0] s_axi_rdata,
    output logic [1:0] s_axi_rresp,
    output logic s_axi_rvalid,
    input logic s_axi_rready
);
  logic [3:0] fault[1];
  initial $readmemh("fault.mem", fault);
  logic [7:0] cycle = 0;
  logic full = 0, written = 0;

  // A pipeline of one beat; answers to reads and writes are always 0.
  always_ff @(posedge aclk) begin
    cycle <= cycle + 1;
    if (!aresetn) begin
      {full, s_axi_bvalid, s_axi_rvalid} <= fault[0] == 3 ? 3'b100 : 3'b000;
    end else begin
      if (s_axis_tvalid & s_axis_tready) begin
        full <= 1;
        {m_axis_tlast, m_axis_tdata} <= {s_axis_tlast, s_axis_tdata};
      end else if (m_axis_tvalid & m_axis_tready) full <= 0;
      if (fault[0] == 1 && full && cycle[3:0] == 7) full <= 0;
      if (fault[0] == 2 && full && cycle[3:0] == 7) m_axis_tdata[5] <= ~m_axis_tdata[5];
      written <= s_axi_awvalid & s_axi_wvalid & ~s_axi_bvalid & ~written;
      s_axi_bvalid <= written | (s_axi_bvalid & ~s_axi_bready);
      s_axi_rvalid <= (s_axi_arvalid & s_axi_arready) | (s_axi_rvalid & ~s_axi_rready);
    end
  end
  assign m_axis_tvalid = full;
  assign s_axis_tready = fault[0] == 4 ? ~full | m_axis_tready : ~full;
  assign s_axi_awready = written;
  assign s_axi_wready = written;
  assign s_axi_arready = ~s_axi_rvalid;
  assign {s_axi_bresp, s_axi_rresp, s_axi_rdata} = 0;
endmodule

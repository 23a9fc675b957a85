"""The accelerator for designs of others: the folder that `deeplock verilog` writes."""

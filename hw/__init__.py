"""The accelerator's RTL (Amaranth): one folder a part of the datapath, one file a component."""

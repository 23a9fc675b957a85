"""One file a device family: blocks that only it has."""

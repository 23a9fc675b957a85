"""The int8 network and its arithmetic: layers, golden model, independent reference, network file."""

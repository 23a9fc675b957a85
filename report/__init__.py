"""Tables and figures, made from measured rows."""

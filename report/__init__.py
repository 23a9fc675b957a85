"""From measured rows to tables and figures."""

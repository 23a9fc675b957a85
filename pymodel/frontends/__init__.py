"""Front ends: they turn a user's float network into the int8 network."""

"""From a user's float network to the int8 network."""

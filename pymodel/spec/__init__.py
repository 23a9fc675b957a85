"""What hardware and software share: configuration, register map, program format, loadable file, driver's interface."""

/* How driver_host.c reaches the simulated accelerator: one of port_streams.c and port_memory.c. */

#include "deeplock.h"

/* Commands to the simulation, and its answers. */
void say(const void *data, size_t size);
void hear(void *data, size_t size);

/* Room for so many bytes, where the accelerator's data may lie. */
uint8_t *place(size_t size);

/* Fill in the driver. */
void connect_port(deeplock *device);

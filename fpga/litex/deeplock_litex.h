/*
 * The port of the driver deeplock.h on a LiteX SoC that has add_deeplock() of litex_deeplock.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Loadables and packets of ifmaps begin at multiples of 4 bytes; ofmaps anywhere.
 */

#ifndef DEEPLOCK_LITEX_H
#define DEEPLOCK_LITEX_H

#include "deeplock.h"

/* A driver for the SoC's accelerator. */
deeplock deeplock_litex(void);

#endif

// int8 inference of a layer table, and the unlocking of its parameters. One source for RISC-V and host.
//
// Made for few cycles: weights of four output channels side by side, two pixels at a time in registers; maximum before
// requantising (both are monotone); the key schedule word by word, in registers, made while it is used.

#pragma once

#include <stdint.h>

#include "layout.h"  // made by sim/riscv/build.py: struct layer, struct job, enumerations

// What a platform brings: CYCLES() and SECOND_CYCLES(), two counters; SBOX and INV_SBOX, 256 bytes each.
#include "platform.h"

// Runs the job at the arena's start: inferences, each of them timed, and their results. All offsets in it count from there.
void run_job(uint8_t *arena);

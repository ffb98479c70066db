/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kjump for other kernel modules: call an image in physical memory as if it were a function.
 *
 * The structures are those of /dev/kjump; pointers in them are kernel addresses here. The module that calls must have
 * been started by a task with CAP_SYS_BOOT, since loading is permitted to the current task or not, as with the device.
 *
 * All of it is for task context, and may sleep; a call at level "suspend" freezes all other tasks.
 */
#ifndef KJUMP_H
#define KJUMP_H

#include "kjump_abi.h"

struct kjump_image;

/*
 * Loads an image: request->segments points at an array of struct kjump_segment, whose bufs are kernel addresses.
 * Returns the image, or an ERR_PTR with request->diagnosis filled in.
 */
struct kjump_image *kjump_load(struct kjump_load *request);

/* Calls it with call->arguments. 0: it was entered, and call->status tells how it ended. */
int kjump_call(struct kjump_image *image, struct kjump_call *call);

/* Moves bytes between request->buffer, a kernel address, and the image. */
int kjump_read(struct kjump_image *image, struct kjump_transfer *request);
int kjump_write(struct kjump_image *image, struct kjump_transfer *request);

/* Frees all it had. NULL is fine. */
void kjump_unload(struct kjump_image *image);

#endif

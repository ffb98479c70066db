/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kjump for other kernel modules: call an image in physical memory as if it were a function.
 *
 * The structures are those of /dev/kjump; pointers in them are kernel addresses here. As with the
 * device, the current task needs CAP_SYS_BOOT to load an image or to write to one.
 *
 * All functions must be called in task context and may sleep. A call at level "suspend" freezes all
 * other tasks.
 */
#ifndef KJUMP_H
#define KJUMP_H

#include "kjump_abi.h"

struct kjump_image;

/*
 * Loads an image. request->segments points to an array of struct kjump_segment, whose bufs are
 * kernel addresses. Returns the image, or an ERR_PTR with request->diagnosis filled in.
 */
struct kjump_image *kjump_load(struct kjump_load *request);

/*
 * Calls the image with call->arguments. Returns 0 if it was entered; call->status is how it ended.
 */
int kjump_call(struct kjump_image *image, struct kjump_call *call);

/* Copy between request->buffer, a kernel address, and the image. */
int kjump_read(struct kjump_image *image, struct kjump_transfer *request);
int kjump_write(struct kjump_image *image, struct kjump_transfer *request);

/* Frees the image. It may be NULL. */
void kjump_unload(struct kjump_image *image);

#endif

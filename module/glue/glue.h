/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the C half share. Functions named kjg_ and kjr_ are between the halves: see seam.h.
 */
#ifndef KJUMP_GLUE_H
#define KJUMP_GLUE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/time64.h>
#include <linux/types.h>
#include "kjump.h"
#include "seam.h"

/* ---- image.c ---- */

struct kjump_image {
	struct list_head node; /* in images, under registry */
	u64 id;
	u64 name[4]; /* zeroes if not kept; under registry */
	struct kref references; /* open files, and the name */
	struct mutex busy; /* a call or a transfer; only ever tried, so that nobody waits for it while tasks freeze */
	struct kjr_image *rust;
	pid_t loader;
	u64 loaded_at;
	u64 calls, faults, ticks_run;
	u64 frames;
	struct cpu_note *note; /* where this kernel keeps one about its first CPU, if that is known; under busy */
	u64 flags; /* of the load */
};

int kj_fail(struct kjump_diagnosis *diagnosis, int error, u64 reason, u64 number);
int kj_may_load(struct kjump_diagnosis *diagnosis);
struct kjump_image *kj_image_load(struct kjump_load *request, bool user);
void kj_image_put(struct kjump_image *image);
int kj_image_keep(struct kjump_image *image, struct kjump_name *request);
/* Takes the name away. Returns whether there was one, and with it a reference to drop. */
bool kj_image_forget_name(struct kjump_image *image);
/* These return a reference, or NULL. */
struct kjump_image *kj_image_by_name(const u64 *name);
struct kjump_image *kj_image_by_id(u64 id);
int kj_image_transfer(struct kjump_image *image, struct kjump_transfer *request, bool write, bool user);
/* Fills in the fields of all images together. */
void kj_image_totals(struct kjump_info *info);
/* Writes a struct kjump_image_info of each image to user space. */
int kj_image_list(struct kjump_list *list);
/* The way back to the kernel that started this one, in case this one panics, or NULL. */
struct kjump_image *kj_image_for_panic(void);

/* ---- call.c ---- */

struct kj_entry {
	struct kjump_image *image;
	struct kjump_call *call;
	u64 before, after; /* time stamp counter */
	bool entered;
};

void kj_enter(struct kj_entry *entry);
int kj_call(struct kjump_image *image, struct kjump_call *call);
u64 kj_total_calls(void);
void kj_choose_mover(void);

/* ---- suspend.c ---- */

void kj_suspend_find_operations(void);
bool kj_suspend_operations_found(void);
int kj_enter_suspended(struct kj_entry *entry);

/* ---- clock.c ---- */

/* Ticks of the time stamp counter in a millisecond; 0 if there is none. */
extern u64 kj_counter_khz;
void kj_clock_find_rate(void);
bool kj_clock_start(void);
void kj_clock_compare(const struct timespec64 *before, const struct timespec64 *after, u64 ticks);
void kj_clock_stop(void);

/* ---- machine.c ---- */

void kj_machine_map(void);
void kj_machine_unmap(void);
void kj_send_interrupt(int cpu, u32 command);
void kj_park_other_cpus(void);
void kj_forget_sent_interrupts(void);

/* ---- panic.c ---- */

int kj_panic_register(void);
void kj_panic_unregister(void);

/* ---- device.c ---- */

int kj_device_register(void);
void kj_device_deregister(void);

#endif

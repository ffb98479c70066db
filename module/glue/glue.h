/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the C files of the module. This half calls the kernel: it decides the order of those
 * calls, never policy. Everything that has a choice in it (sizes and versions, names, where an
 * image may be, how much of the system is quiesced, which clock is right, the steps of a panic) is
 * decided in Rust and tested on the host. What is left here: locks and references, permission
 * checks by the kernel's own predicates, copies, and the hardware accesses for which the kernel
 * exports no function.
 *
 * kj_ functions are shared between C files. kjg_ and kjr_ functions are called across the seam
 * between C and Rust: see seam.h. Only symbols exported to modules are used, with one exception
 * that may be missing: see kj_suspend_find_operations().
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

/* ---- turn.c ---- */

struct kj_turn {
	bool taken;
	struct list_head waiting;
};

#define KJ_TURN(name) { .waiting = LIST_HEAD_INIT((name).waiting) }

static inline void kj_turn_init(struct kj_turn *turn)
{
	*turn = (struct kj_turn)KJ_TURN(*turn);
}

/* 0, or -EBUSY if it is taken and wait is false, or -ERESTARTSYS if a signal ended the wait. */
int kj_turn_take(struct kj_turn *turn, bool wait);
void kj_turn_end(struct kj_turn *turn);

/* ---- image.c ---- */

struct kjump_image {
	struct list_head node; /* in images, under registry */
	u64 id;
	u64 name[4]; /* zeros if not kept; under registry */
	struct kref references; /* open files, and the name */
	struct kj_turn turn; /* calls and transfers */
	struct kjr_image *rust;
	pid_t loader;
	u64 loaded_at;
	u64 calls, faults, ticks_run;
	u64 frames;
	struct cpu_note *note; /* crash note of CPU 0, or NULL if not known; under turn */
	u64 flags; /* of the load */
};

int kj_fail(struct kjump_diagnosis *diagnosis, int error, u64 reason, u64 number);
/* kj_turn_take() with a diagnosis, which may be NULL; whose is 1 for this image, 2 for another. */
int kj_take_turn(struct kj_turn *turn, bool wait, struct kjump_diagnosis *diagnosis, u64 whose);
int kj_may_load(struct kjump_diagnosis *diagnosis);
struct kjump_image *kj_image_load(struct kjump_load *request, bool user);
void kj_image_put(struct kjump_image *image);
int kj_image_keep(struct kjump_image *image, struct kjump_name *request);
/* Clears the name. If it returns true, the caller drops the reference that the name held. */
bool kj_image_forget_name(struct kjump_image *image);
/* Both take a reference; NULL if there is none. */
struct kjump_image *kj_image_by_name(const u64 *name);
struct kjump_image *kj_image_by_id(u64 id);
int kj_image_transfer(struct kjump_image *image, struct kjump_transfer *request, bool write,
		      bool user, bool wait);
/* Sets the fields that sum up all images. */
void kj_image_totals(struct kjump_info *info);
/* Copies a struct kjump_image_info for each image to user space. */
int kj_image_list(struct kjump_list *list);
/* The image that a panic calls, to return to the kernel that started this one, or NULL. */
struct kjump_image *kj_image_for_panic(void);

/* ---- call.c ---- */

struct kj_entry {
	struct kjump_image *image;
	struct kjump_call *call;
	u64 before, after; /* time stamp counter */
	bool entered;
	struct kjg_alarm alarm;
	u32 pin_low, pin_high; /* of the I/O APIC, before the call */
};

void kj_enter(struct kj_entry *entry);
/* As load_direct_gdt() does, which kernels from 7.2 on export to KVM only. */
void kj_load_writable_gdt(int cpu);
int kj_call(struct kjump_image *image, struct kjump_call *call, bool wait);
u64 kj_total_calls(void);
void kj_choose_mover(void);

/* ---- suspend.c ---- */

void kj_suspend_find_operations(void);
bool kj_suspend_operations_found(void);
int kj_enter_suspended(struct kj_entry *entry);

/* ---- deadline.c ---- */

void kj_deadline_map(void);
void kj_deadline_unmap(void);
void kj_deadline_start(struct kj_entry *entry);
void kj_deadline_end(struct kj_entry *entry);
/* Lets the 8254 raise the timer's interrupt, and afterwards what did so before. */
u32 kj_timer_as_firmware_does(void);
void kj_timer_put_back(u32 before);
/* Stops the image on that CPU at its deadline. Returns when the call has ended. */
void kj_watch_stopped(struct kj_entry *entry, int cpu);

/* ---- clock.c ---- */

/* Ticks of the time stamp counter per millisecond; 0 if it is not usable. */
extern u64 kj_counter_khz;
void kj_clock_find_rate(void);
bool kj_clock_start(void);
void kj_clock_compare(const struct timespec64 *before, const struct timespec64 *after, u64 ticks);
void kj_clock_stop(void);

/* ---- apic.c ---- */

void kj_apic_map(void);
void kj_apic_unmap(void);
void kj_send_interrupt(int cpu, u32 command);
void kj_park_other_cpus(void);
void kj_apic_as_firmware_does(void);
/*
 * Around a call, with interrupts disabled. The first returns the task priority for the second,
 * which sets the bits of the interrupts that the image left in service.
 */
u64 kj_hold_interrupts(void);
void kj_release_interrupts(u64 priority, bool suspended, u32 *in_service);

/* ---- machine.c ---- */

void kj_machine_map(void);
void kj_machine_unmap(void);
void kj_forget_sent_interrupts(void);
void kj_io_apics_as_firmware_does(void);
/* The registers of the I/O APIC at this physical address, or NULL. */
void __iomem *kj_io_apic(u32 address);
u32 kj_io_apic_read(void __iomem *io_apic, u32 number);
void kj_io_apic_write(void __iomem *io_apic, u32 number, u32 value);

/* Registers of an I/O APIC: two for each pin, and bits of the lower one. 82093AA datasheet, 3.2. */
#define IO_APIC_ENTRY(pin) (0x10 + 2 * (pin))
#define IO_APIC_REMOTE_IRR (1 << 14)
#define IO_APIC_MASKED (1 << 16)

/* ---- panic.c ---- */

int kj_panic_register(void);
void kj_panic_unregister(void);

/* ---- device.c ---- */

int kj_device_register(void);
void kj_device_deregister(void);

#endif

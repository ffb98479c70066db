/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface between the halves of the module: the C files in glue/, which call the kernel, and
 * the Rust object, which decides. The declarations in Rust are in rust/src/kernel.rs, lib.rs and
 * decisions.rs.
 */
#ifndef KJUMP_SEAM_H
#define KJUMP_SEAM_H

#include <linux/types.h>
#include "kjump_abi.h"

/* ---- the kernel's services, called from Rust; physical addresses are u64, 0 means none ---- */

/* 2^order contiguous pages, below 4 GiB if low; freed one by one, not zeroed. May sleep. */
u64 kjg_alloc(u32 order, bool low);
void kjg_free(u64 page);
/* Allocates [start, end), all System RAM, migrating what is there; freed one by one. May sleep. */
bool kjg_claim_range(u64 start, u64 end);
/* Allocates [start, end), all in ZONE_DMA, if all of it is free; freed one by one. May sleep. */
bool kjg_claim_low(u64 start, u64 end);
/* Frees a block of KJG_BLOCK_PAGES that one kjg_claim_range() allocated. */
#define KJG_BLOCK_PAGES 512
void kjg_free_block(u64 start);
/* The lock of the state that the Rust object keeps between requests. May sleep. */
void kjg_lock(void);
void kjg_unlock(void);
/* The kernel's mapping of allocated memory. */
void *kjg_virtual(u64 physical);
/* The physical address of a page of the module's own text. */
u64 kjg_text_physical(u64 address);
/* Zeroed memory for arrays. */
void *kjg_array_alloc(u64 bytes);
void kjg_array_free(void *array);
/* Writes at most capacity ranges of System RAM, in rising order; returns how many exist. */
u64 kjg_ram_ranges(struct kjump_range *ranges, u64 capacity);
u64 kjg_total_pages(void);
/*
 * Pages that can be allocated without a process being killed: free ones, and those that the kernel
 * can reclaim or swap out, except the reserves of the kernel.
 */
u64 kjg_available_pages(void);
/* Copies between the module and its caller, user space or the kernel itself; 0 or -EFAULT. */
int kjg_copy_in(void *to, u64 from, u64 bytes, bool user);
int kjg_copy_out(u64 to, const void *from, u64 bytes, bool user);
/* Lets the scheduler and the freezer in during a long load; false if the task has been killed. */
bool kjg_pause(void);
bool kjg_has_register(u32 number);
bool kjg_gigabyte_pages(void);
/* The machine's data for guarding an image; false if it cannot guard. */
struct kjg_guard_facts {
	u64 apic;    /* physical address of the local APIC, 0 in x2APIC mode */
	u64 cpu;     /* APIC ID of a CPU that can run the image */
	u64 tsc_khz; /* ticks of the time stamp counter per millisecond */
};
bool kjg_guard_facts(struct kjg_guard_facts *facts);
/* What can stop an image at its deadline; false if nothing can. A rate is 0 if it cannot. */
struct kjg_deadline_facts {
	u64 watch_khz; /* another CPU: ticks of the time stamp counter per millisecond */
	u64 timer_khz; /* a timer of the HPET: its ticks per millisecond */
};
bool kjg_deadline_facts(struct kjg_deadline_facts *facts);
/* The physical address of the HPET's registers, 0 if they are not used. */
u64 kjg_timer_registers(void);
void kjg_bug(void) __noreturn;

/* ---- the Rust object, called from C; errors are -errno with a diagnosis ---- */

struct kjr_image;

/* To be called first. Returns why the module cannot work here, as text, or NULL. */
const char *kjr_init(bool xen_pv, bool encrypted_memory);
int kjr_load(struct kjump_load *request, bool user, struct kjr_image **image);
void kjr_free(struct kjr_image *image);
int kjr_transfer(struct kjr_image *image, struct kjump_transfer *request, bool write, bool user);
/* Writes the pieces of a list. */
int kjr_write_list(struct kjr_image *image, struct kjump_list *list, bool user);
int kjr_slots(struct kjr_image *image, struct kjump_list *list, bool user);
/* Checks whether the call can be made, and sets call->quiesced to the level it needs. */
int kjr_quiesce(const struct kjr_image *image, struct kjump_call *call);
/* For the deadline of a call. Physical addresses; the timer is not used if its address is 0. */
struct kjg_alarm {
	u64 timer; /* registers of the HPET's timer */
	u64 counter; /* the HPET's main counter */
	u64 configuration; /* of the timer, while it counts */
	u64 khz; /* the HPET's ticks per millisecond */
	u64 counter_khz; /* the time stamp counter's ticks per millisecond */
};
/*
 * Calls the image and restores the CPU's state. Interrupts are off, the FPU is saved, and the
 * writable GDT is loaded. Without an alarm, the deadline is that of the guard, if there is one.
 */
void kjr_enter(struct kjr_image *image, struct kjump_call *call, const struct kjg_alarm *alarm);
/* What another CPU watches during a call, and whether it is to send an NMI now. */
struct kjr_watch;
struct kjr_watch *kjr_watch(const struct kjr_image *image);
bool kjr_overdue(struct kjr_watch *watch, u64 now);
void kjr_describe(const struct kjr_image *image, struct kjump_image_info *info);
/* Destination range n, in rising order. */
bool kjr_range(const struct kjr_image *image, u64 n, struct kjump_range *range);
/*
 * To find the fastest mover: loads an image for it, makes the call for each attempt (false after
 * the last one), and takes its result.
 */
bool kjr_trial_load(struct kjr_image **image, u64 *list);
bool kjr_trial_call(u64 list, size_t attempt, struct kjump_call *call);
void kjr_trial_note(const struct kjump_call *call);
u64 kjr_mover(void);
u64 kjr_paging_levels(void);

/* To find out whether a timer can end a call: an image that waits longer than its deadline. */
bool kjr_timer_trial_load(struct kjr_image **image);
void kjr_timer_trial_call(u64 counter_khz, struct kjump_call *call);

/* ---- decisions that do not concern an image: rust/src/decisions.rs, crates/claims ---- */

/* Whether the rate of the time stamp counter has to be measured again, after `done` times. */
bool kjr_measure_again(u64 kernel_khz, u64 measured, u32 done);
/* The rate to use, 0 if the counter is not usable. */
u64 kjr_counter_khz(u64 kernel_khz, u64 measured);
/* Whether the counter kept running while the wall clock advanced. */
bool kjr_counter_kept_running(s64 wall_seconds, u64 ticks, u64 khz);
/* The address of I/O APIC number n in the MADT. */
bool kjr_io_apic(const void *table, size_t length, size_t n, u32 *address);
/* The I/O APIC with global interrupt 0, and the number of the timer's interrupt. */
bool kjr_first_io_apic(const void *table, size_t length, u32 *address, u32 *timer_pin);
/* The timer to use, given the configuration registers of all; false if there is none. */
struct kjr_timer {
	u32 number;
	u32 pin; /* of the I/O APIC */
	u32 configuration;
};
bool kjr_choose_timer(const u64 *configurations, size_t count, bool legacy, u32 masked_pins,
		      u32 timer_pin, struct kjr_timer *timer);
/*
 * Reports an interrupt that ended the image as that, not as the fault that it caused. in_service is
 * the local APIC's in-service register, of 256 bits, when the image ended.
 */
void kjr_name_interrupt(struct kjump_call *call, const u32 *in_service);
/* Whether an image took the interrupt of the timer, which ran out; `timer` is its LVT register. */
bool kjr_timer_was_taken(u32 timer, bool pending);
/* What to do after a panic, in this order. Without HAND_OVER the CPU that panicked returns. */
#define KJR_PANIC_SILENCE_DEVICES (1 << 0)
#define KJR_PANIC_PARK_CPUS	  (1 << 1)
#define KJR_PANIC_HAND_OVER	  (1 << 2) /* to CPU 0 */
u32 kjr_panic_steps(bool guarded, u32 cpu);
/* Whether an image can be kept under this name, of 32 bytes. */
bool kjr_is_name(const u64 *name);
/* Whether the note of KJUMP_IOC_NOTE fits there. */
bool kjr_note_fits(u64 address, u64 length);
/* The bytes of a structure that caller and module both know, or -errno. */
s64 kjr_common_size(u64 size, u64 first, u64 known);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the two halves of the module: the C files in glue/, which call the kernel, and the Rust object, which thinks.
 * rust/src/kernel.rs and rust/src/lib.rs say the same in Rust.
 */
#ifndef KJUMP_SEAM_H
#define KJUMP_SEAM_H

#include <linux/types.h>
#include "kjump_abi.h"

/* ---- the kernel's services, called from Rust. Physical addresses are plain u64, 0 means none. ---- */

/* 2^order neighbouring pages of which each can be freed alone, below 4 GiB if low; contents undefined. May sleep. */
u64 kjg_alloc(u32 order, bool low);
void kjg_free(u64 page);
/* Takes the pages of [start, end), all System RAM, away from whoever uses them; each can be freed alone. May sleep. */
bool kjg_claim_range(u64 start, u64 end);
/* Takes the pages of [start, end), all in the zone for ISA DMA, if all are free; each can be freed alone. May sleep. */
bool kjg_claim_low(u64 start, u64 end);
/* Frees a block of KJG_BLOCK_PAGES, all of whose pages one kjg_claim_range took. */
#define KJG_BLOCK_PAGES 512
void kjg_free_block(u64 start);
/* The lock of what the Rust object keeps between requests. May sleep. */
void kjg_lock(void);
void kjg_unlock(void);
/* Where the kernel reaches memory that was taken so. */
void *kjg_virtual(u64 physical);
/* Where a page of the module's own text lies. */
u64 kjg_text_physical(u64 address);
/* Zeroed memory for arrays. */
void *kjg_array_alloc(u64 bytes);
void kjg_array_free(void *array);
/* Ranges of System RAM, in rising order: fills up to capacity and returns how many there are. */
u64 kjg_ram_ranges(struct kjump_range *ranges, u64 capacity);
u64 kjg_total_pages(void);
/* Between the caller's memory (user space's, or the kernel's own) and ours; 0 or -EFAULT. */
int kjg_copy_in(void *to, u64 from, u64 bytes, bool user);
int kjg_copy_out(u64 to, const void *from, u64 bytes, bool user);
/* A pause in a long load, for the scheduler and the freezer; false if the task is being killed. */
bool kjg_pause(void);
bool kjg_has_register(u32 number);
bool kjg_gigabyte_pages(void);
/* What is to be known to guard an image; false if it cannot be done here. */
struct kjg_guard_facts {
	u64 apic;    /* registers of the local APIC, 0 if they are model-specific ones */
	u64 cpu;     /* APIC identifier of a CPU that can run the image */
	u64 tsc_khz; /* ticks of the time stamp counter in a millisecond */
};
bool kjg_guard_facts(struct kjg_guard_facts *facts);
void kjg_bug(void) __noreturn;

/* ---- the Rust object, called from C. Errors are -errno with a diagnosis. ---- */

struct kjr_image;

/* What kept the module from working here, as text, or NULL. To be called first. */
const char *kjr_init(bool xen_pv, bool encrypted_memory);
int kjr_load(struct kjump_load *request, bool user, struct kjr_image **image);
void kjr_free(struct kjr_image *image);
int kjr_transfer(struct kjr_image *image, struct kjump_transfer *request, bool write, bool user);
int kjr_slots(struct kjr_image *image, struct kjump_list *list, bool user);
/* Whether a call can be made, and the level that it gets in call->quiesced. */
int kjr_quiesce(const struct kjr_image *image, struct kjump_call *call);
/* Calls the image. Interrupts off, FPU saved, GDT writable; returns with all of the CPU's state as it was. */
void kjr_enter(struct kjr_image *image, struct kjump_call *call);
void kjr_describe(const struct kjr_image *image, struct kjump_image_info *info);
/* Destination range number n, in rising order. */
bool kjr_range(const struct kjr_image *image, u64 n, struct kjump_range *range);
/* The image that tries the ways of moving pages, the call of each attempt (false after the last), and its result. */
bool kjr_trial_load(struct kjr_image **image, u64 *list);
bool kjr_trial_call(u64 list, size_t attempt, struct kjump_call *call);
void kjr_trial_note(const struct kjump_call *call);
u64 kjr_mover(void);
u64 kjr_paging_levels(void);

/* ---- decisions that do not concern an image: rust/src/decisions.rs, crates/claims ---- */

/* Whether the rate of the time stamp counter has to be measured (again); `done` measurements were taken. */
bool kjr_measure_again(u64 kernel_khz, u64 measured, u32 done);
/* The rate to use, 0 if the counter is not usable. */
u64 kjr_counter_khz(u64 kernel_khz, u64 measured);
/* Whether the counter kept running while the wall clock advanced. */
bool kjr_counter_kept_running(s64 wall_seconds, u64 ticks, u64 khz);
/* The address of I/O APIC number n in the MADT. */
bool kjr_io_apic(const void *table, size_t length, size_t n, u32 *address);
/* What to do after a panic, in this order. Without KJR_PANIC_HAND_OVER the CPU that panicked returns itself. */
#define KJR_PANIC_SILENCE_DEVICES (1 << 0)
#define KJR_PANIC_PARK_CPUS	  (1 << 1)
#define KJR_PANIC_HAND_OVER	  (1 << 2) /* to the first CPU */
u32 kjr_panic_steps(bool guarded, u32 cpu);
/* Whether an image can be kept under this name, of 32 bytes. */
bool kjr_is_name(const u64 *name);
/* Whether a note about the first CPU fits there. */
bool kjr_note_fits(u64 address, u64 length);
/* The bytes of a structure that caller and module both know, or -errno. */
s64 kjr_common_size(u64 size, u64 first, u64 known);

#endif

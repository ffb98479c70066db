/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * /dev/kjump: ioctl numbers and the structures they point at.
 *
 * Every structure with a field "size" starts with it: its size in bytes as the caller knows it. A shorter structure
 * than the module's is served, a longer one must have zeroes in what the module does not know. Every field is 64 bits
 * wide. Addresses are physical unless a comment says otherwise. The fields after "out" are written by the module, also
 * when the request fails with a reason.
 *
 * crates/abi/src/device.rs and control.rs say the same in Rust; a test compares them with this file.
 */
#ifndef KJUMP_ABI_H
#define KJUMP_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KJUMP_PATH "/dev/kjump"
#define KJUMP_VERSION 1

/* Requests. Sizes travel in the structures, not in the number. */
#define KJUMP_IOC_INFO   _IO(0xb9, 0) /* struct kjump_info */
#define KJUMP_IOC_LOAD   _IO(0xb9, 1) /* struct kjump_load */
#define KJUMP_IOC_READ   _IO(0xb9, 2) /* struct kjump_transfer: image to caller */
#define KJUMP_IOC_WRITE  _IO(0xb9, 3) /* struct kjump_transfer: caller to image */
#define KJUMP_IOC_CALL   _IO(0xb9, 4) /* struct kjump_call */
#define KJUMP_IOC_UNLOAD _IO(0xb9, 5) /* no structure */
#define KJUMP_IOC_KEEP   _IO(0xb9, 6) /* struct kjump_name: the image outlives the open file */
#define KJUMP_IOC_ATTACH _IO(0xb9, 7) /* struct kjump_name: a kept image becomes that of the open file */
#define KJUMP_IOC_IMAGES _IO(0xb9, 8) /* struct kjump_list of struct kjump_image_info */
#define KJUMP_IOC_RANGES _IO(0xb9, 9) /* struct kjump_list of struct kjump_range */
#define KJUMP_IOC_SLOTS  _IO(0xb9, 10) /* struct kjump_list of struct kjump_slot_run */
#define KJUMP_IOC_NOTES  _IO(0xb9, 11) /* struct kjump_notes: room for a note about the CPU that calls */

/* struct kjump_diagnosis, reason. 1 to 99 are errors of the image builder (the crate kimage) in their word form. */
#define KJUMP_REASON_NONE                  0
#define KJUMP_REASON_IMAGE_FIRST           1
#define KJUMP_REASON_IMAGE_LAST            99
#define KJUMP_REASON_BAD_SIZE              100 /* numbers: size, least, greatest */
#define KJUMP_REASON_BAD_FIELD             101 /* numbers: byte offset of the field, value */
#define KJUMP_REASON_LOCKED_DOWN           102
#define KJUMP_REASON_LOAD_DISABLED         103 /* kernel.kexec_load_disabled is 1 */
#define KJUMP_REASON_LOAD_DISABLED_UNKNOWN 104 /* it could not be read */
#define KJUMP_REASON_NOT_PERMITTED         105 /* CAP_SYS_BOOT is missing */
#define KJUMP_REASON_NOT_LOADED            106
#define KJUMP_REASON_UNDER_WAY             107 /* numbers: 1 of this image, 2 of another */
#define KJUMP_REASON_PAGE_IN_USE           108 /* numbers: first such page, how many, pages in all */
#define KJUMP_REASON_SUSPEND_FAILED        109 /* numbers: errno, positive */
#define KJUMP_REASON_WOKEN_UP              110
#define KJUMP_REASON_INTERRUPTED           111 /* numbers: pages done, pages in all */
#define KJUMP_REASON_BAD_POINTER           112 /* numbers: virtual address */
#define KJUMP_REASON_NOT_IN_IMAGE          113 /* numbers: physical address, length */
#define KJUMP_REASON_BAD_NAME              114 /* numbers, with EEXIST: 1 this image has one, 2 another has this */
#define KJUMP_REASON_NO_SUCH_IMAGE         115
#define KJUMP_REASON_NO_MEMORY             116 /* numbers: bytes */
#define KJUMP_REASON_ENTRY_TOO_HIGH        117 /* numbers: entry point */
#define KJUMP_REASON_ALREADY_LOADED        118
#define KJUMP_REASON_WRONG_CONTEXT         119
#define KJUMP_REASON_VOUCHED_RAM           120 /* numbers: number of the range, start, end */
#define KJUMP_REASON_BAD_VOUCHED           121 /* numbers: number of the range, start, end */
#define KJUMP_REASON_VIRTUALIZATION_ON     122
#define KJUMP_REASON_NO_GUARD              123
#define KJUMP_REASON_DEAD                  124
#define KJUMP_REASON_CPU_NOT_STARTED       125 /* numbers: its APIC identifier */

/* struct kjump_info, features */
#define KJUMP_FEATURE_SUSPEND          (1 << 0) /* the system can be suspended around a call */
#define KJUMP_FEATURE_SUSPEND_OPS_KEPT (1 << 1) /* the machine's own suspend operations are put back */
#define KJUMP_FEATURE_CLAIM            (1 << 2) /* pages can be claimed by address */
#define KJUMP_FEATURE_GIGABYTE_PAGES   (1 << 3) /* the identity map uses 1 GiB pages */
#define KJUMP_FEATURE_GUARD            (1 << 4) /* KJUMP_LOAD_FLAG_GUARD will do */

/* struct kjump_info, mover: how many bytes are moved at a time */
#define KJUMP_MOVER_WORD 0 /* 8, general registers */
#define KJUMP_MOVER_SSE2 1 /* 16 */
#define KJUMP_MOVER_AVX  2 /* 32 */

/* struct kjump_load, mode */
#define KJUMP_MODE_LONG      64 /* paging on, identity-mapped, System V call */
#define KJUMP_MODE_PROTECTED 32 /* paging off, flat segments, cdecl, result in edx:eax */

/* struct kjump_load, flags */
#define KJUMP_LOAD_FLAG_CLAIM (1 << 0) /* try to claim destination pages, so that quick calls do */
#define KJUMP_LOAD_FLAG_CALL_ON_PANIC (1 << 1) /* the way back to the kernel that started this one */
#define KJUMP_LOAD_FLAG_GUARD (1 << 2) /* run on another CPU, watched by this one; 64-bit mode, quiesced by "suspend" */
#define KJUMP_LOAD_FLAG_GUARDED_FROM_THERE (1 << 3) /* with CALL_ON_PANIC: the kernel behind watches this one so */

/* struct kjump_call, quiesce and quiesced */
#define KJUMP_QUIESCE_AUTO    0 /* the cheapest that is allowed */
#define KJUMP_QUIESCE_NONE    1 /* interrupts off on this CPU */
#define KJUMP_QUIESCE_STOP    2 /* the other CPUs wait */
#define KJUMP_QUIESCE_SUSPEND 3 /* tasks frozen, devices suspended, other CPUs offline */

/* struct kjump_call, status */
#define KJUMP_STATUS_NOT_CALLED 0
#define KJUMP_STATUS_RETURNED   1
#define KJUMP_STATUS_FAULT      2
#define KJUMP_STATUS_DEADLINE   3 /* taken down */

/* The layout of struct kexec_segment on 64-bit machines. */
struct kjump_segment {
	__u64 buf;   /* virtual */
	__u64 bufsz; /* bytes; the rest of memsz is filled with zeroes */
	__u64 mem;   /* page-aligned */
	__u64 memsz; /* bytes, whole pages */
};

struct kjump_range {
	__u64 start;
	__u64 end; /* first byte behind */
};

/* Neighbouring destination pages and the neighbouring pages where they wait; the same for what the image has for itself. */
struct kjump_slot_run {
	__u64 destination;
	__u64 source;
	__u64 pages;
};

struct kjump_diagnosis {
	__u64 reason;
	__u64 numbers[5];
};

struct kjump_info {
	__u64 size;
	/* out */
	__u64 version;
	__u64 features;
	__u64 paging_levels; /* 4 or 5 */
	__u64 images;
	__u64 frames;  /* page frames the images hold, of every kind */
	__u64 calls;   /* since the module was loaded */
	__u64 tsc_khz; /* 0 if unknown */
	__u64 mover;
	__u64 guard_cpu; /* with KJUMP_FEATURE_GUARD, the APIC identifier of the CPU that watches */
};

struct kjump_load {
	__u64 size;
	__u64 segments; /* virtual address of struct kjump_segment[] */
	__u64 segment_count;
	__u64 vouched; /* virtual address of struct kjump_range[]: memory beyond System RAM */
	__u64 vouched_count;
	__u64 entry;
	__u64 mode;
	__u64 flags;
	/* out */
	__u64 id;
	__u64 pages;          /* destination pages */
	__u64 claimed;        /* of them the image's own */
	__u64 in_use;         /* of them in use by the kernel */
	__u64 first_in_use;   /* or all ones */
	__u64 support_frames; /* page list, page tables, stack, control page */
	__u64 control_page;
	__u64 jump_back; /* where what was jumped to, another kernel, comes back to */
	struct kjump_diagnosis diagnosis;
};

struct kjump_transfer {
	__u64 size;
	__u64 address; /* in the image */
	__u64 buffer;  /* virtual, the caller's */
	__u64 length;
	/* out */
	struct kjump_diagnosis diagnosis;
};

/* At every call an ELF note with the CPU's registers and task (NT_PRSTATUS) is written there, and zeroes behind. */
#define KJUMP_NOTES_ROOM 512

struct kjump_notes {
	__u64 size;
	__u64 address; /* in the image, a multiple of 4 */
	__u64 length;  /* KJUMP_NOTES_ROOM at least, all in one page */
	/* out */
	struct kjump_diagnosis diagnosis;
};

struct kjump_fault {
	__u64 vector;
	__u64 error_code;
	__u64 rip;
	__u64 rflags;
	__u64 cs;
	__u64 cr2;
	__u64 registers[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15 */
};

/* Time stamp counter ticks spent in the phases of a call. */
struct kjump_ticks {
	__u64 quiesce;
	__u64 enter; /* CPU state, mode, moving the image in */
	__u64 run;
	__u64 leave; /* moving the image out, CPU state */
	__u64 resume;
	__u64 exchange; /* of pages, both ways; part of enter and leave */
};

/* What a peer kernel leaves in its memory when it gives up. */
#define KJUMP_HANDOFF_MAGIC 0x0063696e61706a6bULL /* "kjpanic" */

struct kjump_handoff {
	__u64 magic;
	__u64 log;        /* physical address of the end of its kernel log, as text */
	__u64 log_length; /* bytes */
};


struct kjump_call {
	__u64 size;
	__u64 arguments[6];
	__u64 quiesce;
	/* out */
	__u64 value;
	__u64 value_high; /* rdx in 64-bit mode; from a peer kernel, address of a struct kjump_handoff, or 0 */
	__u64 status;
	__u64 quiesced;
	struct kjump_fault fault;
	struct kjump_ticks ticks;
	__u64 calls; /* of this image, this one included */
	struct kjump_diagnosis diagnosis;
	/* in */
	__u64 deadline; /* milliseconds, 0 for none; needs KJUMP_LOAD_FLAG_GUARD */
};

struct kjump_name {
	__u64 size;
	__u64 name[4]; /* up to 31 bytes of printable ASCII and zeroes, the first in the lowest byte */
	/* out */
	struct kjump_diagnosis diagnosis;
};

struct kjump_list {
	__u64 size;
	__u64 entries; /* virtual address of an array */
	__u64 capacity;
	__u64 id; /* of the image asked about, KJUMP_IOC_RANGES and KJUMP_IOC_SLOTS only */
	/* out */
	__u64 count; /* may be more than capacity */
	struct kjump_diagnosis diagnosis;
};

struct kjump_image_info {
	__u64 id;
	__u64 name[4];
	__u64 loader; /* process id, 0 for a kernel module */
	__u64 mode;
	__u64 entry;
	__u64 ranges;
	__u64 pages;
	__u64 claimed;
	__u64 in_use;
	__u64 support_frames;
	__u64 calls;
	__u64 faults;
	__u64 loaded_at; /* nanoseconds of CLOCK_BOOTTIME */
	__u64 ticks_run;
};

#endif

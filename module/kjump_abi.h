/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * /dev/kjump: ioctl numbers and the structures they take.
 *
 * A field "size" comes first and is the size of the structure in bytes, as the caller knows it. The
 * caller's structure may be shorter than the module's, from an older version, or longer; then the
 * bytes that the module does not know must be zeros. All fields are 64 bits wide. Addresses are
 * physical unless noted otherwise. The module writes the fields after "out", also when the request
 * fails with a reason.
 *
 * Requests that must not run at the same time wait for each other in order: calls of all images,
 * transfers and calls of one image, all requests of one open file. A signal ends the wait. With
 * O_NONBLOCK they fail instead, with EBUSY and KJUMP_REASON_UNDER_WAY.
 *
 * The same in Rust: crates/abi/src/device.rs and control.rs. A test compares them with this file.
 */
#ifndef KJUMP_ABI_H
#define KJUMP_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KJUMP_PATH "/dev/kjump"
#define KJUMP_VERSION 1

/* Requests. The size is in the structure, not in the number. */
#define KJUMP_IOC_INFO   _IO(0xb9, 0) /* struct kjump_info */
#define KJUMP_IOC_LOAD   _IO(0xb9, 1) /* struct kjump_load */
#define KJUMP_IOC_READ   _IO(0xb9, 2) /* struct kjump_transfer: image to caller */
#define KJUMP_IOC_WRITE  _IO(0xb9, 3) /* struct kjump_transfer: caller to image */
#define KJUMP_IOC_CALL   _IO(0xb9, 4) /* struct kjump_call */
#define KJUMP_IOC_UNLOAD _IO(0xb9, 5) /* no structure */
#define KJUMP_IOC_KEEP   _IO(0xb9, 6) /* struct kjump_name: keep the image after close() */
#define KJUMP_IOC_ATTACH _IO(0xb9, 7) /* struct kjump_name: use a kept image in this file */
#define KJUMP_IOC_IMAGES _IO(0xb9, 8) /* struct kjump_list of struct kjump_image_info */
#define KJUMP_IOC_RANGES _IO(0xb9, 9) /* struct kjump_list of struct kjump_range */
#define KJUMP_IOC_SLOTS  _IO(0xb9, 10) /* struct kjump_list of struct kjump_slot_run */
#define KJUMP_IOC_NOTE   _IO(0xb9, 11) /* struct kjump_note: where the crash note of CPU 0 is */
#define KJUMP_IOC_WRITE_LIST _IO(0xb9, 12) /* struct kjump_list of struct kjump_piece */

/*
 * struct kjump_diagnosis, reason. 1 to 99 are the errors of the image builder:
 * crates/kimage/src/error.rs.
 */
#define KJUMP_REASON_NONE                  0
#define KJUMP_REASON_IMAGE_FIRST           1
#define KJUMP_REASON_IMAGE_LAST            99
#define KJUMP_REASON_BAD_SIZE              100 /* numbers: size, minimum, maximum */
#define KJUMP_REASON_BAD_FIELD             101 /* numbers: byte offset of the field, value */
#define KJUMP_REASON_LOCKED_DOWN           102
#define KJUMP_REASON_LOAD_DISABLED         103 /* kernel.kexec_load_disabled is 1 */
#define KJUMP_REASON_LOAD_DISABLED_UNKNOWN 104 /* it could not be read */
#define KJUMP_REASON_NOT_PERMITTED         105 /* no CAP_SYS_BOOT */
#define KJUMP_REASON_NOT_LOADED            106
#define KJUMP_REASON_UNDER_WAY             107 /* with O_NONBLOCK; numbers: 1: this image, 2: another */
#define KJUMP_REASON_PAGE_IN_USE           108 /* numbers: the first, their count, all pages */
#define KJUMP_REASON_SUSPEND_FAILED        109 /* numbers: errno, positive */
#define KJUMP_REASON_WOKEN_UP              110
#define KJUMP_REASON_INTERRUPTED           111 /* numbers: pages done, all pages */
#define KJUMP_REASON_BAD_POINTER           112 /* numbers: virtual address */
#define KJUMP_REASON_NOT_IN_IMAGE          113 /* numbers: physical address, length */
#define KJUMP_REASON_BAD_NAME              114 /* with EEXIST: 1 image has a name, 2 name in use */
#define KJUMP_REASON_NO_SUCH_IMAGE         115
#define KJUMP_REASON_NO_MEMORY             116 /* numbers: bytes */
#define KJUMP_REASON_ENTRY_TOO_HIGH        117 /* numbers: entry point */
#define KJUMP_REASON_ALREADY_LOADED        118
#define KJUMP_REASON_WRONG_CONTEXT         119
#define KJUMP_REASON_VOUCHED_RAM           120 /* numbers: index of the range, start, end */
#define KJUMP_REASON_BAD_VOUCHED           121 /* numbers: index of the range, start, end */
#define KJUMP_REASON_VIRTUALIZATION_ON     122
#define KJUMP_REASON_NO_GUARD              123
#define KJUMP_REASON_DEAD                  124
#define KJUMP_REASON_CPU_NOT_STARTED       125 /* numbers: its APIC ID */
#define KJUMP_REASON_NOT_WRITTEN           126 /* numbers: pages not written, all pages */
#define KJUMP_REASON_BAD_NOTE              130 /* numbers: physical address, length */
#define KJUMP_REASON_NO_DEADLINE           140 /* numbers: deadline, longest possible, in ms */

/* struct kjump_info, features */
#define KJUMP_FEATURE_SUSPEND          (1 << 0) /* the system can be suspended around a call */
#define KJUMP_FEATURE_SUSPEND_OPS_KEPT (1 << 1) /* the machine's own suspend works after a call */
#define KJUMP_FEATURE_CLAIM            (1 << 2) /* pages can be claimed by address */
#define KJUMP_FEATURE_GIGABYTE_PAGES   (1 << 3) /* the identity map uses 1 GiB pages */
#define KJUMP_FEATURE_GUARD            (1 << 4) /* KJUMP_LOAD_FLAG_GUARD works */
#define KJUMP_FEATURE_WATCH            (1 << 8) /* deadlines work while other CPUs are up */
#define KJUMP_FEATURE_TIMER            (1 << 9) /* deadlines work at every level */

/* struct kjump_info, mover: the bytes that are moved at a time */
#define KJUMP_MOVER_WORD 0 /* 8, general registers */
#define KJUMP_MOVER_SSE2 1 /* 16 */
#define KJUMP_MOVER_AVX  2 /* 32 */

/*
 * struct kjump_load, mode
 *
 * An image is entered with interrupts disabled and the task priority (CR8, the local APIC's TPR) at
 * 15: interrupts of the local APIC stay pending for the kernel, even if the image enables them. An
 * image that lowers the priority needs an interrupt descriptor table of its own, and has to
 * acknowledge what it takes; the kernel takes what is left in service when it returns.
 */
#define KJUMP_MODE_LONG      64 /* paging on, identity-mapped, System V call */
#define KJUMP_MODE_PROTECTED 32 /* paging off, flat segments, cdecl, result in edx:eax */

/* struct kjump_load, flags */
/* Try to allocate the destination pages, so that calls without suspend are possible. */
#define KJUMP_LOAD_FLAG_CLAIM (1 << 0)
/* The image is the jump-back entry of the kernel that started this one: a panic calls it. */
#define KJUMP_LOAD_FLAG_CALL_ON_PANIC (1 << 1)
/* Run on another CPU, watched by this one; only in 64-bit mode and with KJUMP_QUIESCE_SUSPEND. */
#define KJUMP_LOAD_FLAG_GUARD (1 << 2)
/* With CALL_ON_PANIC: the kernel that started this one watches it in that way. */
#define KJUMP_LOAD_FLAG_GUARDED_FROM_THERE (1 << 3)
/*
 * No page is filled, which takes longest for an image as large as memory. Until each page has been
 * written as a whole, the image can be neither read nor called. Segments have no bytes.
 */
#define KJUMP_LOAD_FLAG_UNFILLED (1 << 4)

/* struct kjump_call, quiesce and quiesced */
#define KJUMP_QUIESCE_AUTO    0 /* the cheapest level that works for the image */
#define KJUMP_QUIESCE_NONE    1 /* interrupts off on this CPU */
#define KJUMP_QUIESCE_STOP    2 /* the other CPUs wait */
#define KJUMP_QUIESCE_SUSPEND 3 /* tasks frozen, devices suspended, other CPUs offline */

/* struct kjump_call, status */
#define KJUMP_STATUS_NOT_CALLED 0
#define KJUMP_STATUS_RETURNED   1
#define KJUMP_STATUS_FAULT      2
#define KJUMP_STATUS_DEADLINE   3 /* stopped at the deadline */

/* The layout of struct kexec_segment on 64-bit machines. */
struct kjump_segment {
	__u64 buf;   /* virtual */
	__u64 bufsz; /* bytes; the rest of memsz is filled with zeros */
	__u64 mem;   /* page-aligned */
	__u64 memsz; /* bytes, whole pages */
};

struct kjump_range {
	__u64 start;
	__u64 end; /* first byte after the range */
};

/*
 * Contiguous destination pages, and the contiguous source pages that hold their contents between
 * calls. Both are the same for pages that are the image's own.
 */
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
	__u64 frames;  /* page frames that all images hold together */
	__u64 calls;   /* since the module was loaded */
	__u64 tsc_khz; /* 0 if unknown */
	__u64 mover;
	__u64 guard_cpu; /* with KJUMP_FEATURE_GUARD, the APIC ID of the CPU that watches */
};

struct kjump_load {
	__u64 size;
	__u64 segments; /* virtual address of struct kjump_segment[] */
	__u64 segment_count;
	__u64 vouched; /* virtual address of struct kjump_range[]: usable memory that is not System RAM */
	__u64 vouched_count;
	__u64 entry;
	__u64 mode;
	__u64 flags;
	/* out */
	__u64 id;
	__u64 pages;          /* destination pages */
	__u64 claimed;        /* of these, allocated by the image */
	__u64 in_use;         /* of these, in use by the kernel */
	__u64 first_in_use;   /* its address, or all ones */
	__u64 support_frames; /* page list, page tables, stack, control page */
	__u64 control_page;
	__u64 jump_back; /* entry point for another kernel to return to this one */
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

/*
 * The running kernel's crash_notes of CPU 0. Before each call that suspends the system, an ELF note
 * with the CPU's registers and task (NT_PRSTATUS) is written there; after the call it is zeroed.
 */
#define KJUMP_NOTE_ROOM 368

struct kjump_note {
	__u64 size;
	__u64 address; /* in System RAM, a multiple of 4 */
	__u64 length;  /* at least KJUMP_NOTE_ROOM, all in one page */
	/* out */
	struct kjump_diagnosis diagnosis;
};

struct kjump_fault {
	__u64 vector; /* of an exception; from 32, of an interrupt that the image had no gate for */
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
	__u64 enter; /* saving the CPU state, switching modes, moving the image in */
	__u64 run;
	__u64 leave; /* moving the image out, restoring the CPU state */
	__u64 resume;
	__u64 exchange; /* moving pages in and out; part of enter and leave */
};

/* What a peer kernel that panicked leaves in its memory. */
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
	__u64 value_high; /* rdx in 64-bit mode; from a peer, address of a struct kjump_handoff or 0 */
	__u64 status;
	__u64 quiesced;
	struct kjump_fault fault;
	struct kjump_ticks ticks;
	__u64 calls; /* of this image, including this one */
	struct kjump_diagnosis diagnosis;
	/* in */
	/*
	 * In milliseconds, 0 for none. An image without KJUMP_LOAD_FLAG_GUARD is stopped by an NMI:
	 * that works as long as it keeps its interrupt descriptor table. `fault` then contains the
	 * registers, and the image can be called again.
	 */
	__u64 deadline;
};

/* Bytes to write. KJUMP_IOC_WRITE_LIST counts the pieces that were written as a whole. */
struct kjump_piece {
	__u64 address; /* in the image */
	__u64 buffer;  /* virtual, the caller's */
	__u64 length;
};

struct kjump_name {
	__u64 size;
	__u64 name[4]; /* 1 to 31 printable ASCII characters and zeros, the first in the lowest byte */
	/* out */
	struct kjump_diagnosis diagnosis;
};

struct kjump_list {
	__u64 size;
	__u64 entries; /* virtual address of an array */
	__u64 capacity;
	__u64 id; /* of the image; for KJUMP_IOC_RANGES and KJUMP_IOC_SLOTS */
	/* out */
	__u64 count; /* of all entries; may be more than capacity */
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

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls code in physical memory from the kernel as if it were a function: loads a few bytes of
 * machine code, calls them twice with arguments, reads the counter they keep, and logs the results.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include "kjump.h"

static unsigned long long address = 0x300000;
module_param(address, ullong, 0400);
MODULE_PARM_DESC(address, "physical address to load the code at");

/* lea (%rdi,%rsi,2),%rax; incq calls(%rip); ret; padding; calls: .quad 0 */
static const u8 code[] = {
	0x48, 0x8d, 0x04, 0x77, 0x48, 0xff, 0x05, 0x05, 0x00, 0x00, 0x00, 0xc3,
	0xcc, 0xcc, 0xcc, 0xcc, 0, 0, 0, 0, 0, 0, 0, 0,
};

#define CALLS_OFFSET 16

static int call_twice(struct kjump_image *image)
{
	struct kjump_transfer transfer = { .size = sizeof(transfer), .address = address + CALLS_OFFSET };
	u64 calls = 0, n;
	int error;

	for (n = 1; n <= 2; n++) {
		struct kjump_call call = { .size = sizeof(call), .arguments = { 1000 * n, 7 } };

		error = kjump_call(image, &call);
		if (error)
			return error;
		if (call.status != KJUMP_STATUS_RETURNED)
			return -EIO;
		pr_info("%llu + 2 * 7 = %llu\n", 1000 * n, call.value);
	}
	transfer.buffer = (u64)&calls;
	transfer.length = sizeof(calls);
	error = kjump_read(image, &transfer);
	if (!error)
		pr_info("the code counted %llu calls\n", calls);
	return error;
}

static int __init sample_init(void)
{
	struct kjump_segment segment = {
		.buf = (u64)code,
		.bufsz = sizeof(code),
		.mem = address,
		.memsz = PAGE_SIZE,
	};
	struct kjump_load load = {
		.size = sizeof(load),
		.segments = (u64)&segment,
		.segment_count = 1,
		.entry = address,
		.mode = KJUMP_MODE_LONG,
		.flags = KJUMP_LOAD_FLAG_CLAIM,
	};
	struct kjump_image *image = kjump_load(&load);
	int error;

	if (IS_ERR(image)) {
		pr_err("not loaded: error %ld, reason %llu\n", PTR_ERR(image), load.diagnosis.reason);
		return PTR_ERR(image);
	}
	error = call_twice(image);
	kjump_unload(image);
	return error;
}

static void __exit sample_exit(void)
{
}

module_init(sample_init);
module_exit(sample_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Sample: call code in physical memory from the kernel");
MODULE_AUTHOR("The kjump developers");

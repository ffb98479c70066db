// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hangs the kernel: every CPU disables interrupts and loops. Tests whether a kernel that booted
 * this one gets the machine back.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/smp.h>

static void hang(void *nothing)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

static int __init hang_init(void)
{
	pr_emerg("all %u CPUs hang from here on\n", num_online_cpus());
	on_each_cpu(hang, NULL, false);
	return 0;
}

module_init(hang_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test: hang the kernel");
MODULE_AUTHOR("The kjump developers");

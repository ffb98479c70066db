// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends NMIs from the last CPU to the first one, at irregular intervals, while the module is
 * loaded. Tests whether calls of images stand NMIs at any instruction.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <asm/apicdef.h>
#include <asm/msr.h>
#include <asm/nmi.h>

static void __iomem *local_apic;
static struct task_struct *sender;
static unsigned long sent;
static atomic_long_t received;

static int receive(unsigned int kind, struct pt_regs *registers)
{
	atomic_long_inc(&received);
	return NMI_HANDLED;
}

/* Intel SDM volume 3, 11.6.1; the first CPU has the ID 0. */
static void send(void)
{
	unsigned long flags;

	local_irq_save(flags);
	writel(0, local_apic + APIC_ICR2);
	writel(APIC_DM_NMI, local_apic + APIC_ICR);
	while (readl(local_apic + APIC_ICR) & APIC_ICR_BUSY)
		cpu_relax();
	local_irq_restore(flags);
	sent++;
}

static int send_all(void *nothing)
{
	u32 state = 1;

	while (!kthread_should_stop()) {
		state = state * 1664525 + 1013904223;
		send();
		udelay(50 + (state >> 25));
		cond_resched();
	}
	return 0;
}

static int __init nmi_init(void)
{
	u32 low, high;
	int error;

	rdmsr(MSR_IA32_APICBASE, low, high);
	if (low & X2APIC_ENABLE)
		return -ENODEV;
	local_apic = ioremap(((u64)high << 32 | low) & PAGE_MASK, PAGE_SIZE);
	if (!local_apic)
		return -ENOMEM;
	error = register_nmi_handler(NMI_LOCAL, receive, 0, "kjump_nmi");
	if (error)
		goto unmap;
	sender = kthread_create(send_all, NULL, "kjump_nmi");
	if (IS_ERR(sender)) {
		error = PTR_ERR(sender);
		goto unregister;
	}
	kthread_bind(sender, cpumask_last(cpu_online_mask));
	wake_up_process(sender);
	return 0;
unregister:
	unregister_nmi_handler(NMI_LOCAL, "kjump_nmi");
unmap:
	iounmap(local_apic);
	return error;
}

static void __exit nmi_exit(void)
{
	kthread_stop(sender);
	unregister_nmi_handler(NMI_LOCAL, "kjump_nmi");
	iounmap(local_apic);
	pr_info("%lu NMIs sent, %ld received\n", sent, atomic_long_read(&received));
}

module_init(nmi_init);
module_exit(nmi_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test: send NMIs to the first CPU");
MODULE_AUTHOR("The kjump developers");

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: interrupts sent to other CPUs, and interrupts of this CPU during a call.
 *
 * Registers are accessed directly, so that it also works during a panic and while the kernel's APIC
 * driver is suspended. Intel SDM volume 3, chapter 11.
 */
#include <linux/bitops.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <asm/apic.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>
#include <asm/smp.h>
#include "glue.h"

/* The registers in xAPIC mode, mapped if that was the mode when the module was loaded. */
static void __iomem *local_apic;

enum apic_mode { APIC_OFF, APIC_MEMORY, APIC_MSR };

/* Read on every use, as another kernel may have changed it. */
static enum apic_mode apic_mode(void)
{
	u32 low, high;

	if (rdmsr_safe(MSR_IA32_APICBASE, &low, &high) || !(low & MSR_IA32_APICBASE_ENABLE))
		return APIC_OFF;
	if (low & X2APIC_ENABLE)
		return APIC_MSR;
	return local_apic ? APIC_MEMORY : APIC_OFF;
}

static u32 get_register(enum apic_mode mode, u32 number)
{
	u32 low, high;

	if (mode == APIC_MEMORY)
		return readl(local_apic + number);
	rdmsr(APIC_BASE_MSR + (number >> 4), low, high);
	return low;
}

static void set_register(enum apic_mode mode, u32 number, u32 value)
{
	if (mode == APIC_MEMORY)
		writel(value, local_apic + number);
	else
		wrmsr(APIC_BASE_MSR + (number >> 4), value, 0);
}

/* 11.6.1 and 11.12.9. */
static void send(enum apic_mode mode, u32 apic_id, u32 command)
{
	u32 tries;

	if (mode == APIC_MSR) {
		weak_wrmsr_fence();
		wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4), command, apic_id);
		return;
	}
	writel(SET_XAPIC_DEST_FIELD(apic_id), local_apic + APIC_ICR2);
	writel(command, local_apic + APIC_ICR);
	for (tries = 0; tries < 1000 && readl(local_apic + APIC_ICR) & APIC_ICR_BUSY; tries++)
		udelay(1);
}

void kj_send_interrupt(int cpu, u32 command)
{
	enum apic_mode mode = apic_mode();
	u32 id = per_cpu(x86_cpu_to_apicid, cpu);

	/* Where the kernel does not know it, the ID would address all CPUs. */
	if (mode != APIC_OFF && id != BAD_APICID)
		send(mode, id, command);
}

/*
 * The other CPUs are offline or stopped, but still loop in this kernel's text, which the image may
 * overwrite. After an INIT they wait for a start-up IPI without executing anything. The INIT is
 * sent to each CPU of this kernel, not to all but self: another kernel may be watching this one
 * from a CPU of its own.
 */
void kj_park_other_cpus(void)
{
	int cpu;

	if (num_present_cpus() == 1)
		return;
	for_each_present_cpu(cpu)
		if (cpu != smp_processor_id())
			kj_send_interrupt(cpu, APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
	udelay(200);
}

/*
 * Leaves the local APIC as firmware does: on, and transparent for the interrupts of the 8259 and
 * for NMIs ("virtual wire"). A kernel that does not use it relies on that. This kernel's driver
 * rewrites all registers when it resumes. MultiProcessor Specification 1.4, 3.6.2.2.
 */
void kj_apic_as_firmware_does(void)
{
	enum apic_mode mode = apic_mode();

	if (mode == APIC_OFF)
		return;
	set_register(mode, APIC_SPIV, APIC_SPIV_APIC_ENABLED | 0xf);
	set_register(mode, APIC_LVT0, APIC_DM_EXTINT);
	set_register(mode, APIC_LVT1, APIC_DM_NMI);
}

static u64 get_task_priority(void)
{
	u64 priority;

	asm volatile("mov %%cr8, %0" : "=r" (priority));
	return priority;
}

static void set_task_priority(u64 priority)
{
	asm volatile("mov %0, %%cr8" : : "r" (priority) : "memory");
}

/*
 * Holds back the interrupts of this CPU during a call, even if the image enables interrupts: they
 * stay pending, and the kernel takes them afterwards. CR8 is the local APIC's task priority, also
 * in 32-bit mode. A suspended kernel has them too: its timer may have expired after it disabled
 * interrupts. Those of the 8259 do not go by the priority (11.8.3.1), and a kernel sets it before
 * it uses the local APIC.
 */
u64 kj_hold_interrupts(void)
{
	u64 priority = get_task_priority();

	set_task_priority(15);
	return priority;
}

/*
 * An image that lowered the priority may have been interrupted. The interrupt is in service then
 * until it is acknowledged, and with it are held back all of its priority and below. Acknowledging
 * a level-triggered one makes the I/O APIC send it again. An edge-triggered one would be lost: the
 * CPU sends it to itself.
 */
static void recover_interrupts(enum apic_mode mode, bool suspended, u32 *in_service)
{
	u32 level[8], n, vector;

	for (n = 0; n < ARRAY_SIZE(level); n++) {
		in_service[n] = get_register(mode, APIC_ISR + 0x10 * n);
		level[n] = get_register(mode, APIC_TMR + 0x10 * n);
	}
	for (vector = 0; vector < NR_VECTORS; vector++) {
		if (!(in_service[vector / 32] & BIT(vector % 32)))
			continue;
		set_register(mode, APIC_EOI, 0);
		if (!suspended && !(level[vector / 32] & BIT(vector % 32)))
			send(mode, 0, APIC_DEST_SELF | APIC_DM_FIXED | vector);
	}
}

/* An image that took the timer's interrupt as its own did not arm the timer for this kernel. */
static void recover_timer(enum apic_mode mode)
{
	u32 timer = get_register(mode, APIC_LVTT), vector = timer & APIC_VECTOR_MASK;
	u32 pending, left, high = 0;

	if (timer & APIC_LVT_TIMER_TSCDEADLINE)
		rdmsr(MSR_IA32_TSC_DEADLINE, left, high);
	else
		left = get_register(mode, APIC_TMCCT);
	if (left || high)
		return;
	pending = get_register(mode, APIC_IRR + (vector / 32 << 4)) & BIT(vector % 32);
	if (kjr_timer_was_taken(timer, pending))
		send(mode, 0, APIC_DEST_SELF | APIC_DM_FIXED | vector);
}

/* Undoes kj_hold_interrupts(). */
void kj_release_interrupts(u64 priority, bool suspended, u32 *in_service)
{
	enum apic_mode mode = apic_mode();

	set_task_priority(priority);
	if (mode == APIC_OFF)
		return;
	/* Above the task priority only if an interrupt is in service. 11.8.3.1. */
	if (get_register(mode, APIC_PROCPRI) >> 4 > priority)
		recover_interrupts(mode, suspended, in_service);
	if (!suspended)
		recover_timer(mode);
}

void kj_apic_map(void)
{
	u32 low, high;

	if (rdmsr_safe(MSR_IA32_APICBASE, &low, &high) || low & X2APIC_ENABLE)
		return;
	local_apic = ioremap(((u64)high << 32 | low) & PAGE_MASK, PAGE_SIZE);
}

void kj_apic_unmap(void)
{
	if (local_apic)
		iounmap(local_apic);
}

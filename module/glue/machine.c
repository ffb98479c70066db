// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers, local and I/O APICs, and the other CPUs.
 */
#include <linux/acpi.h>
#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/smp.h>
#include "glue.h"

bool kjg_has_register(u32 number)
{
	u32 low, high;

	return !rdmsr_safe(number, &low, &high);
}

bool kjg_gigabyte_pages(void)
{
	return boot_cpu_has(X86_FEATURE_GBPAGES);
}

void kjg_bug(void)
{
	BUG();
}

static void __iomem *local_apic;

/*
 * Writes the interrupt command register directly, so that it also works during a panic and while
 * the kernel's APIC driver is suspended. Intel SDM volume 3, 11.6.1 and 11.12.9.
 */
void kj_send_interrupt(int cpu, u32 command)
{
	u32 apic_id = per_cpu(x86_cpu_to_apicid, cpu);
	u32 low, high, tries;

	rdmsr_safe(MSR_IA32_APICBASE, &low, &high);
	if (low & X2APIC_ENABLE) {
		weak_wrmsr_fence();
		wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4), command, apic_id);
		return;
	}
	if (!local_apic)
		return;
	writel(SET_XAPIC_DEST_FIELD(apic_id), local_apic + APIC_ICR2);
	writel(command, local_apic + APIC_ICR);
	for (tries = 0; tries < 1000 && readl(local_apic + APIC_ICR) & APIC_ICR_BUSY; tries++)
		udelay(1);
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
 * Only the bootstrap processor can guard: an INIT sent to it, which is how a guard stops the other
 * CPUs, resets the machine. It also has to be CPU 0, on which the system is suspended.
 */
bool kjg_guard_facts(struct kjg_guard_facts *facts)
{
	u32 low, high;
	int cpu;

	if (!kj_counter_khz || rdmsr_safe_on_cpu(0, MSR_IA32_APICBASE, &low, &high))
		return false;
	if (!(low & MSR_IA32_APICBASE_BSP))
		return false;
	for_each_present_cpu(cpu)
		if (cpu)
			break;
	if (cpu >= nr_cpu_ids)
		return false;
	*facts = (struct kjg_guard_facts){
		.apic = low & X2APIC_ENABLE ? 0 : ((u64)high << 32 | low) & PAGE_MASK,
		.cpu = per_cpu(x86_cpu_to_apicid, cpu),
		.tsc_khz = kj_counter_khz,
	};
	return true;
}

/* Registers of the I/O APICs. */
static void __iomem *io_apics[64];
static unsigned int io_apic_count;

#define IO_APIC_VERSION 1
#define IO_APIC_ENTRIES 0x10 /* two registers each */
#define IO_APIC_REMOTE_IRR (1 << 14)
#define IO_APIC_MASKED (1 << 16)

static u32 read_io_apic(void __iomem *io_apic, u32 number)
{
	writel(number, io_apic);
	return readl(io_apic + 0x10);
}

/*
 * An I/O APIC does not send a level-triggered interrupt again until the last one is acknowledged
 * (remote IRR). If the other kernel was stopped before it sent the EOI, that never happens. Making
 * the entry edge-triggered clears remote IRR; this kernel rewrites all entries when it resumes.
 * 82093AA datasheet, 3.2.4.
 */
void kj_forget_sent_interrupts(void)
{
	unsigned int n, number, end;

	for (n = 0; n < io_apic_count; n++) {
		end = IO_APIC_ENTRIES + 2 * ((read_io_apic(io_apics[n], IO_APIC_VERSION) >> 16 & 0xff) + 1);
		for (number = IO_APIC_ENTRIES; number < end; number += 2)
			if (read_io_apic(io_apics[n], number) & IO_APIC_REMOTE_IRR)
				writel(IO_APIC_MASKED, io_apics[n] + 0x10);
	}
}

static void map_local_apic(void)
{
	u32 low, high;

	if (rdmsr_safe(MSR_IA32_APICBASE, &low, &high) || low & X2APIC_ENABLE)
		return;
	local_apic = ioremap(((u64)high << 32 | low) & PAGE_MASK, PAGE_SIZE);
}

static void map_io_apics(void)
{
	struct acpi_table_header *madt;
	u32 address;
	size_t n;

	if (ACPI_FAILURE(acpi_get_table(ACPI_SIG_MADT, 0, &madt)))
		return;
	for (n = 0; kjr_io_apic(madt, madt->length, n, &address); n++) {
		if (io_apic_count == ARRAY_SIZE(io_apics))
			break;
		io_apics[io_apic_count] = ioremap(address, 0x20);
		io_apic_count += !!io_apics[io_apic_count];
	}
	acpi_put_table(madt);
}

void kj_machine_map(void)
{
	map_local_apic();
	map_io_apics();
}

void kj_machine_unmap(void)
{
	while (io_apic_count)
		iounmap(io_apics[--io_apic_count]);
	if (local_apic)
		iounmap(local_apic);
}

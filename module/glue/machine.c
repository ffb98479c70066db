// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers, I/O APICs, and the requirements of a guard.
 */
#include <linux/acpi.h>
#include <linux/bug.h>
#include <linux/cpumask.h>
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

static void read_apic_base(void *base)
{
	u32 low, high;

	rdmsr(MSR_IA32_APICBASE, low, high);
	*(u64 *)base = (u64)high << 32 | low;
}

/*
 * Only the bootstrap processor can guard: an INIT sent to it, which is how a guard stops the other
 * CPUs, resets the machine. It also has to be CPU 0, on which the system is suspended.
 */
bool kjg_guard_facts(struct kjg_guard_facts *facts)
{
	u64 base;
	int cpu;

	if (!kj_counter_khz || smp_call_function_single(0, read_apic_base, &base, true))
		return false;
	if (!(base & MSR_IA32_APICBASE_BSP))
		return false;
	for_each_present_cpu(cpu)
		if (cpu)
			break;
	if (cpu >= nr_cpu_ids)
		return false;
	*facts = (struct kjg_guard_facts){
		.apic = base & X2APIC_ENABLE ? 0 : base & PAGE_MASK,
		.cpu = per_cpu(x86_cpu_to_apicid, cpu),
		.tsc_khz = kj_counter_khz,
	};
	return true;
}

static struct {
	u32 address;
	void __iomem *registers;
} io_apics[64];
static unsigned int io_apic_count;

#define IO_APIC_VERSION 1

u32 kj_io_apic_read(void __iomem *io_apic, u32 number)
{
	writel(number, io_apic);
	return readl(io_apic + 0x10);
}

void kj_io_apic_write(void __iomem *io_apic, u32 number, u32 value)
{
	writel(number, io_apic);
	writel(value, io_apic + 0x10);
}

void __iomem *kj_io_apic(u32 address)
{
	unsigned int n;

	for (n = 0; n < io_apic_count; n++)
		if (io_apics[n].address == address)
			return io_apics[n].registers;
	return NULL;
}

static u32 pins(void __iomem *io_apic)
{
	return (kj_io_apic_read(io_apic, IO_APIC_VERSION) >> 16 & 0xff) + 1;
}

/*
 * An I/O APIC does not send a level-triggered interrupt again until the last one is acknowledged
 * (remote IRR). If the other kernel was stopped before it sent the EOI, that never happens. Making
 * the entry edge-triggered clears remote IRR; this kernel rewrites all entries when it resumes.
 * 82093AA datasheet, 3.2.4.
 */
void kj_forget_sent_interrupts(void)
{
	void __iomem *io_apic;
	unsigned int n, pin, end;

	for (n = 0; n < io_apic_count; n++) {
		io_apic = io_apics[n].registers;
		end = pins(io_apic);
		for (pin = 0; pin < end; pin++)
			if (kj_io_apic_read(io_apic, IO_APIC_ENTRY(pin)) & IO_APIC_REMOTE_IRR)
				kj_io_apic_write(io_apic, IO_APIC_ENTRY(pin), IO_APIC_MASKED);
	}
}

/*
 * Another kernel relies on what firmware leaves, if it does not use the I/O APICs: all of their
 * entries masked. The kernel does the same before a plain kexec, and this one rewrites all entries
 * when it resumes.
 */
void kj_io_apics_as_firmware_does(void)
{
	void __iomem *io_apic;
	unsigned int n, pin, end;

	for (n = 0; n < io_apic_count; n++) {
		io_apic = io_apics[n].registers;
		end = pins(io_apic);
		for (pin = 0; pin < end; pin++)
			kj_io_apic_write(io_apic, IO_APIC_ENTRY(pin), IO_APIC_MASKED);
	}
}

static void map_io_apics(void)
{
	struct acpi_table_header *madt;
	void __iomem *registers;
	u32 address;
	size_t n;

	if (ACPI_FAILURE(acpi_get_table(ACPI_SIG_MADT, 0, &madt)))
		return;
	for (n = 0; kjr_io_apic(madt, madt->length, n, &address); n++) {
		if (io_apic_count == ARRAY_SIZE(io_apics))
			break;
		registers = ioremap(address, 0x20);
		if (!registers)
			continue;
		io_apics[io_apic_count].address = address;
		io_apics[io_apic_count++].registers = registers;
	}
	acpi_put_table(madt);
}

void kj_machine_map(void)
{
	map_io_apics();
}

void kj_machine_unmap(void)
{
	while (io_apic_count)
		iounmap(io_apics[--io_apic_count].registers);
}

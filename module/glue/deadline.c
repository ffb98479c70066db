// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deadlines of images that no guard watches: an NMI stops them.
 *
 * While the other CPUs are up, one of them sends it. Where there is none, a timer of the HPET
 * raises it, by a pin of the I/O APIC that is programmed for NMIs during the call. IA-PC HPET
 * specification 1.0a; 82093AA datasheet.
 */
#include <linux/acpi.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/nmi.h>
#include <linux/stop_machine.h>
#include <linux/workqueue.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/hpet.h>
#include <asm/msr.h>
#include "glue.h"

/* ---- another CPU ---- */

/* What a periodic work on `watcher` watches, for a while after the last call too. */
static DEFINE_RAW_SPINLOCK(watching);
static struct kjr_watch *watched; /* or NULL */
static int watched_cpu, watcher;
static unsigned int idle_rounds;
static void watch_once(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch_work, watch_once);

#define WATCH_PERIOD (HZ / 20 ?: 1)
#define IDLE_ROUNDS 20

static void stop_if_overdue(struct kjr_watch *watch, int cpu)
{
	if (kjr_overdue(watch, rdtsc_ordered()))
		kj_send_interrupt(cpu, APIC_INT_ASSERT | APIC_DM_NMI);
}

static void watch_once(struct work_struct *work)
{
	unsigned long flags;
	bool again;

	raw_spin_lock_irqsave(&watching, flags);
	if (watched)
		stop_if_overdue(watched, watched_cpu);
	again = watched || idle_rounds++ < IDLE_ROUNDS;
	raw_spin_unlock_irqrestore(&watching, flags);
	if (again)
		queue_delayed_work_on(watcher, system_highpri_wq, &watch_work, WATCH_PERIOD);
}

/* Called with interrupts off. False if there is no other CPU. */
static bool watch_from_other_cpu(struct kjr_watch *watch)
{
	int cpu = smp_processor_id();

	if (num_online_cpus() == 1)
		return false;
	raw_spin_lock(&watching);
	watched = watch;
	watched_cpu = cpu;
	idle_rounds = 0;
	if (watcher == cpu || !cpu_online(watcher)) {
		watcher = cpumask_any_but(cpu_online_mask, cpu);
		mod_delayed_work_on(watcher, system_highpri_wq, &watch_work, WATCH_PERIOD);
	} else {
		queue_delayed_work_on(watcher, system_highpri_wq, &watch_work, WATCH_PERIOD);
	}
	raw_spin_unlock(&watching);
	return true;
}

/* With the machine stopped, by the CPU that has nothing else to do. */
void kj_watch_stopped(struct kj_entry *entry, int cpu)
{
	struct kjr_watch *watch = kjr_watch(entry->image->rust);
	u64 again = 0;

	while (!smp_load_acquire(&entry->entered)) {
		if (rdtsc_ordered() >= again && kjr_overdue(watch, rdtsc_ordered())) {
			kj_send_interrupt(cpu, APIC_INT_ASSERT | APIC_DM_NMI);
			again = rdtsc_ordered() + 10 * kj_counter_khz;
		}
		cpu_relax();
		touch_nmi_watchdog();
	}
}

/* ---- a timer ---- */

static void __iomem *hpet, *io_apic;
static u64 hpet_physical;
static u64 hpet_khz;
static struct kjr_timer timer;
static bool timer_works;

#define IO_APIC_REMAPPED (1 << (48 - 32)) /* in the upper half: an entry of an IOMMU's table */
#define IO_APIC_NMI (APIC_MODE_NMI << 8)
#define IO_APIC_PINS 24

static void find_timer(u32 timer_pin)
{
	u32 id = readl(hpet + HPET_ID), count = ((id & HPET_ID_NUMBER) >> HPET_ID_NUMBER_SHIFT) + 1, n;
	u64 configurations[32] = {};
	u32 enabled = readl(hpet + HPET_CFG), masked = 0, period = readl(hpet + HPET_PERIOD);

	/* The HPET may be disabled (hpet=disable). */
	if (!(enabled & HPET_CFG_ENABLE) || !period)
		return;
	for (n = 0; n < IO_APIC_PINS; n++) {
		if (kj_io_apic_read(io_apic, IO_APIC_ENTRY(n) + 1) & IO_APIC_REMAPPED)
			return;
		if (kj_io_apic_read(io_apic, IO_APIC_ENTRY(n)) & IO_APIC_MASKED)
			masked |= 1 << n;
	}
	for (n = 0; n < count; n++)
		configurations[n] = readl(hpet + HPET_Tn_CFG(n)) |
				    (u64)readl(hpet + HPET_Tn_CFG(n) + 4) << 32;
	if (kjr_choose_timer(configurations, count, enabled & HPET_CFG_LEGACY, masked, timer_pin, &timer))
		hpet_khz = div_u64(1000000000000ULL, period);
}

/*
 * Programs the pin, and reports the timer to the control page, which starts and stops it. Returns
 * false if the kernel has begun to use the timer.
 */
static bool program_pin(struct kj_entry *entry)
{
	struct kjg_alarm *alarm = &entry->alarm;

	if (!hpet_khz || readl(hpet + HPET_Tn_CFG(timer.number)) & HPET_TN_ENABLE)
		return false;
	if (!(readl(hpet + HPET_CFG) & HPET_CFG_ENABLE))
		return false;
	entry->pin_low = kj_io_apic_read(io_apic, IO_APIC_ENTRY(timer.pin));
	entry->pin_high = kj_io_apic_read(io_apic, IO_APIC_ENTRY(timer.pin) + 1);
	writel(timer.configuration & ~HPET_TN_ENABLE, hpet + HPET_Tn_CFG(timer.number));
	kj_io_apic_write(io_apic, IO_APIC_ENTRY(timer.pin) + 1,
			 SET_XAPIC_DEST_FIELD(per_cpu(x86_cpu_to_apicid, smp_processor_id())));
	kj_io_apic_write(io_apic, IO_APIC_ENTRY(timer.pin), IO_APIC_NMI);
	*alarm = (struct kjg_alarm){
		.timer = hpet_physical + HPET_Tn_CFG(timer.number),
		.counter = hpet_physical + HPET_COUNTER,
		.configuration = timer.configuration,
		.khz = hpet_khz,
	};
	return true;
}

static void restore_pin(struct kj_entry *entry)
{
	kj_io_apic_write(io_apic, IO_APIC_ENTRY(timer.pin), IO_APIC_MASKED);
	kj_io_apic_write(io_apic, IO_APIC_ENTRY(timer.pin) + 1, entry->pin_high);
	kj_io_apic_write(io_apic, IO_APIC_ENTRY(timer.pin), entry->pin_low);
}

/* Without legacy replacement, IRQ 0 is the 8254's. */
u32 kj_timer_as_firmware_does(void)
{
	u32 before;

	if (!hpet)
		return 0;
	before = readl(hpet + HPET_CFG);
	writel(before & ~HPET_CFG_LEGACY, hpet + HPET_CFG);
	return before;
}

void kj_timer_put_back(u32 before)
{
	if (hpet)
		writel(before, hpet + HPET_CFG);
}

u64 kjg_timer_registers(void)
{
	return hpet_physical;
}

bool kjg_deadline_facts(struct kjg_deadline_facts *facts)
{
	*facts = (struct kjg_deadline_facts){
		.watch_khz = num_online_cpus() > 1 ? kj_counter_khz : 0,
		.timer_khz = kj_counter_khz && timer_works ? hpet_khz : 0,
	};
	return facts->watch_khz || facts->timer_khz;
}

/* ---- calls ---- */

/* Called with interrupts off, before and after the image runs. */
void kj_deadline_start(struct kj_entry *entry)
{
	entry->alarm = (struct kjg_alarm){ .counter_khz = kj_counter_khz };
	/* A guard counts the time itself. */
	if (!entry->call->deadline || entry->image->flags & KJUMP_LOAD_FLAG_GUARD)
		return;
	if (entry->call->quiesced == KJUMP_QUIESCE_NONE &&
	    watch_from_other_cpu(kjr_watch(entry->image->rust)))
		return;
	if (entry->call->quiesced != KJUMP_QUIESCE_SUSPEND && num_online_cpus() > 1)
		return;
	program_pin(entry);
	entry->alarm.counter_khz = kj_counter_khz;
}

void kj_deadline_end(struct kj_entry *entry)
{
	if (entry->alarm.timer)
		restore_pin(entry);
	if (!watched)
		return;
	raw_spin_lock(&watching);
	watched = NULL;
	raw_spin_unlock(&watching);
}

/* An image that outlasts its deadline: it ends by the NMI if the timer works. */
static int try_timer(void *image)
{
	struct kjump_call call = {};
	struct kj_entry entry = { .image = image, .call = &call };

	kjr_timer_trial_call(kj_counter_khz, &call);
	kj_enter(&entry);
	timer_works = call.status == KJUMP_STATUS_DEADLINE;
	return 0;
}

void kj_deadline_map(void)
{
	struct acpi_table_header *madt, *table;
	struct kjump_image trial = {};
	u32 address, timer_pin;

	/*
	 * With nolapic the kernel takes its ticks by the 8259. They also arrive at a pin of the I/O
	 * APIC, masked like all others, where they would be NMIs before the timer is set; and the
	 * kernel knows no ID of this CPU to send them to.
	 */
	if (!boot_cpu_has(X86_FEATURE_APIC))
		return;
	if (ACPI_FAILURE(acpi_get_table(ACPI_SIG_MADT, 0, &madt)))
		return;
	if (kjr_first_io_apic(madt, madt->length, &address, &timer_pin))
		io_apic = kj_io_apic(address);
	acpi_put_table(madt);
	if (!io_apic || ACPI_FAILURE(acpi_get_table(ACPI_SIG_HPET, 0, &table)))
		return;
	if (((struct acpi_table_hpet *)table)->address.space_id == ACPI_ADR_SPACE_SYSTEM_MEMORY)
		hpet_physical = ((struct acpi_table_hpet *)table)->address.address;
	acpi_put_table(table);
	hpet = hpet_physical ? ioremap(hpet_physical, PAGE_SIZE) : NULL;
	if (!hpet)
		hpet_physical = 0;
	if (!hpet || !kj_counter_khz || timer_pin >= IO_APIC_PINS)
		return;
	find_timer(timer_pin);
	if (!hpet_khz || !kjr_timer_trial_load(&trial.rust))
		return;
	stop_machine(try_timer, &trial, NULL);
	kjr_free(trial.rust);
}

void kj_deadline_unmap(void)
{
	cancel_delayed_work_sync(&watch_work);
	if (hpet)
		iounmap(hpet);
}

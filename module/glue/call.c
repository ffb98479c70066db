// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of an image, at each level of quiescing the system.
 */
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/nmi.h>
#include <linux/objtool.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/msr.h>
#include "glue.h"

static struct kj_turn calling = KJ_TURN(calling);
static u64 total_calls; /* under calling */

#ifdef CONFIG_X86_KERNEL_IBT
/*
 * objtool checks the linked module then, Rust object included, and cannot follow the stack into the
 * control page.
 */
void kjump_enter(void *page, u64 control);
STACK_FRAME_NON_STANDARD(kjump_enter);
#endif

void kj_load_writable_gdt(int cpu)
{
	struct desc_ptr table = {
		.size = GDT_SIZE - 1,
		.address = (unsigned long)get_cpu_gdt_rw(cpu),
	};

	load_gdt(&table);
}

void kj_enter(struct kj_entry *entry)
{
	bool suspended = entry->call->quiesced == KJUMP_QUIESCE_SUSPEND;
	u32 in_service[8] = {};
	unsigned long flags;
	u64 priority;
	int cpu;

	local_irq_save(flags);
	cpu = smp_processor_id();
	kernel_fpu_begin();
	kj_load_writable_gdt(cpu);
	priority = kj_hold_interrupts();
	kj_deadline_start(entry);
	entry->before = rdtsc_ordered();
	kjr_enter(entry->image->rust, entry->call, &entry->alarm);
	entry->after = rdtsc_ordered();
	kj_deadline_end(entry);
	kj_release_interrupts(priority, suspended, in_service);
	kjr_name_interrupt(entry->call, in_service);
	load_fixmap_gdt(cpu);
	kernel_fpu_end();
	/* After a long call, this CPU would seem to have been locked up. */
	touch_nmi_watchdog();
	local_irq_restore(flags);
	smp_store_release(&entry->entered, true);
}

static int enter_stopped(void *argument)
{
	int first = cpumask_first(cpu_online_mask), second = cpumask_next(first, cpu_online_mask);
	struct kj_entry *entry = argument;

	if (smp_processor_id() == first)
		kj_enter(entry);
	else if (smp_processor_id() == second)
		kj_watch_stopped(entry, first);
	return 0;
}

static int enter_quiesced(struct kj_entry *entry)
{
	switch (entry->call->quiesced) {
	case KJUMP_QUIESCE_NONE:
		kj_enter(entry);
		return 0;
	case KJUMP_QUIESCE_STOP:
		return stop_machine(enter_stopped, entry, entry->call->deadline ? cpu_online_mask : NULL);
	default:
		return kj_enter_suspended(entry);
	}
}

/* kjr_enter() filled in the ticks of its own phases; the phases around it are measured here. */
static void account(struct kjump_image *image, struct kj_entry *entry, u64 start)
{
	struct kjump_call *call = entry->call;

	call->ticks.quiesce = entry->before - start;
	call->ticks.resume = rdtsc_ordered() - entry->after;
	call->calls = ++image->calls;
	image->faults += call->status == KJUMP_STATUS_FAULT;
	image->ticks_run += call->ticks.run;
	total_calls++;
}

static int fail_to_start(struct kjump_call *call)
{
	struct kjg_guard_facts facts = {};

	kjg_guard_facts(&facts);
	return kj_fail(&call->diagnosis, -EIO, KJUMP_REASON_CPU_NOT_STARTED, facts.cpu);
}

static int call_in_turn(struct kjump_image *image, struct kjump_call *call, u64 start)
{
	struct kj_entry entry = { .image = image, .call = call };
	int error = enter_quiesced(&entry);

	if (!error && call->status == KJUMP_STATUS_NOT_CALLED)
		error = fail_to_start(call);
	if (!error)
		account(image, &entry, start);
	return error;
}

int kj_call(struct kjump_image *image, struct kjump_call *call, bool wait)
{
	u64 start;
	int error;

	call->status = KJUMP_STATUS_NOT_CALLED;
	error = kj_take_turn(&image->turn, wait, &call->diagnosis, 1);
	if (error)
		return error;
	error = kj_take_turn(&calling, wait, &call->diagnosis, 2);
	if (error)
		goto end;
	start = rdtsc_ordered();
	error = kjr_quiesce(image->rust, call);
	if (!error)
		error = call_in_turn(image, call, start);
	kj_turn_end(&calling);
end:
	kj_turn_end(&image->turn);
	return error;
}

u64 kj_total_calls(void)
{
	return READ_ONCE(total_calls);
}

/* On failure the default mover stays, which works on every CPU. */
void kj_choose_mover(void)
{
	struct kjump_image trial = {};
	struct kjump_call call;
	size_t attempt;
	u64 list;

	if (!kjr_trial_load(&trial.rust, &list))
		return;
	for (attempt = 0; kjr_trial_call(list, attempt, &call); attempt++) {
		struct kj_entry entry = { .image = &trial, .call = &call };

		kj_enter(&entry);
		kjr_trial_note(&call);
	}
	kjr_free(trial.rust);
}

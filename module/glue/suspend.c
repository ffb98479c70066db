// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls with the whole system suspended: pm_suspend() with suspend operations of our own.
 */
#include <linux/elfcore.h>
#include <linux/kprobes.h>
#include <linux/sched.h>
#include <linux/suspend.h>
#include <linux/timekeeping.h>
#include <asm/x86_init.h>
#include "glue.h"

static struct kj_entry *armed;
static struct task_struct *armed_by;

/* Laid out like the notes of crash_save_cpu(), which is not exported. */
struct cpu_note {
	struct elf_note header;
	char name[8];
	struct elf_prstatus status;
	struct elf_note end;
} __packed __aligned(4);
static_assert(sizeof(struct cpu_note) == KJUMP_NOTE_ROOM);

/*
 * For debuggers that read this kernel's memory while another kernel runs: the current task and the
 * instruction, stack and frame pointers of our caller in the kernel, from which its stack can be
 * unwound. No other register is needed.
 */
static void leave_note(struct cpu_note *note, unsigned long return_address,
		       const unsigned long *frame)
{
	struct elf_prstatus status = {};
	struct user_regs_struct *registers = (struct user_regs_struct *)&status.pr_reg;

	registers->ip = return_address;
	registers->sp = (unsigned long)(frame + 2);
	registers->bp = frame[0];
	registers->cs = __KERNEL_CS;
	registers->ss = __KERNEL_DS;
	status.common.pr_pid = current->pid;
	*note = (struct cpu_note){
		.header = { sizeof("CORE"), sizeof(status), NT_PRSTATUS },
		.name = "CORE",
		.status = status,
	};
}

static int suspend_valid(suspend_state_t state)
{
	return state == PM_SUSPEND_MEM && armed_by == current;
}

/* The image may drive the hardware, so drivers have to shut it down as they do for firmware. */
static int suspend_begin(suspend_state_t state)
{
	pm_set_suspend_via_firmware();
	return 0;
}

static int suspend_enter(suspend_state_t state)
{
	struct cpu_note *note = armed->image->note;
	struct timespec64 before, after;
	/* The timer that stops an image at its deadline may use legacy replacement. */
	bool is_timed = armed->call->deadline && !(armed->image->flags & KJUMP_LOAD_FLAG_GUARD);
	u32 timer = 0;

	kj_park_other_cpus();
	kj_io_apics_as_firmware_does();
	if (!is_timed)
		timer = kj_timer_as_firmware_does();
	/* Under guard this CPU runs no image; the image's CPU is set up where it starts. */
	if (!(armed->image->flags & KJUMP_LOAD_FLAG_GUARD))
		kj_apic_as_firmware_does();
	if (note)
		leave_note(note, _RET_IP_, __builtin_frame_address(0));
	x86_platform.get_wallclock(&before);
	x86_platform.save_sched_clock_state(); /* kvmclock registers again on resume */
	kj_enter(armed);
	if (!is_timed)
		kj_timer_put_back(timer);
	kj_forget_sent_interrupts();
	if (note)
		memset(note, 0, sizeof(*note));
	x86_platform.restore_sched_clock_state();
	x86_platform.get_wallclock(&after);
	kj_clock_compare(&before, &after, armed->after - armed->before);
	pm_set_resume_via_firmware();
	return 0;
}

static const struct platform_suspend_ops suspend_operations = {
	.valid = suspend_valid,
	.begin = suspend_begin,
	.enter = suspend_enter,
};

/* The kernel's suspend_ops, which suspend_set_ops() sets, or NULL if it was not found. */
static const struct platform_suspend_ops **current_suspend_operations;

int kj_enter_suspended(struct kj_entry *entry)
{
	const struct platform_suspend_ops *before = NULL;
	bool has_clock = kj_clock_start();
	int error;

	if (current_suspend_operations)
		before = READ_ONCE(*current_suspend_operations);
	suspend_set_ops(&suspend_operations);
	armed = entry;
	armed_by = current;
	error = pm_suspend(PM_SUSPEND_MEM);
	armed_by = NULL;
	armed = NULL;
	suspend_set_ops(before);
	if (has_clock)
		kj_clock_stop();
	if (!entry->entered && error)
		return kj_fail(&entry->call->diagnosis, error, KJUMP_REASON_SUSPEND_FAILED, -error);
	if (!entry->entered)
		return kj_fail(&entry->call->diagnosis, -EAGAIN, KJUMP_REASON_WOKEN_UP, 0);
	return 0;
}

/*
 * suspend_ops is static. Its address is only needed to restore the machine's own operations after a
 * call, so not finding it is not an error: a kprobe gives the address of
 * kallsyms_lookup_name(), and that one gives any other.
 */
void kj_suspend_find_operations(void)
{
#ifdef CONFIG_KPROBES
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	unsigned long (*lookup)(const char *name);
	unsigned long address;

	if (register_kprobe(&probe))
		return;
	address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
#ifdef CONFIG_X86_KERNEL_IBT
	/* The probe is placed after the ENDBR64 that an indirect call has to land on. */
	if (*(u32 *)(address - 4) == 0xfa1e0ff3)
		address -= 4;
#endif
	lookup = (void *)address;
	current_suspend_operations = (void *)lookup("suspend_ops");
#endif
}

bool kj_suspend_operations_found(void)
{
	return current_suspend_operations;
}

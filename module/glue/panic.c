// SPDX-License-Identifier: GPL-2.0-only
/*
 * A panic of this kernel returns control to the kernel that started it, if one did.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kmsg_dump.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/pci.h>
#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/nmi.h>
#include "glue.h"

/* A handoff, then the end of the kernel log; physically contiguous for the other kernel. */
#define LAST_WORDS_ORDER 2
static struct kjump_handoff *last_words;

static void write_handoff(void)
{
	size_t room = (PAGE_SIZE << LAST_WORDS_ORDER) - sizeof(*last_words), length = 0;
	struct kmsg_dump_iter iterator;

	kmsg_dump_rewind(&iterator);
	kmsg_dump_get_buffer(&iterator, true, (char *)(last_words + 1), room, &length);
	last_words->magic = KJUMP_HANDOFF_MAGIC;
	last_words->log = virt_to_phys(last_words + 1);
	last_words->log_length = length;
}

static void go_back(struct kjump_image *image)
{
	struct kjump_call call = { .arguments = { ~0ULL, 0, virt_to_phys(last_words) } };

	kj_load_writable_gdt(smp_processor_id());
	kjr_enter(image->rust, &call, NULL);
	load_fixmap_gdt(smp_processor_id());
	pr_emerg("panic: the other kernel called this one again, which cannot continue\n");
}

/* The image that CPU 0 shall call. The other kernel was left on CPU 0, so only it can return. */
static struct kjump_image *handed_over;

static int take_over(unsigned int type, struct pt_regs *registers)
{
	struct kjump_image *image = READ_ONCE(handed_over);

	if (!image || smp_processor_id())
		return NMI_DONE;
	WRITE_ONCE(handed_over, NULL);
	kj_park_other_cpus();
	go_back(image);
	return NMI_HANDLED;
}

/*
 * CPU 0 has been stopped and waits with interrupts off. An NMI still reaches it, unless it was
 * stopped in the handler of another one.
 *
 * But exc_nmi() ignores NMIs on a CPU that is marked offline, which stop_this_cpu() did. So CPU 0
 * is marked online again while it has time to respond, one second. set_cpu_online() is not
 * exported, hence the bit in the mask; the count of online CPUs and the hotplug state remain as
 * they are, because the CPU is not going to run this kernel's code again. Nothing else looks at the
 * mask in that second: only this CPU runs, in a panic notifier, with interrupts off. If CPU 0
 * responds, this kernel never continues; if not, the bit is cleared again.
 */
static void hand_over(struct kjump_image *image)
{
	WRITE_ONCE(handed_over, image);
	cpumask_set_cpu(0, &__cpu_online_mask);
	kj_send_interrupt(0, APIC_INT_ASSERT | APIC_DM_NMI);
	mdelay(1000);
	WRITE_ONCE(handed_over, NULL);
	cpumask_clear_cpu(0, &__cpu_online_mask);
	pr_emerg("panic: CPU 0 does not respond, cannot return to the other kernel\n");
}

/* The other kernel's drivers restore both bits when they resume. */
static void silence_devices(void)
{
	struct pci_dev *device = NULL;
	u16 command;

	for_each_pci_dev(device) {
		pci_read_config_word(device, PCI_COMMAND, &command);
		command = (command & ~PCI_COMMAND_MASTER) | PCI_COMMAND_INTX_DISABLE;
		pci_write_config_word(device, PCI_COMMAND, command);
	}
}

/*
 * The other kernel takes the machine back. Before that, devices must not write to memory or raise
 * interrupts any more, and the other CPUs must not run: they were stopped in this kernel's text,
 * which is about to be exchanged. A kernel that guards this one does both itself. kjr_panic_steps()
 * decides.
 */
static int call_on_panic(struct notifier_block *block, unsigned long event, void *message)
{
	struct kjump_image *image = kj_image_for_panic();
	u32 steps;

	if (!image)
		return NOTIFY_DONE;
	local_irq_disable();
	pr_emerg("panic: returning to the kernel that started this one\n");
	write_handoff();
	steps = kjr_panic_steps(image->flags & KJUMP_LOAD_FLAG_GUARDED_FROM_THERE, smp_processor_id());
	if (steps & KJR_PANIC_SILENCE_DEVICES)
		silence_devices();
	if (steps & KJR_PANIC_PARK_CPUS)
		kj_park_other_cpus();
	if (steps & KJR_PANIC_HAND_OVER)
		hand_over(image);
	else
		go_back(image);
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = { .notifier_call = call_on_panic, .priority = INT_MAX };

int kj_panic_register(void)
{
	int error;

	last_words = (void *)__get_free_pages(GFP_KERNEL, LAST_WORDS_ORDER);
	if (!last_words)
		return -ENOMEM;
	error = register_nmi_handler(NMI_LOCAL, take_over, 0, KBUILD_MODNAME);
	if (error) {
		free_pages((unsigned long)last_words, LAST_WORDS_ORDER);
		return error;
	}
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
	return 0;
}

void kj_panic_unregister(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
	free_pages((unsigned long)last_words, LAST_WORDS_ORDER);
}

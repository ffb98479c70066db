// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading the module, and its interface for other modules (kjump.h).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cc_platform.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <xen/xen.h>
#include "glue.h"

struct kjump_image *kjump_load(struct kjump_load *request)
{
	might_sleep();
	return kj_image_load(request, false);
}
EXPORT_SYMBOL_GPL(kjump_load);

int kjump_call(struct kjump_image *image, struct kjump_call *call)
{
	if (in_interrupt() || irqs_disabled())
		return kj_fail(&call->diagnosis, -EINVAL, KJUMP_REASON_WRONG_CONTEXT, 0);
	return kj_call(image, call, true);
}
EXPORT_SYMBOL_GPL(kjump_call);

int kjump_read(struct kjump_image *image, struct kjump_transfer *request)
{
	return kj_image_transfer(image, request, false, false, true);
}
EXPORT_SYMBOL_GPL(kjump_read);

int kjump_write(struct kjump_image *image, struct kjump_transfer *request)
{
	return kj_image_transfer(image, request, true, false, true);
}
EXPORT_SYMBOL_GPL(kjump_write);

void kjump_unload(struct kjump_image *image)
{
	might_sleep();
	kj_image_put(image);
}
EXPORT_SYMBOL_GPL(kjump_unload);

static int __init kjump_init(void)
{
	const char *refusal = kjr_init(xen_pv_domain(), cc_platform_has(CC_ATTR_MEM_ENCRYPT));
	int error;

	if (refusal) {
		pr_err("not loaded: %s\n", refusal);
		return -ENODEV;
	}
	kj_clock_find_rate();
	kj_suspend_find_operations();
	if (!kj_suspend_operations_found())
		pr_info("no kallsyms: system suspend will not work after the first suspend call\n");
	kj_apic_map();
	kj_machine_map();
	kj_choose_mover();
	kj_deadline_map();
	error = kj_panic_register();
	if (error)
		goto unmap;
	error = kj_device_register();
	if (error)
		goto unregister;
	return 0;

unregister:
	kj_panic_unregister();
unmap:
	kj_deadline_unmap();
	kj_machine_unmap();
	kj_apic_unmap();
	return error;
}

static void __exit kjump_exit(void)
{
	kj_device_deregister();
	kj_panic_unregister();
	kj_deadline_unmap();
	kj_machine_unmap();
	kj_apic_unmap();
}

module_init(kjump_init);
module_exit(kjump_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Call images in physical memory and return");
MODULE_AUTHOR("The kjump developers");

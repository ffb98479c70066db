// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes one step of a suspend fail, which the parameter `step` names. Tests whether a call that
 * fails there leaves the kernel as it was and reports the cause.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpuhotplug.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/suspend.h>
#include <linux/syscore_ops.h>
#include <linux/version.h>

static char *step = "";
module_param(step, charp, 0400);
MODULE_PARM_DESC(step, "notifier, freeze, prepare, suspend, late, noirq, cpu or core");

static bool unloading;

static int refuse(const char *at)
{
	return !unloading && !strcmp(step, at) ? -EBUSY : 0;
}

static int on_notice(struct notifier_block *block, unsigned long event, void *data)
{
	return event == PM_SUSPEND_PREPARE ? notifier_from_errno(refuse("notifier")) : NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = on_notice };

/* Claims to be freezable, but never enters the refrigerator. */
static int stay_awake(void *nothing)
{
	set_freezable();
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ / 20);
	return 0;
}

static struct task_struct *awake;

static int on_prepare(struct device *device)
{
	return refuse("prepare");
}

static int on_suspend(struct device *device)
{
	return refuse("suspend");
}

static int on_late(struct device *device)
{
	return refuse("late");
}

static int on_noirq(struct device *device)
{
	return refuse("noirq");
}

static const struct dev_pm_ops operations = {
	.prepare = on_prepare,
	.suspend = on_suspend,
	.suspend_late = on_late,
	.suspend_noirq = on_noirq,
};

static struct platform_driver driver = {
	.driver = { .name = KBUILD_MODNAME, .pm = &operations },
};

static struct platform_device *device;

static int on_cpu_down(unsigned int cpu)
{
	return refuse("cpu");
}

static int cpu_state;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
static int on_core(void *unused)
{
	return refuse("core");
}

static const struct syscore_ops core_operations = { .suspend = on_core };
static struct syscore core = { .ops = &core_operations };
#else
static int on_core(void)
{
	return refuse("core");
}

static struct syscore_ops core = { .suspend = on_core };
#define register_syscore register_syscore_ops
#define unregister_syscore unregister_syscore_ops
#endif

static int add_device(void)
{
	int error = platform_driver_register(&driver);

	if (error)
		return error;
	device = platform_device_register_simple(KBUILD_MODNAME, PLATFORM_DEVID_NONE, NULL, 0);
	if (!IS_ERR(device))
		return 0;
	platform_driver_unregister(&driver);
	return PTR_ERR(device);
}

static int add_task(void)
{
	if (strcmp(step, "freeze"))
		return 0;
	awake = kthread_run(stay_awake, NULL, "stays_awake");
	return PTR_ERR_OR_ZERO(awake);
}

static void remove_device(void)
{
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
}

static int __init refuse_init(void)
{
	int error = add_device();

	if (error)
		return error;
	error = add_task();
	if (error)
		goto without_task;
	cpu_state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "kjump/refuse:online", NULL, on_cpu_down);
	error = cpu_state;
	if (error < 0)
		goto without_state;
	register_syscore(&core);
	return register_pm_notifier(&notifier);

without_state:
	if (awake)
		kthread_stop(awake);
without_task:
	remove_device();
	return error;
}

static void __exit refuse_exit(void)
{
	unloading = true;
	unregister_pm_notifier(&notifier);
	unregister_syscore(&core);
	cpuhp_remove_state(cpu_state);
	if (awake)
		kthread_stop(awake);
	remove_device();
}

module_init(refuse_init);
module_exit(refuse_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test: refuse to suspend");
MODULE_AUTHOR("The kjump developers");

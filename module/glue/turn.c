// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns: requests that must not run at the same time wait for each other, first come, first served.
 *
 * A mutex does not work here. A call that suspends the system freezes all tasks, also those that
 * wait for their turn, and a task that sleeps in mutex_lock() cannot be frozen.
 */
#include <linux/freezer.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include "glue.h"

/* For all turns: they are short, and few tasks wait. */
static DEFINE_RAW_SPINLOCK(turns);
static DECLARE_WAIT_QUEUE_HEAD(granted);

struct waiter {
	struct list_head node;
	bool granted;
};

static int wait_for(struct kj_turn *turn, struct waiter *waiter)
{
	int error = wait_event_freezable(granted, smp_load_acquire(&waiter->granted));

	if (!error)
		return 0;
	raw_spin_lock(&turns);
	if (!waiter->granted)
		list_del(&waiter->node);
	raw_spin_unlock(&turns);
	if (waiter->granted)
		kj_turn_end(turn);
	return error;
}

int kj_turn_take(struct kj_turn *turn, bool wait)
{
	struct waiter waiter = {};
	bool taken;

	raw_spin_lock(&turns);
	taken = turn->taken;
	turn->taken = true;
	if (taken && wait)
		list_add_tail(&waiter.node, &turn->waiting);
	raw_spin_unlock(&turns);
	if (!taken)
		return 0;
	return wait ? wait_for(turn, &waiter) : -EBUSY;
}

void kj_turn_end(struct kj_turn *turn)
{
	struct waiter *next;

	raw_spin_lock(&turns);
	next = list_first_entry_or_null(&turn->waiting, struct waiter, node);
	if (next) {
		list_del(&next->node);
		smp_store_release(&next->granted, true);
	} else {
		turn->taken = false;
	}
	raw_spin_unlock(&turns);
	if (next)
		wake_up(&granted);
}

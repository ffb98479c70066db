// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clocks: the rate of the time stamp counter, and the kernel's sleep time across a suspend call.
 */
#include <linux/clocksource.h>
#include <linux/delay.h>
#include <linux/math64.h>
#include <linux/timekeeping.h>
#include <asm/tsc.h>
#include "glue.h"

/* Ticks of the time stamp counter in a millisecond; 0 if there is none. */
u64 kj_counter_khz;

static u64 measure_counter(void)
{
	u64 ticks = rdtsc_ordered(), time = ktime_get_ns();

	msleep(50);
	ticks = rdtsc_ordered() - ticks;
	time = ktime_get_ns() - time;
	return div64_u64(ticks * NSEC_PER_MSEC, time ?: 1);
}

void kj_clock_find_rate(void)
{
	u64 measured = 0;
	u32 done;

	for (done = 0; kjr_measure_again(tsc_khz, measured, done); done++)
		measured = measure_counter();
	kj_counter_khz = kjr_counter_khz(tsc_khz, measured);
}

/*
 * Tells the kernel how long it was away: the battery-backed clock, which it asks otherwise, counts whole seconds. The
 * time stamp counter should run on, since the machine does not really sleep; so this clock is there for our suspends
 * only. Where the two clocks differ by more than rounding, the counter did not run on, and the kernel asks the other.
 */
static struct clocksource sleep_clock;
static bool ticks_ran_on;

static u64 read_ticks(struct clocksource *clock)
{
	return ticks_ran_on ? rdtsc_ordered() : 0;
}

bool kj_clock_start(void)
{
	if (!kj_counter_khz)
		return false;
	ticks_ran_on = true;
	sleep_clock = (struct clocksource){
		.name = "kjump-sleep",
		.rating = 1, /* as low as jiffies: to nobody's mind the best, nor one to watch others by */
		.read = read_ticks,
		.mask = CLOCKSOURCE_MASK(64),
		.flags = CLOCK_SOURCE_IS_CONTINUOUS | CLOCK_SOURCE_SUSPEND_NONSTOP,
		.owner = THIS_MODULE,
	};
	return !clocksource_register_khz(&sleep_clock, kj_counter_khz);
}

void kj_clock_compare(const struct timespec64 *before, const struct timespec64 *after, u64 ticks)
{
	ticks_ran_on = kjr_counter_kept_running(after->tv_sec - before->tv_sec, ticks, kj_counter_khz);
}

void kj_clock_stop(void)
{
	clocksource_unregister(&sleep_clock);
}

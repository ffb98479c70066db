// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rate of the time stamp counter, and how much time the kernel accounts to a suspend call.
 */
#include <linux/clocksource.h>
#include <linux/delay.h>
#include <linux/math64.h>
#include <linux/timekeeping.h>
#include <asm/tsc.h>
#include "glue.h"

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
 * A clocksource that keeps counting during suspend, registered for the time of a suspend call only.
 * From it the kernel derives how long it was suspended; its fallback, the RTC, counts whole
 * seconds. The machine does not really sleep, so the time stamp counter should keep running. If it
 * did not (see kjr_counter_kept_running()), the clocksource reads as not having advanced, and the
 * kernel falls back to the RTC.
 */
static struct clocksource sleep_clock;
static bool kept_running;

static u64 read_ticks(struct clocksource *clock)
{
	return kept_running ? rdtsc_ordered() : 0;
}

bool kj_clock_start(void)
{
	if (!kj_counter_khz)
		return false;
	kept_running = true;
	sleep_clock = (struct clocksource){
		.name = "kjump-sleep",
		.rating = 1, /* as low as jiffies: never selected, nor used as a watchdog */
		.read = read_ticks,
		.mask = CLOCKSOURCE_MASK(64),
		.flags = CLOCK_SOURCE_IS_CONTINUOUS | CLOCK_SOURCE_SUSPEND_NONSTOP,
		.owner = THIS_MODULE,
	};
	return !clocksource_register_khz(&sleep_clock, kj_counter_khz);
}

void kj_clock_compare(const struct timespec64 *before, const struct timespec64 *after, u64 ticks)
{
	kept_running = kjr_counter_kept_running(after->tv_sec - before->tv_sec, ticks, kj_counter_khz);
}

void kj_clock_stop(void)
{
	clocksource_unregister(&sleep_clock);
}

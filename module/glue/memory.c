// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page frames, arrays, the map of System RAM, and copies to and from the caller.
 */
#include <linux/cpu.h>
#include <linux/freezer.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include "seam.h"

u64 kjg_alloc(u32 order, bool low)
{
	gfp_t flags = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | (low ? GFP_DMA32 : 0);
	struct page *page = alloc_pages(flags, order);

	if (!page)
		return 0;
	if (order)
		split_page(page, order);
	return page_to_phys(page);
}

void kjg_free(u64 page)
{
	__free_page(pfn_to_page(PHYS_PFN(page)));
}

bool kjg_claim_range(u64 start, u64 end)
{
#ifdef CONFIG_CONTIG_ALLOC
	gfp_t flags = GFP_KERNEL | __GFP_NOWARN;

	/* The kernel warns if it finds no memory for the range's contents, whatever the flags. */
	if (si_mem_available() < 2 * (long)PHYS_PFN(end - start))
		return false;
	return !alloc_contig_range(PHYS_PFN(start), PHYS_PFN(end), MIGRATE_MOVABLE, flags);
#else
	return false;
#endif
}

void kjg_free_block(u64 start)
{
	static_assert(pageblock_nr_pages == KJG_BLOCK_PAGES);
	free_contig_range(PHYS_PFN(start), KJG_BLOCK_PAGES);
}

/* Free pages are allocated one by one until all of [start, end) is among them. */
struct low_claim {
	u64 start, end, missing;
	struct list_head wanted, others;
};

/*
 * Runs on every CPU in turn, because free pages are also cached per CPU. The watermarks are
 * ignored: all other pages are freed again at once.
 */
static long take_free_pages(void *argument)
{
	struct low_claim *claim = argument;
	struct page *page;

	while (claim->missing && (page = alloc_page(__GFP_DMA | __GFP_MEMALLOC | __GFP_NOWARN))) {
		bool hit = page_to_phys(page) >= claim->start && page_to_phys(page) < claim->end;

		list_add(&page->lru, hit ? &claim->wanted : &claim->others);
		claim->missing -= hit;
	}
	return 0;
}

/*
 * alloc_contig_range() fails here: the pageblocks of the low memory contain reserved pages, below 1
 * MiB, which cannot be migrated. But ZONE_DMA is only 16 MiB, small enough to allocate all of its
 * free pages, keep the wanted ones and free the rest.
 */
bool kjg_claim_low(u64 start, u64 end)
{
	struct low_claim claim = { .start = start, .end = end, .missing = PHYS_PFN(end - start) };
	struct page *page, *next;
	int cpu;

	INIT_LIST_HEAD(&claim.wanted);
	INIT_LIST_HEAD(&claim.others);
	cpus_read_lock();
	for_each_online_cpu(cpu)
		work_on_cpu(cpu, take_free_pages, &claim);
	cpus_read_unlock();
	if (claim.missing)
		list_splice_init(&claim.wanted, &claim.others);
	list_for_each_entry_safe(page, next, &claim.others, lru)
		__free_page(page);
	return !claim.missing;
}

static DEFINE_MUTEX(rust_lock);

void kjg_lock(void)
{
	mutex_lock(&rust_lock);
}

void kjg_unlock(void)
{
	mutex_unlock(&rust_lock);
}

void *kjg_virtual(u64 physical)
{
	return __va(physical);
}

u64 kjg_text_physical(u64 address)
{
	return PFN_PHYS(vmalloc_to_pfn((void *)address));
}

void *kjg_array_alloc(u64 bytes)
{
	/* May fail: without __GFP_RETRY_MAYFAIL, the kernel would kill processes instead. */
	return kvzalloc(bytes, GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
}

void kjg_array_free(void *array)
{
	kvfree(array);
}

struct ranges {
	struct kjump_range *ranges;
	u64 capacity, count;
};

static int note_range(struct resource *resource, void *argument)
{
	struct ranges *into = argument;

	if (into->count < into->capacity)
		into->ranges[into->count] = (struct kjump_range){ resource->start, resource->end + 1 };
	into->count++;
	return 0;
}

u64 kjg_ram_ranges(struct kjump_range *ranges, u64 capacity)
{
	struct ranges into = { .ranges = ranges, .capacity = capacity };

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, 0, -1, &into,
			    note_range);
	return into.count;
}

u64 kjg_total_pages(void)
{
	return totalram_pages();
}

u64 kjg_available_pages(void)
{
	long pages = si_mem_available() + get_nr_swap_pages();

	return clamp_t(long, pages, 0, totalram_pages());
}

int kjg_copy_in(void *to, u64 from, u64 bytes, bool user)
{
	if (user)
		return copy_from_user(to, u64_to_user_ptr(from), bytes) ? -EFAULT : 0;
	memcpy(to, (const void *)from, bytes);
	return 0;
}

int kjg_copy_out(u64 to, const void *from, u64 bytes, bool user)
{
	if (user)
		return copy_to_user(u64_to_user_ptr(to), from, bytes) ? -EFAULT : 0;
	memcpy((void *)to, from, bytes);
	return 0;
}

bool kjg_pause(void)
{
	cond_resched();
	try_to_freeze();
	return !fatal_signal_pending(current);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page frames by their address: taken away from whoever uses them, and given back one by one.
 *
 * The kernel clears a range only if nothing is bound to its place in all the blocks (2 MiB) that the range touches, and
 * the frames of images are. So blocks are claimed whole, and what is not wanted of one waits here for the next segment
 * or image, until all of the block has been given back.
 */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <asm/dma.h>
#include "seam.h"

#define BLOCK_PAGES pageblock_nr_pages
#define BLOCK_BYTES ((u64)BLOCK_PAGES << PAGE_SHIFT)

/* All of its frames are the module's: those of images, and the spare ones. */
struct block {
	struct list_head node; /* in blocks, under blocks_lock */
	u64 start;
	DECLARE_BITMAP(spare, BLOCK_PAGES);
};

static LIST_HEAD(blocks);
static DEFINE_SPINLOCK(blocks_lock);
/* Two claims at once would be in each other's way. */
static DEFINE_MUTEX(claiming);

/* Takes a range away from whoever uses it. */
static bool clear_range(u64 start, u64 end)
{
#ifdef CONFIG_CONTIG_ALLOC
	gfp_t flags = GFP_KERNEL | __GFP_NOWARN;

	return !alloc_contig_range(PHYS_PFN(start), PHYS_PFN(end), MIGRATE_MOVABLE, flags);
#else
	return false;
#endif
}

/* ---- blocks ---- */

static struct block *find_block(u64 address)
{
	struct block *block;

	list_for_each_entry(block, &blocks, node)
		if (address >= block->start && address < block->start + BLOCK_BYTES)
			return block;
	return NULL;
}

/* The block at start, of which [used, end) is not spare. */
static struct block *new_block(u64 start, u64 used, u64 end)
{
	struct block *block = kzalloc(sizeof(*block), GFP_KERNEL);
	u64 first = max(used, start), behind = min(end, start + BLOCK_BYTES);

	if (!block)
		return NULL;
	block->start = start;
	bitmap_fill(block->spare, BLOCK_PAGES);
	bitmap_clear(block->spare, PHYS_PFN(first - start), PHYS_PFN(behind - first));
	return block;
}

/* Claims all blocks that a range touches. Only the first and the last can have frames to spare. */
static bool claim_blocks(u64 start, u64 end)
{
	u64 first = round_down(start, BLOCK_BYTES), last = round_down(end - 1, BLOCK_BYTES);
	struct block *head = new_block(first, start, end);
	struct block *tail = last == first ? NULL : new_block(last, start, end);

	if (!head || (last != first && !tail) || !clear_range(first, last + BLOCK_BYTES)) {
		kfree(head);
		kfree(tail);
		return false;
	}
	spin_lock(&blocks_lock);
	list_add(&head->node, &blocks);
	if (tail)
		list_add(&tail->node, &blocks);
	spin_unlock(&blocks_lock);
	return true;
}

static bool take_spare(u64 start, u64 end)
{
	struct block *block;
	bool taken = false;

	spin_lock(&blocks_lock);
	block = find_block(start);
	if (block && end <= block->start + BLOCK_BYTES) {
		unsigned long first = PHYS_PFN(start - block->start), behind = PHYS_PFN(end - block->start);

		taken = find_next_zero_bit(block->spare, behind, first) >= behind;
		if (taken)
			bitmap_clear(block->spare, first, behind - first);
	}
	spin_unlock(&blocks_lock);
	return taken;
}

/* Whether the frame is one of a block; the block goes back to the kernel with the last of its frames. */
static bool make_spare(u64 page)
{
	struct block *block;
	bool whole = false;

	spin_lock(&blocks_lock);
	block = find_block(page);
	if (block) {
		__set_bit(PHYS_PFN(page - block->start), block->spare);
		whole = bitmap_full(block->spare, BLOCK_PAGES);
		if (whole)
			list_del(&block->node);
	}
	spin_unlock(&blocks_lock);
	if (whole) {
		free_contig_range(PHYS_PFN(block->start), BLOCK_PAGES);
		kfree(block);
	}
	return block;
}

/* ---- low memory ---- */

/* Free pages taken one by one, until those of [start, end) are among them. */
struct catch {
	u64 start, end, missing;
	struct list_head wanted, others;
};

/* On its CPU, since every CPU keeps some free pages for itself. They are given back at once: no watermark counts. */
static long take_free_pages(void *argument)
{
	struct catch *catch = argument;
	struct page *page;

	while (catch->missing && (page = alloc_page(__GFP_DMA | __GFP_MEMALLOC | __GFP_NOWARN))) {
		bool hit = page_to_phys(page) >= catch->start && page_to_phys(page) < catch->end;

		list_add(&page->lru, hit ? &catch->wanted : &catch->others);
		catch->missing -= hit;
	}
	return 0;
}

/*
 * The first 16 MiB are few enough to take all of their free pages, keep those wanted, and give the others back. The
 * blocks there have pages in them that are bound to their place: the reserved ones below 1 MiB.
 */
static bool claim_low(u64 start, u64 end)
{
	struct catch catch = { .start = start, .end = end, .missing = PHYS_PFN(end - start) };
	struct page *page, *next;
	int cpu;

	INIT_LIST_HEAD(&catch.wanted);
	INIT_LIST_HEAD(&catch.others);
	for_each_online_cpu(cpu)
		work_on_cpu_safe(cpu, take_free_pages, &catch);
	if (catch.missing)
		list_splice_init(&catch.wanted, &catch.others);
	list_for_each_entry_safe(page, next, &catch.others, lru)
		__free_page(page);
	return !catch.missing;
}

/* ---- for the Rust object ---- */

bool kjg_claim(u64 start, u64 end)
{
	bool claimed;

	mutex_lock(&claiming);
	claimed = take_spare(start, end) || claim_blocks(start, end) || clear_range(start, end);
	if (!claimed && end <= PFN_PHYS(MAX_DMA_PFN))
		claimed = claim_low(start, end);
	mutex_unlock(&claiming);
	return claimed;
}

void kjg_free(u64 page)
{
	if (!make_spare(page))
		__free_page(pfn_to_page(PHYS_PFN(page)));
}

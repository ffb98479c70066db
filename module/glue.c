// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's half of kjump: every call of the kernel's own functions stands here, and nothing is decided here.
 * Only exported symbols are used; kallsyms serves one convenience, and its absence is no error.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/clocksource.h>
#include <linux/acpi.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/elfcore.h>
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kmsg_dump.h>
#include <linux/kprobes.h>
#include <linux/magic.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/objtool.h>
#include <linux/panic_notifier.h>
#include <linux/pci.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/stop_machine.h>
#include <linux/suspend.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/workqueue.h>
#include <linux/cc_platform.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/msr.h>
#include <asm/nmi.h>
#include <asm/smp.h>
#include <asm/tsc.h>
#include <asm/x86_init.h>
#include <xen/xen.h>
#include "kjump.h"
#include "seam.h"

#ifdef CONFIG_X86_KERNEL_IBT
/* objtool reads the whole module then; the way into the control page has no stack it could follow. */
void kjump_enter(void *page, u64 control);
STACK_FRAME_NON_STANDARD(kjump_enter);
#endif

/* ---- memory ---- */

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

bool kjg_clear(u64 start, u64 end)
{
#ifdef CONFIG_CONTIG_ALLOC
	gfp_t flags = GFP_KERNEL | __GFP_NOWARN;

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
bool kjg_catch(u64 start, u64 end)
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
	return kvzalloc(bytes, GFP_KERNEL | __GFP_NOWARN);
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

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, 0, -1, &into, note_range);
	return into.count;
}

u64 kjg_total_pages(void)
{
	return totalram_pages();
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

/* ---- the CPU ---- */

bool kjg_has_register(u32 number)
{
	u32 low, high;

	return !rdmsr_safe(number, &low, &high);
}

bool kjg_gigabyte_pages(void)
{
	return boot_cpu_has(X86_FEATURE_GBPAGES);
}

void kjg_bug(void)
{
	BUG();
}

/* ---- one image ---- */

struct kjump_image {
	struct list_head node; /* in images, under registry */
	u64 id;
	u64 name[4]; /* zeroes if not kept; under registry */
	struct kref references; /* open files, and the name */
	struct mutex busy; /* a call or a transfer; only ever tried, so that nobody waits for it while tasks freeze */
	struct kjr_image *rust;
	pid_t loader;
	u64 loaded_at;
	u64 calls, faults, ticks_run;
	u64 frames;
	struct cpu_note *note; /* where this kernel keeps one about its first CPU, if that is known; under busy */
	u64 flags; /* of the load */
};

static LIST_HEAD(images);
static DEFINE_MUTEX(registry);
static DEFINE_MUTEX(calling);
static u64 last_id, total_calls;
/* The way back to the kernel that started this one, in case this one panics; under registry. */
static struct kjump_image *panic_image;

static int fail(struct kjump_diagnosis *diagnosis, int error, u64 reason, u64 number)
{
	*diagnosis = (struct kjump_diagnosis){ .reason = reason, .numbers = { number } };
	return error;
}

/* kernel.kexec_load_disabled, as /proc has it: 0 or 1, or an error. The variable is not exported. */
static int load_disabled(void)
{
	static const char path[] = "/proc/sys/kernel/kexec_load_disabled";
	struct file *file;
	char text[4] = "";
	loff_t position = 0;
	ssize_t length;

	if (!IS_ENABLED(CONFIG_KEXEC_CORE))
		return 0;
	file = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	/* A file of that name on another file system says nothing. */
	if (file_inode(file)->i_sb->s_magic != PROC_SUPER_MAGIC ||
	    strcmp(file->f_path.dentry->d_name.name, "kexec_load_disabled"))
		length = -ENOENT;
	else
		length = kernel_read(file, text, sizeof(text) - 1, &position);
	filp_close(file, NULL);
	if (length <= 0)
		return length ? length : -EIO;
	return text[0] != '0';
}

static int may_load(struct kjump_diagnosis *diagnosis)
{
	int disabled;

	if (!capable(CAP_SYS_BOOT))
		return fail(diagnosis, -EPERM, KJUMP_REASON_NOT_PERMITTED, 0);
	if (security_locked_down(LOCKDOWN_KEXEC))
		return fail(diagnosis, -EPERM, KJUMP_REASON_LOCKED_DOWN, 0);
	disabled = load_disabled();
	if (disabled < 0)
		return fail(diagnosis, -EPERM, KJUMP_REASON_LOAD_DISABLED_UNKNOWN, -disabled);
	if (disabled)
		return fail(diagnosis, -EPERM, KJUMP_REASON_LOAD_DISABLED, 0);
	return 0;
}

static struct kjump_image *load(struct kjump_load *request, bool user)
{
	struct kjump_image *image;
	int error = may_load(&request->diagnosis);

	if (error)
		return ERR_PTR(error);
	image = kzalloc(sizeof(*image), GFP_KERNEL);
	if (!image) {
		fail(&request->diagnosis, 0, KJUMP_REASON_NO_MEMORY, sizeof(*image));
		return ERR_PTR(-ENOMEM);
	}
	error = kjr_load(request, user, &image->rust);
	if (error) {
		kfree(image);
		return ERR_PTR(error);
	}
	kref_init(&image->references);
	mutex_init(&image->busy);
	image->loader = user ? task_tgid_nr(current) : 0;
	image->loaded_at = ktime_get_boottime_ns();
	image->frames = request->pages + request->support_frames;
	image->flags = request->flags;
	mutex_lock(&registry);
	image->id = request->id = ++last_id;
	list_add_tail(&image->node, &images);
	if (request->flags & KJUMP_LOAD_FLAG_CALL_ON_PANIC)
		panic_image = image;
	mutex_unlock(&registry);
	return image;
}

/* Called with registry held, which it releases. */
static void free_image(struct kref *references)
{
	struct kjump_image *image = container_of(references, struct kjump_image, references);

	list_del(&image->node);
	if (panic_image == image)
		panic_image = NULL;
	mutex_unlock(&registry);
	kjr_free(image->rust);
	kfree(image);
}

static void put(struct kjump_image *image)
{
	if (image)
		kref_put_mutex(&image->references, free_image, &registry);
}

/* Takes the name away. Returns whether there was one, and with it a reference to drop. */
static bool forget_name(struct kjump_image *image)
{
	bool kept;

	mutex_lock(&registry);
	kept = image->name[0];
	memset(image->name, 0, sizeof(image->name));
	mutex_unlock(&registry);
	if (kept)
		module_put(THIS_MODULE);
	return kept;
}

static struct kjump_image *find_name(const u64 *name)
{
	struct kjump_image *image;

	list_for_each_entry(image, &images, node)
		if (!memcmp(image->name, name, sizeof(image->name)))
			return image;
	return NULL;
}

/* ---- calls ---- */

struct entry {
	struct kjump_image *image;
	struct kjump_call *call;
	u64 before, after; /* time stamp counter */
	bool entered;
};

static struct entry *armed;
static struct task_struct *armed_by;

/* As crash_save_cpu() has it, which is not exported. */
struct cpu_note {
	struct elf_note header;
	char name[8];
	struct elf_prstatus status;
	struct elf_note end;
} __packed __aligned(4);
static_assert(sizeof(struct cpu_note) == KJUMP_NOTE_ROOM);

/*
 * For whoever looks at this kernel's memory while it rests: what runs on this CPU, and where. That is the kernel's
 * own function, whose way up the stack is known where the kernel is known; of the others' registers none is needed.
 */
static void leave_note(struct cpu_note *note, unsigned long return_address, const unsigned long *frame)
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

static void enter(struct entry *entry)
{
	unsigned long flags;
	int cpu;

	local_irq_save(flags);
	cpu = smp_processor_id();
	kernel_fpu_begin();
	load_direct_gdt(cpu);
	entry->before = rdtsc_ordered();
	kjr_enter(entry->image->rust, entry->call);
	entry->after = rdtsc_ordered();
	load_fixmap_gdt(cpu);
	kernel_fpu_end();
	local_irq_restore(flags);
	entry->entered = true;
}

static int enter_stopped(void *entry)
{
	enter(entry);
	return 0;
}

static int suspend_valid(suspend_state_t state)
{
	return state == PM_SUSPEND_MEM && armed_by == current;
}

/* Something else than this kernel will drive the hardware: drivers must really shut their devices down. */
static int suspend_begin(suspend_state_t state)
{
	pm_set_suspend_via_firmware();
	return 0;
}

static void __iomem *local_apic;

/* Intel SDM volume 3, 11.6.1 and 11.12.9. */
static void send_interrupt(int cpu, u32 command)
{
	u32 apic_id = per_cpu(x86_cpu_to_apicid, cpu);
	u32 low, high, tries;

	rdmsr_safe(MSR_IA32_APICBASE, &low, &high);
	if (low & X2APIC_ENABLE) {
		weak_wrmsr_fence();
		wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4), command, apic_id);
		return;
	}
	if (!local_apic)
		return;
	writel(SET_XAPIC_DEST_FIELD(apic_id), local_apic + APIC_ICR2);
	writel(command, local_apic + APIC_ICR);
	for (tries = 0; tries < 1000 && readl(local_apic + APIC_ICR) & APIC_ICR_BUSY; tries++)
		udelay(1);
}

/*
 * The other CPUs are offline, but they wait in this kernel's text, which may be a destination. An INIT makes them wait
 * for a start-up interrupt, without running code. Only this kernel's own: there may be one that guards it.
 */
static void park_other_cpus(void)
{
	int cpu;

	if (num_present_cpus() == 1)
		return;
	for_each_present_cpu(cpu)
		if (cpu != smp_processor_id())
			send_interrupt(cpu, APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
	udelay(200);
}

/* Ticks of the time stamp counter in a millisecond; 0 if there is none. */
static u64 counter_khz;

static u64 measure_counter(void)
{
	u64 ticks = rdtsc_ordered(), time = ktime_get_ns();

	msleep(50);
	ticks = rdtsc_ordered() - ticks;
	time = ktime_get_ns() - time;
	return div64_u64(ticks * NSEC_PER_MSEC, time ?: 1);
}

/*
 * Where the counter was calibrated while the machine was busy, an emulated one, the kernel's number may be far off. Its
 * clock is not: it is another one then. A single measurement may be off as well.
 */
static u64 find_counter_khz(void)
{
	u64 measured = 0;
	int round;

	for (round = 0; tsc_khz && round < 3; round++) {
		measured = measure_counter();
		if (abs((s64)(measured - tsc_khz)) <= tsc_khz / 50)
			return tsc_khz;
	}
	return measured;
}

/*
 * The machine would start anew if the CPU that it started with were sent an INIT, so only that one can guard; the
 * system is suspended on the first CPU.
 */
bool kjg_guard_facts(struct kjg_guard_facts *facts)
{
	u32 low, high;
	int cpu;

	if (!counter_khz || rdmsr_safe_on_cpu(0, MSR_IA32_APICBASE, &low, &high) || !(low & MSR_IA32_APICBASE_BSP))
		return false;
	for_each_present_cpu(cpu)
		if (cpu)
			break;
	if (cpu >= nr_cpu_ids)
		return false;
	*facts = (struct kjg_guard_facts){
		.apic = low & X2APIC_ENABLE ? 0 : ((u64)high << 32 | low) & PAGE_MASK,
		.cpu = per_cpu(x86_cpu_to_apicid, cpu),
		.tsc_khz = counter_khz,
	};
	return true;
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

static bool start_sleep_clock(void)
{
	if (!counter_khz)
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
	return !clocksource_register_khz(&sleep_clock, counter_khz);
}

static void compare_clocks(const struct timespec64 *before, const struct timespec64 *after, u64 ticks)
{
	s64 seconds = div64_u64(ticks, counter_khz ?: 1) / MSEC_PER_SEC;

	ticks_ran_on = abs(after->tv_sec - before->tv_sec - seconds) <= 2;
}

/* I/O APICs, which other kernels use too. */
static void __iomem *io_apics[64];
static unsigned int io_apic_count;

#define IO_APIC_VERSION 1
#define IO_APIC_ENTRIES 0x10 /* two registers each */
#define IO_APIC_REMOTE_IRR (1 << 14)
#define IO_APIC_MASKED (1 << 16)

static u32 read_io_apic(void __iomem *io_apic, u32 number)
{
	writel(number, io_apic);
	return readl(io_apic + 0x10);
}

/*
 * A level-triggered interrupt is not sent again before it is acknowledged, which one on its way to a CPU that was taken
 * away from another kernel never is. An edge-triggered entry has no such memory. This kernel writes all entries anew
 * when it resumes. 82093AA datasheet, 3.2.4.
 */
static void forget_sent_interrupts(void)
{
	unsigned int n, number, end;

	for (n = 0; n < io_apic_count; n++) {
		end = IO_APIC_ENTRIES + 2 * ((read_io_apic(io_apics[n], IO_APIC_VERSION) >> 16 & 0xff) + 1);
		for (number = IO_APIC_ENTRIES; number < end; number += 2)
			if (read_io_apic(io_apics[n], number) & IO_APIC_REMOTE_IRR)
				writel(IO_APIC_MASKED, io_apics[n] + 0x10);
	}
}

static int suspend_enter(suspend_state_t state)
{
	struct cpu_note *note = armed->image->note;
	struct timespec64 before, after;

	park_other_cpus();
	if (note)
		leave_note(note, _RET_IP_, __builtin_frame_address(0));
	x86_platform.get_wallclock(&before);
	x86_platform.save_sched_clock_state(); /* kvmclock registers itself anew on the way back */
	enter(armed);
	forget_sent_interrupts();
	if (note)
		memset(note, 0, sizeof(*note));
	x86_platform.restore_sched_clock_state();
	x86_platform.get_wallclock(&after);
	compare_clocks(&before, &after, armed->after - armed->before);
	pm_set_resume_via_firmware();
	return 0;
}

static const struct platform_suspend_ops suspend_operations = {
	.valid = suspend_valid,
	.begin = suspend_begin,
	.enter = suspend_enter,
};

/* The pointer that suspend_set_ops() sets, or NULL where it cannot be found. */
static const struct platform_suspend_ops **current_suspend_operations;

static int enter_suspended(struct entry *entry)
{
	const struct platform_suspend_ops *before = NULL;
	bool has_clock = start_sleep_clock();
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
		clocksource_unregister(&sleep_clock);
	if (!entry->entered && error)
		return fail(&entry->call->diagnosis, error, KJUMP_REASON_SUSPEND_FAILED, -error);
	if (!entry->entered)
		return fail(&entry->call->diagnosis, -EAGAIN, KJUMP_REASON_WOKEN_UP, 0);
	return 0;
}

static int enter_quiesced(struct entry *entry)
{
	switch (entry->call->quiesced) {
	case KJUMP_QUIESCE_NONE:
		enter(entry);
		return 0;
	case KJUMP_QUIESCE_STOP:
		return stop_machine(enter_stopped, entry, NULL);
	default:
		return enter_suspended(entry);
	}
}

/* kjr_enter leaves the ticks of its own phases; those around it are known here. */
static void account(struct kjump_image *image, struct entry *entry, u64 start)
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
	return fail(&call->diagnosis, -EIO, KJUMP_REASON_CPU_NOT_STARTED, facts.cpu);
}

static int call_image(struct kjump_image *image, struct kjump_call *call)
{
	struct entry entry = { .image = image, .call = call };
	u64 start = rdtsc_ordered();
	int error;

	call->status = KJUMP_STATUS_NOT_CALLED;
	if (!mutex_trylock(&image->busy))
		return fail(&call->diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1);
	error = kjr_quiesce(image->rust, call);
	if (!error && !mutex_trylock(&calling)) {
		error = fail(&call->diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 2);
	} else if (!error) {
		error = enter_quiesced(&entry);
		if (!error && call->status == KJUMP_STATUS_NOT_CALLED)
			error = fail_to_start(call);
		if (!error)
			account(image, &entry, start);
		mutex_unlock(&calling);
	}
	mutex_unlock(&image->busy);
	return error;
}

/* To write into an image is to load another one. */
static int transfer(struct kjump_image *image, struct kjump_transfer *request, bool write, bool user)
{
	int error = write ? may_load(&request->diagnosis) : 0;

	if (error)
		return error;
	if (!mutex_trylock(&image->busy))
		return fail(&request->diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1);
	error = kjr_transfer(image->rust, request, write, user);
	mutex_unlock(&image->busy);
	return error;
}

/* ---- panic ---- */

/* A handoff, and behind it the end of the kernel log; in neighbouring pages, as the other kernel reads them. */
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

	load_direct_gdt(smp_processor_id());
	kjr_enter(image->rust, &call);
	load_fixmap_gdt(smp_processor_id());
	pr_emerg("panic: called again, which there is no way to answer\n");
}

/* The way back of a panic on another CPU, for the first one, which the kernel behind it went away from. */
static struct kjump_image *handed_over;

static int take_over(unsigned int type, struct pt_regs *registers)
{
	struct kjump_image *image = READ_ONCE(handed_over);

	if (!image || smp_processor_id())
		return NMI_DONE;
	WRITE_ONCE(handed_over, NULL);
	park_other_cpus();
	go_back(image);
	return NMI_HANDLED;
}

/*
 * The first CPU has been stopped, and waits with interrupts off; an NMI gets through, unless another one stopped it. A
 * CPU that counts as offline, as a stopped one does, drops it.
 */
static void hand_over(struct kjump_image *image)
{
	WRITE_ONCE(handed_over, image);
	cpumask_set_cpu(0, (struct cpumask *)cpu_online_mask);
	send_interrupt(0, APIC_INT_ASSERT | APIC_DM_NMI);
	mdelay(1000);
	WRITE_ONCE(handed_over, NULL);
	pr_emerg("panic: the first CPU does not answer, so there is no way back\n");
}

/* Drivers put both back when they resume. */
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
 * This kernel is at its end, but not the machine: the kernel that started it takes over. Devices must not write into
 * memory or interrupt any more, and the other CPUs, stopped in this kernel's text, must not run: it is about to be exchanged. A
 * kernel that watches this one sees to that itself.
 */
static int call_on_panic(struct notifier_block *block, unsigned long event, void *message)
{
	struct kjump_image *image = READ_ONCE(panic_image);

	if (!image)
		return NOTIFY_DONE;
	local_irq_disable();
	pr_emerg("panic: going back to the kernel that started this one\n");
	write_handoff();
	if (image->flags & KJUMP_LOAD_FLAG_GUARDED_FROM_THERE) {
		go_back(image);
		return NOTIFY_DONE;
	}
	silence_devices();
	if (smp_processor_id()) {
		hand_over(image);
	} else {
		park_other_cpus();
		go_back(image);
	}
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = { .notifier_call = call_on_panic, .priority = INT_MAX };

/* ---- for other modules: kjump.h ---- */

struct kjump_image *kjump_load(struct kjump_load *request)
{
	might_sleep();
	return load(request, false);
}
EXPORT_SYMBOL_GPL(kjump_load);

int kjump_call(struct kjump_image *image, struct kjump_call *call)
{
	if (in_interrupt() || irqs_disabled())
		return fail(&call->diagnosis, -EINVAL, KJUMP_REASON_WRONG_CONTEXT, 0);
	return call_image(image, call);
}
EXPORT_SYMBOL_GPL(kjump_call);

int kjump_read(struct kjump_image *image, struct kjump_transfer *request)
{
	return transfer(image, request, false, false);
}
EXPORT_SYMBOL_GPL(kjump_read);

int kjump_write(struct kjump_image *image, struct kjump_transfer *request)
{
	return transfer(image, request, true, false);
}
EXPORT_SYMBOL_GPL(kjump_write);

void kjump_unload(struct kjump_image *image)
{
	might_sleep();
	put(image);
}
EXPORT_SYMBOL_GPL(kjump_unload);

/* ---- /dev/kjump ---- */

struct open_file {
	struct mutex busy; /* only ever tried */
	struct kjump_image *image;
};

static int device_open(struct inode *inode, struct file *file)
{
	struct open_file *open;

	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	open = kzalloc(sizeof(*open), GFP_KERNEL);
	if (!open)
		return -ENOMEM;
	mutex_init(&open->busy);
	file->private_data = open;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct open_file *open = file->private_data;

	put(open->image);
	kfree(open);
	return 0;
}

static int ioctl_info(struct kjump_info *info)
{
	struct kjg_guard_facts facts;
	struct kjump_image *image;
	bool can_guard = kjg_guard_facts(&facts);

	info->version = KJUMP_VERSION;
	info->features = (IS_ENABLED(CONFIG_SUSPEND) ? KJUMP_FEATURE_SUSPEND : 0) |
			 (current_suspend_operations ? KJUMP_FEATURE_SUSPEND_OPS_KEPT : 0) |
			 (IS_ENABLED(CONFIG_CONTIG_ALLOC) ? KJUMP_FEATURE_CLAIM : 0) |
			 (kjg_gigabyte_pages() ? KJUMP_FEATURE_GIGABYTE_PAGES : 0) |
			 (can_guard ? KJUMP_FEATURE_GUARD : 0);
	info->paging_levels = kjr_paging_levels();
	info->tsc_khz = counter_khz;
	info->mover = kjr_mover();
	info->guard_cpu = can_guard ? per_cpu(x86_cpu_to_apicid, 0) : 0;
	info->images = info->frames = 0;
	mutex_lock(&registry);
	info->calls = total_calls;
	list_for_each_entry(image, &images, node) {
		info->images++;
		info->frames += image->frames;
	}
	mutex_unlock(&registry);
	return 0;
}

static int ioctl_load(struct open_file *open, struct kjump_load *request)
{
	struct kjump_image *image;

	if (open->image)
		return fail(&request->diagnosis, -EBUSY, KJUMP_REASON_ALREADY_LOADED, 0);
	image = load(request, true);
	if (IS_ERR(image))
		return PTR_ERR(image);
	open->image = image;
	return 0;
}

static int ioctl_note(struct open_file *open, struct kjump_note *request)
{
	u64 within = offset_in_page(request->address);
	int error = may_load(&request->diagnosis);

	if (error)
		return error;
	if (!open->image)
		return fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	if (request->address % 4 || !page_is_ram(PHYS_PFN(request->address)) ||
	    request->length < KJUMP_NOTE_ROOM || request->length > PAGE_SIZE - within) {
		fail(&request->diagnosis, 0, KJUMP_REASON_BAD_NOTE, request->address);
		request->diagnosis.numbers[1] = request->length;
		return -EADDRNOTAVAIL;
	}
	if (!mutex_trylock(&open->image->busy))
		return fail(&request->diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1);
	open->image->note = __va(request->address);
	mutex_unlock(&open->image->busy);
	return 0;
}

static int ioctl_transfer(struct open_file *open, struct kjump_transfer *request, bool write)
{
	if (!open->image)
		return fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	return transfer(open->image, request, write, true);
}

static int ioctl_call(struct open_file *open, struct kjump_call *call)
{
	if (!open->image)
		return fail(&call->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	return call_image(open->image, call);
}

static int unload(struct open_file *open)
{
	struct kjump_image *image = open->image;

	if (!image)
		return -ENOENT;
	open->image = NULL;
	if (forget_name(image))
		put(image);
	put(image);
	return 0;
}

/* Printable ASCII, at least one byte, with zeroes behind. */
static bool is_name(const u64 *words)
{
	const char *name = (const char *)words;
	size_t length = strnlen(name, sizeof(u64) * 4), i;

	for (i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return length && length < sizeof(u64) * 4 && !memchr_inv(name + length, 0, sizeof(u64) * 4 - length);
}

static int ioctl_keep(struct open_file *open, struct kjump_name *request)
{
	int error = 0;

	if (!open->image)
		return fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	if (!is_name(request->name))
		return fail(&request->diagnosis, -EINVAL, KJUMP_REASON_BAD_NAME, 0);
	mutex_lock(&registry);
	if (open->image->name[0]) {
		error = fail(&request->diagnosis, -EEXIST, KJUMP_REASON_BAD_NAME, 1);
	} else if (find_name(request->name)) {
		error = fail(&request->diagnosis, -EEXIST, KJUMP_REASON_BAD_NAME, 2);
	} else {
		memcpy(open->image->name, request->name, sizeof(request->name));
		kref_get(&open->image->references);
		__module_get(THIS_MODULE); /* the module stays while there are kept images */
	}
	mutex_unlock(&registry);
	return error;
}

static int ioctl_attach(struct open_file *open, struct kjump_name *request)
{
	struct kjump_image *image;

	if (open->image)
		return fail(&request->diagnosis, -EBUSY, KJUMP_REASON_ALREADY_LOADED, 0);
	if (!is_name(request->name))
		return fail(&request->diagnosis, -EINVAL, KJUMP_REASON_BAD_NAME, 0);
	mutex_lock(&registry);
	image = find_name(request->name);
	if (image)
		kref_get(&image->references);
	mutex_unlock(&registry);
	if (!image)
		return fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	open->image = image;
	return 0;
}

static void describe(const struct kjump_image *image, struct kjump_image_info *info)
{
	kjr_describe(image->rust, info);
	info->id = image->id;
	memcpy(info->name, image->name, sizeof(info->name));
	info->loader = image->loader;
	info->calls = image->calls;
	info->faults = image->faults;
	info->loaded_at = image->loaded_at;
	info->ticks_run = image->ticks_run;
}

static int ioctl_images(struct kjump_list *list)
{
	struct kjump_image_info __user *entries = u64_to_user_ptr(list->entries);
	struct kjump_image *image;
	int error = 0;

	list->count = 0;
	mutex_lock(&registry);
	list_for_each_entry(image, &images, node) {
		struct kjump_image_info info = {};

		describe(image, &info);
		if (!error && list->count < list->capacity && copy_to_user(&entries[list->count], &info, sizeof(info)))
			error = fail(&list->diagnosis, -EFAULT, KJUMP_REASON_BAD_POINTER, list->entries);
		list->count++;
	}
	mutex_unlock(&registry);
	return error;
}

static struct kjump_image *get_by_id(u64 id)
{
	struct kjump_image *image, *found = NULL;

	mutex_lock(&registry);
	list_for_each_entry(image, &images, node)
		if (image->id == id)
			found = image;
	if (found)
		kref_get(&found->references);
	mutex_unlock(&registry);
	return found;
}

static int ioctl_ranges(struct kjump_list *list)
{
	struct kjump_range __user *entries = u64_to_user_ptr(list->entries);
	struct kjump_image *image = get_by_id(list->id);
	struct kjump_range range;
	int error = 0;

	if (!image)
		return fail(&list->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	for (list->count = 0; kjr_range(image->rust, list->count, &range) && !error; list->count++)
		if (list->count < list->capacity && copy_to_user(&entries[list->count], &range, sizeof(range)))
			error = fail(&list->diagnosis, -EFAULT, KJUMP_REASON_BAD_POINTER, list->entries);
	put(image);
	return error;
}

static int ioctl_slots(struct kjump_list *list)
{
	struct kjump_image *image = get_by_id(list->id);
	int error;

	if (!image)
		return fail(&list->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	if (mutex_trylock(&image->busy)) {
		error = kjr_slots(image->rust, list, true);
		mutex_unlock(&image->busy);
	} else {
		error = fail(&list->diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1);
	}
	put(image);
	return error;
}

union structures {
	u64 size; /* the first field of each */
	struct kjump_info info;
	struct kjump_load load;
	struct kjump_transfer transfer;
	struct kjump_call call;
	struct kjump_name name;
	struct kjump_list list;
	struct kjump_note note;
};

/* The size of a request's structure, 0 if there is no such request, and where its diagnosis is, if it has one. */
static size_t structure(unsigned int number, union structures *request, struct kjump_diagnosis **diagnosis)
{
	*diagnosis = NULL;
	switch (number) {
	case KJUMP_IOC_INFO:
		return sizeof(request->info);
	case KJUMP_IOC_LOAD:
		*diagnosis = &request->load.diagnosis;
		return sizeof(request->load);
	case KJUMP_IOC_READ:
	case KJUMP_IOC_WRITE:
		*diagnosis = &request->transfer.diagnosis;
		return sizeof(request->transfer);
	case KJUMP_IOC_CALL:
		*diagnosis = &request->call.diagnosis;
		return sizeof(request->call);
	case KJUMP_IOC_KEEP:
	case KJUMP_IOC_ATTACH:
		*diagnosis = &request->name.diagnosis;
		return sizeof(request->name);
	case KJUMP_IOC_IMAGES:
	case KJUMP_IOC_RANGES:
	case KJUMP_IOC_SLOTS:
		*diagnosis = &request->list.diagnosis;
		return sizeof(request->list);
	case KJUMP_IOC_NOTE:
		*diagnosis = &request->note.diagnosis;
		return sizeof(request->note);
	default:
		return 0;
	}
}

static int serve(struct open_file *open, unsigned int number, union structures *request)
{
	switch (number) {
	case KJUMP_IOC_INFO:
		return ioctl_info(&request->info);
	case KJUMP_IOC_LOAD:
		return ioctl_load(open, &request->load);
	case KJUMP_IOC_READ:
		return ioctl_transfer(open, &request->transfer, false);
	case KJUMP_IOC_WRITE:
		return ioctl_transfer(open, &request->transfer, true);
	case KJUMP_IOC_CALL:
		return ioctl_call(open, &request->call);
	case KJUMP_IOC_KEEP:
		return ioctl_keep(open, &request->name);
	case KJUMP_IOC_ATTACH:
		return ioctl_attach(open, &request->name);
	case KJUMP_IOC_IMAGES:
		return ioctl_images(&request->list);
	case KJUMP_IOC_SLOTS:
		return ioctl_slots(&request->list);
	case KJUMP_IOC_NOTE:
		return ioctl_note(open, &request->note);
	default:
		return ioctl_ranges(&request->list);
	}
}

/* A shorter structure than that of the first version is none of ours. A longer one has room for the diagnosis. */
static size_t first_size(unsigned int number, size_t known)
{
	switch (number) {
	case KJUMP_IOC_INFO:
		return offsetof(struct kjump_info, guard_cpu);
	case KJUMP_IOC_CALL:
		return offsetof(struct kjump_call, deadline);
	default:
		return known;
	}
}

/* The size of what was fetched, as the caller has it and the module knows it, or -errno. */
static long fetch(union structures *request, size_t first, size_t known, struct kjump_diagnosis *diagnosis,
		  void __user *user)
{
	void __user *place;
	int error;
	u64 size;

	if (get_user(size, (const u64 __user *)user))
		return -EFAULT;
	if (size < first)
		return -EINVAL;
	error = size > PAGE_SIZE ? -E2BIG : copy_struct_from_user(request, known, user, size);
	if (error == -E2BIG && diagnosis) {
		*diagnosis = (struct kjump_diagnosis){ KJUMP_REASON_BAD_SIZE, { size, first, known } };
		place = user + ((void *)diagnosis - (void *)request);
		if (copy_to_user(place, diagnosis, sizeof(*diagnosis)))
			return -EFAULT;
	}
	return error ? error : min_t(u64, size, known);
}

static long device_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	struct open_file *open = file->private_data;
	void __user *user = (void __user *)argument;
	struct kjump_diagnosis *diagnosis;
	union structures request = {};
	size_t known = structure(number, &request, &diagnosis);
	long error, size;

	if (!known && number != KJUMP_IOC_UNLOAD)
		return -ENOTTY;
	size = known ? fetch(&request, first_size(number, known), known, diagnosis, user) : 0;
	if (size < 0)
		return size;
	if (diagnosis)
		*diagnosis = (struct kjump_diagnosis){};
	/* Who cannot be answered is not served: an image would be loaded, or called, and the caller not know. */
	if (copy_to_user(user, &request, size))
		return -EFAULT;
	if (!mutex_trylock(&open->busy)) {
		error = diagnosis ? fail(diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1) : -EBUSY;
	} else {
		error = known ? serve(open, number, &request) : unload(open);
		mutex_unlock(&open->busy);
	}
	if (copy_to_user(user, &request, size))
		return -EFAULT;
	return error;
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = device_ioctl, /* every field is 64 bits wide */
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kjump",
	.fops = &device_operations,
	.mode = 0600,
};

/* ---- the module ---- */

/* A kprobe tells the address of a function by its name; kallsyms_lookup_name tells that of anything else. */
static void find_suspend_operations(void)
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
	/* The probe stands behind the ENDBR64 that a call has to land on. */
	if (*(u32 *)(address - 4) == 0xfa1e0ff3)
		address -= 4;
#endif
	lookup = (void *)address;
	current_suspend_operations = (void *)lookup("suspend_ops");
#endif
}

static void map_local_apic(void)
{
	u32 low, high;

	if (rdmsr_safe(MSR_IA32_APICBASE, &low, &high) || low & X2APIC_ENABLE)
		return;
	local_apic = ioremap(((u64)high << 32 | low) & PAGE_MASK, PAGE_SIZE);
}

static void map_io_apics(void)
{
	struct acpi_subtable_header *entry;
	struct acpi_table_header *table;
	size_t at;

	if (ACPI_FAILURE(acpi_get_table(ACPI_SIG_MADT, 0, &table)))
		return;
	for (at = sizeof(struct acpi_table_madt); io_apic_count < ARRAY_SIZE(io_apics); at += entry->length) {
		entry = (void *)table + at;
		if (at + sizeof(struct acpi_madt_io_apic) > table->length || entry->length < sizeof(*entry))
			break;
		if (entry->type == ACPI_MADT_TYPE_IO_APIC)
			io_apics[io_apic_count] = ioremap(((struct acpi_madt_io_apic *)entry)->address, 0x20);
		io_apic_count += !!io_apics[io_apic_count];
	}
	acpi_put_table(table);
}

/* An image that fails here is not tried again: a way of moving pages that every CPU has is the default. */
static void choose_mover(void)
{
	struct kjump_image trial = {};
	struct kjump_call call;
	u64 list, mover;
	int round;

	if (!kjr_trial_load(&trial.rust, &list))
		return;
	for (round = 0; round < 3; round++) {
		for (mover = 0; kjr_trial_call(list, mover, &call); mover++) {
			struct entry entry = { .image = &trial, .call = &call };

			enter(&entry);
			kjr_trial_note(&call);
		}
	}
	kjr_free(trial.rust);
}

static void forget_machine(void)
{
	while (io_apic_count)
		iounmap(io_apics[--io_apic_count]);
	if (local_apic)
		iounmap(local_apic);
	free_pages((unsigned long)last_words, LAST_WORDS_ORDER);
}

static int __init kjump_init(void)
{
	const char *refusal = kjr_refusal(xen_pv_domain(), cc_platform_has(CC_ATTR_MEM_ENCRYPT));
	int error;

	if (refusal) {
		pr_err("not loaded: %s\n", refusal);
		return -ENODEV;
	}
	counter_khz = find_counter_khz();
	find_suspend_operations();
	if (!current_suspend_operations)
		pr_info("without kallsyms: the machine's own suspend is lost after the first suspend call\n");
	last_words = (void *)__get_free_pages(GFP_KERNEL, LAST_WORDS_ORDER);
	if (!last_words)
		return -ENOMEM;
	map_local_apic();
	map_io_apics();
	choose_mover();
	error = register_nmi_handler(NMI_LOCAL, take_over, 0, KBUILD_MODNAME);
	if (error)
		goto forget;
	error = misc_register(&device);
	if (error)
		goto unregister;
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
	return 0;
unregister:
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
forget:
	forget_machine();
	return error;
}

static void __exit kjump_exit(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
	misc_deregister(&device);
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
	forget_machine();
}

module_init(kjump_init);
module_exit(kjump_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Call images in physical memory, and come back");
MODULE_AUTHOR("The kjump developers");

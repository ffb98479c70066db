// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/kjump: the requests of kjump_abi.h.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "glue.h"

/* The structure of a request. */
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

struct open_file {
	struct file *file;
	struct kj_turn turn; /* requests for this open file */
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
	open->file = file;
	kj_turn_init(&open->turn);
	file->private_data = open;
	return 0;
}

/* Whether requests wait for their turn. fcntl() can change it. */
static bool waits(const struct open_file *open)
{
	return !(READ_ONCE(open->file->f_flags) & O_NONBLOCK);
}

static int device_release(struct inode *inode, struct file *file)
{
	struct open_file *open = file->private_data;

	kj_image_put(open->image);
	kfree(open);
	return 0;
}

static int serve_info(struct open_file *open, union structures *request)
{
	struct kjump_info *info = &request->info;
	struct kjg_guard_facts facts;
	struct kjg_deadline_facts deadline;
	bool can_guard = kjg_guard_facts(&facts);

	kjg_deadline_facts(&deadline);
	info->version = KJUMP_VERSION;
	info->features = (IS_ENABLED(CONFIG_SUSPEND) ? KJUMP_FEATURE_SUSPEND : 0) |
			 (kj_suspend_operations_found() ? KJUMP_FEATURE_SUSPEND_OPS_KEPT : 0) |
			 (IS_ENABLED(CONFIG_CONTIG_ALLOC) ? KJUMP_FEATURE_CLAIM : 0) |
			 (kjg_gigabyte_pages() ? KJUMP_FEATURE_GIGABYTE_PAGES : 0) |
			 (can_guard ? KJUMP_FEATURE_GUARD : 0) |
			 (deadline.watch_khz ? KJUMP_FEATURE_WATCH : 0) |
			 (deadline.timer_khz ? KJUMP_FEATURE_TIMER : 0);
	info->paging_levels = kjr_paging_levels();
	info->tsc_khz = kj_counter_khz;
	info->mover = kjr_mover();
	info->guard_cpu = can_guard ? per_cpu(x86_cpu_to_apicid, 0) : 0;
	info->calls = kj_total_calls();
	kj_image_totals(info);
	return 0;
}

static int serve_load(struct open_file *open, union structures *request)
{
	struct kjump_load *load = &request->load;
	struct kjump_image *image;

	if (open->image)
		return kj_fail(&load->diagnosis, -EBUSY, KJUMP_REASON_ALREADY_LOADED, 0);
	image = kj_image_load(load, true);
	if (IS_ERR(image))
		return PTR_ERR(image);
	open->image = image;
	return 0;
}

static int serve_note(struct open_file *open, union structures *request)
{
	struct kjump_note *note = &request->note;
	int error = kj_may_load(&note->diagnosis);

	if (error)
		return error;
	if (!open->image)
		return kj_fail(&note->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	if (!page_is_ram(PHYS_PFN(note->address)) || !kjr_note_fits(note->address, note->length)) {
		kj_fail(&note->diagnosis, 0, KJUMP_REASON_BAD_NOTE, note->address);
		note->diagnosis.numbers[1] = note->length;
		return -EADDRNOTAVAIL;
	}
	error = kj_take_turn(&open->image->turn, waits(open), &note->diagnosis, 1);
	if (error)
		return error;
	open->image->note = __va(note->address);
	kj_turn_end(&open->image->turn);
	return 0;
}

static int transfer(struct open_file *open, struct kjump_transfer *request, bool write)
{
	if (!open->image)
		return kj_fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	return kj_image_transfer(open->image, request, write, true, waits(open));
}

static int serve_read(struct open_file *open, union structures *request)
{
	return transfer(open, &request->transfer, false);
}

static int serve_write(struct open_file *open, union structures *request)
{
	return transfer(open, &request->transfer, true);
}

static int serve_write_list(struct open_file *open, union structures *request)
{
	struct kjump_list *list = &request->list;
	int error = kj_may_load(&list->diagnosis);

	list->count = 0;
	if (error)
		return error;
	if (!open->image)
		return kj_fail(&list->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	error = kj_take_turn(&open->image->turn, waits(open), &list->diagnosis, 1);
	if (error)
		return error;
	error = kjr_write_list(open->image->rust, list, true);
	kj_turn_end(&open->image->turn);
	return error;
}

static int serve_call(struct open_file *open, union structures *request)
{
	struct kjump_call *call = &request->call;

	if (!open->image)
		return kj_fail(&call->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	return kj_call(open->image, call, waits(open));
}

static int serve_unload(struct open_file *open, union structures *request)
{
	struct kjump_image *image = open->image;

	if (!image)
		return -ENOENT;
	open->image = NULL;
	if (kj_image_forget_name(image))
		kj_image_put(image);
	kj_image_put(image);
	return 0;
}

static int serve_keep(struct open_file *open, union structures *request)
{
	struct kjump_name *name = &request->name;

	if (!open->image)
		return kj_fail(&name->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	if (!kjr_is_name(name->name))
		return kj_fail(&name->diagnosis, -EINVAL, KJUMP_REASON_BAD_NAME, 0);
	return kj_image_keep(open->image, name);
}

static int serve_attach(struct open_file *open, union structures *request)
{
	struct kjump_name *name = &request->name;
	struct kjump_image *image;

	if (open->image)
		return kj_fail(&name->diagnosis, -EBUSY, KJUMP_REASON_ALREADY_LOADED, 0);
	if (!kjr_is_name(name->name))
		return kj_fail(&name->diagnosis, -EINVAL, KJUMP_REASON_BAD_NAME, 0);
	image = kj_image_by_name(name->name);
	if (!image)
		return kj_fail(&name->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	open->image = image;
	return 0;
}

static int serve_images(struct open_file *open, union structures *request)
{
	return kj_image_list(&request->list);
}

static int serve_ranges(struct open_file *open, union structures *request)
{
	struct kjump_list *list = &request->list;
	struct kjump_range __user *entries = u64_to_user_ptr(list->entries);
	struct kjump_image *image = kj_image_by_id(list->id);
	struct kjump_range range;
	int error = 0;

	if (!image)
		return kj_fail(&list->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	for (list->count = 0; kjr_range(image->rust, list->count, &range) && !error; list->count++)
		if (list->count < list->capacity &&
		    copy_to_user(&entries[list->count], &range, sizeof(range)))
			error = kj_fail(&list->diagnosis, -EFAULT, KJUMP_REASON_BAD_POINTER, list->entries);
	kj_image_put(image);
	return error;
}

static int serve_slots(struct open_file *open, union structures *request)
{
	struct kjump_list *list = &request->list;
	struct kjump_image *image = kj_image_by_id(list->id);
	int error;

	if (!image)
		return kj_fail(&list->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	error = kj_take_turn(&image->turn, waits(open), &list->diagnosis, 1);
	if (!error) {
		error = kjr_slots(image->rust, list, true);
		kj_turn_end(&image->turn);
	}
	kj_image_put(image);
	return error;
}

#define NO_DIAGNOSIS 0 /* every structure starts with its size */

/*
 * What the module knows about a request. A structure shorter than its first version is refused. If
 * a structure has a diagnosis, its first version has it too.
 */
struct request_kind {
	unsigned int number;
	size_t size;	  /* of the structure, 0 if there is none */
	size_t first;	  /* size of the structure's first version */
	size_t diagnosis; /* offset in the structure, or NO_DIAGNOSIS */
	int (*serve)(struct open_file *open, union structures *request);
};

/* A request whose structure ended with the diagnosis in its first version. */
#define REQUEST(number_, structure, serve_) { \
	.number = number_, \
	.size = sizeof_field(union structures, structure), \
	.first = offsetofend(union structures, structure.diagnosis), \
	.diagnosis = offsetof(union structures, structure.diagnosis), \
	.serve = serve_, \
}

static const struct request_kind request_kinds[] = {
	{
		.number = KJUMP_IOC_INFO,
		.size = sizeof(struct kjump_info),
		.first = offsetofend(struct kjump_info, mover),
		.diagnosis = NO_DIAGNOSIS,
		.serve = serve_info,
	},
	REQUEST(KJUMP_IOC_LOAD, load, serve_load),
	REQUEST(KJUMP_IOC_READ, transfer, serve_read),
	REQUEST(KJUMP_IOC_WRITE, transfer, serve_write),
	REQUEST(KJUMP_IOC_CALL, call, serve_call),
	{ .number = KJUMP_IOC_UNLOAD, .diagnosis = NO_DIAGNOSIS, .serve = serve_unload },
	REQUEST(KJUMP_IOC_KEEP, name, serve_keep),
	REQUEST(KJUMP_IOC_ATTACH, name, serve_attach),
	REQUEST(KJUMP_IOC_IMAGES, list, serve_images),
	REQUEST(KJUMP_IOC_RANGES, list, serve_ranges),
	REQUEST(KJUMP_IOC_SLOTS, list, serve_slots),
	REQUEST(KJUMP_IOC_NOTE, note, serve_note),
	REQUEST(KJUMP_IOC_WRITE_LIST, list, serve_write_list),
};

static const struct request_kind *find_kind(unsigned int number)
{
	const struct request_kind *kind;

	for (kind = request_kinds; kind < request_kinds + ARRAY_SIZE(request_kinds); kind++)
		if (kind->number == number)
			return kind;
	return NULL;
}

static struct kjump_diagnosis *diagnosis_of(const struct request_kind *kind,
					    union structures *request)
{
	return kind->diagnosis == NO_DIAGNOSIS ? NULL : (void *)request + kind->diagnosis;
}

/* Copies the structure in. Returns how many bytes of it caller and module both know, or -errno. */
static long fetch(const struct request_kind *kind, union structures *request, void __user *user)
{
	struct kjump_diagnosis *diagnosis = diagnosis_of(kind, request);
	s64 common;
	int error;
	u64 size;

	if (!kind->size)
		return 0;
	if (get_user(size, (const u64 __user *)user))
		return -EFAULT;
	common = kjr_common_size(size, kind->first, kind->size);
	error = common < 0 ? common : copy_struct_from_user(request, kind->size, user, size);
	if (error == -E2BIG && diagnosis) {
		kj_fail(diagnosis, error, KJUMP_REASON_BAD_SIZE, size);
		diagnosis->numbers[1] = kind->first;
		diagnosis->numbers[2] = kind->size;
		if (copy_to_user(user + kind->diagnosis, diagnosis, sizeof(*diagnosis)))
			return -EFAULT;
	}
	return error ? error : common;
}

static long device_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	const struct request_kind *kind = find_kind(number);
	struct open_file *open = file->private_data;
	void __user *user = (void __user *)argument;
	struct kjump_diagnosis *diagnosis;
	union structures request = {};
	long error, size;

	if (!kind)
		return -ENOTTY;
	size = fetch(kind, &request, user);
	if (size < 0)
		return size;
	diagnosis = diagnosis_of(kind, &request);
	if (diagnosis)
		*diagnosis = (struct kjump_diagnosis){};
	/* Fail before acting, not after, if the caller cannot be given the result. */
	if (copy_to_user(user, &request, size))
		return -EFAULT;
	error = kj_take_turn(&open->turn, waits(open), diagnosis, 1);
	if (!error) {
		error = kind->serve(open, &request);
		kj_turn_end(&open->turn);
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

int kj_device_register(void)
{
	return misc_register(&device);
}

void kj_device_deregister(void)
{
	misc_deregister(&device);
}

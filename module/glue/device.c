// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/kjump.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "glue.h"

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

	kj_image_put(open->image);
	kfree(open);
	return 0;
}

static int ioctl_info(struct kjump_info *info)
{
	struct kjg_guard_facts facts;
	bool can_guard = kjg_guard_facts(&facts);

	info->version = KJUMP_VERSION;
	info->features = (IS_ENABLED(CONFIG_SUSPEND) ? KJUMP_FEATURE_SUSPEND : 0) |
			 (kj_suspend_operations_found() ? KJUMP_FEATURE_SUSPEND_OPS_KEPT : 0) |
			 (IS_ENABLED(CONFIG_CONTIG_ALLOC) ? KJUMP_FEATURE_CLAIM : 0) |
			 (kjg_gigabyte_pages() ? KJUMP_FEATURE_GIGABYTE_PAGES : 0) |
			 (can_guard ? KJUMP_FEATURE_GUARD : 0);
	info->paging_levels = kjr_paging_levels();
	info->tsc_khz = kj_counter_khz;
	info->mover = kjr_mover();
	info->guard_cpu = can_guard ? per_cpu(x86_cpu_to_apicid, 0) : 0;
	info->calls = kj_total_calls();
	kj_image_totals(info);
	return 0;
}

static int ioctl_load(struct open_file *open, struct kjump_load *request)
{
	struct kjump_image *image;

	if (open->image)
		return kj_fail(&request->diagnosis, -EBUSY, KJUMP_REASON_ALREADY_LOADED, 0);
	image = kj_image_load(request, true);
	if (IS_ERR(image))
		return PTR_ERR(image);
	open->image = image;
	return 0;
}

static int ioctl_note(struct open_file *open, struct kjump_note *request)
{
	u64 within = offset_in_page(request->address);
	int error = kj_may_load(&request->diagnosis);

	if (error)
		return error;
	if (!open->image)
		return kj_fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	if (request->address % 4 || !page_is_ram(PHYS_PFN(request->address)) ||
	    request->length < KJUMP_NOTE_ROOM || request->length > PAGE_SIZE - within) {
		kj_fail(&request->diagnosis, 0, KJUMP_REASON_BAD_NOTE, request->address);
		request->diagnosis.numbers[1] = request->length;
		return -EADDRNOTAVAIL;
	}
	if (!mutex_trylock(&open->image->busy))
		return kj_fail(&request->diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1);
	open->image->note = __va(request->address);
	mutex_unlock(&open->image->busy);
	return 0;
}

static int ioctl_transfer(struct open_file *open, struct kjump_transfer *request, bool write)
{
	if (!open->image)
		return kj_fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	return kj_image_transfer(open->image, request, write, true);
}

static int ioctl_call(struct open_file *open, struct kjump_call *call)
{
	if (!open->image)
		return kj_fail(&call->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	return kj_call(open->image, call);
}

static int unload(struct open_file *open)
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
	if (!open->image)
		return kj_fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NOT_LOADED, 0);
	if (!is_name(request->name))
		return kj_fail(&request->diagnosis, -EINVAL, KJUMP_REASON_BAD_NAME, 0);
	return kj_image_keep(open->image, request);
}

static int ioctl_attach(struct open_file *open, struct kjump_name *request)
{
	struct kjump_image *image;

	if (open->image)
		return kj_fail(&request->diagnosis, -EBUSY, KJUMP_REASON_ALREADY_LOADED, 0);
	if (!is_name(request->name))
		return kj_fail(&request->diagnosis, -EINVAL, KJUMP_REASON_BAD_NAME, 0);
	image = kj_image_by_name(request->name);
	if (!image)
		return kj_fail(&request->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	open->image = image;
	return 0;
}

static int ioctl_ranges(struct kjump_list *list)
{
	struct kjump_range __user *entries = u64_to_user_ptr(list->entries);
	struct kjump_image *image = kj_image_by_id(list->id);
	struct kjump_range range;
	int error = 0;

	if (!image)
		return kj_fail(&list->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	for (list->count = 0; kjr_range(image->rust, list->count, &range) && !error; list->count++)
		if (list->count < list->capacity && copy_to_user(&entries[list->count], &range, sizeof(range)))
			error = kj_fail(&list->diagnosis, -EFAULT, KJUMP_REASON_BAD_POINTER, list->entries);
	kj_image_put(image);
	return error;
}

static int ioctl_slots(struct kjump_list *list)
{
	struct kjump_image *image = kj_image_by_id(list->id);
	int error;

	if (!image)
		return kj_fail(&list->diagnosis, -ENOENT, KJUMP_REASON_NO_SUCH_IMAGE, 0);
	if (mutex_trylock(&image->busy)) {
		error = kjr_slots(image->rust, list, true);
		mutex_unlock(&image->busy);
	} else {
		error = kj_fail(&list->diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1);
	}
	kj_image_put(image);
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
		return kj_image_list(&request->list);
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
		error = diagnosis ? kj_fail(diagnosis, -EBUSY, KJUMP_REASON_UNDER_WAY, 1) : -EBUSY;
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

int kj_device_register(void)
{
	return misc_register(&device);
}

void kj_device_deregister(void)
{
	misc_deregister(&device);
}

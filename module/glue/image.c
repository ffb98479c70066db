// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images: loading, references, names, and access to their memory.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include "glue.h"

static LIST_HEAD(images);
static DEFINE_MUTEX(registry);
static u64 last_id;
/* Written under registry. */
static struct kjump_image *panic_image;

int kj_fail(struct kjump_diagnosis *diagnosis, int error, u64 reason, u64 number)
{
	*diagnosis = (struct kjump_diagnosis){ .reason = reason, .numbers = { number } };
	return error;
}

int kj_take_turn(struct kj_turn *turn, bool wait, struct kjump_diagnosis *diagnosis, u64 whose)
{
	int error = kj_turn_take(turn, wait);

	if (error == -EBUSY && diagnosis)
		kj_fail(diagnosis, error, KJUMP_REASON_UNDER_WAY, whose);
	return error;
}

/*
 * The sysctl kernel.kexec_load_disabled, 0 or 1, or -errno. Read from /proc, as the variable is not
 * exported.
 */
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
	/* In a mount namespace of its own, the task may see some other file there. */
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

int kj_may_load(struct kjump_diagnosis *diagnosis)
{
	int disabled;

	if (!capable(CAP_SYS_BOOT))
		return kj_fail(diagnosis, -EPERM, KJUMP_REASON_NOT_PERMITTED, 0);
	if (security_locked_down(LOCKDOWN_KEXEC))
		return kj_fail(diagnosis, -EPERM, KJUMP_REASON_LOCKED_DOWN, 0);
	disabled = load_disabled();
	if (disabled < 0)
		return kj_fail(diagnosis, -EPERM, KJUMP_REASON_LOAD_DISABLED_UNKNOWN, -disabled);
	if (disabled)
		return kj_fail(diagnosis, -EPERM, KJUMP_REASON_LOAD_DISABLED, 0);
	return 0;
}

struct kjump_image *kj_image_load(struct kjump_load *request, bool user)
{
	struct kjump_image *image;
	int error = kj_may_load(&request->diagnosis);

	if (error)
		return ERR_PTR(error);
	image = kzalloc(sizeof(*image), GFP_KERNEL);
	if (!image) {
		kj_fail(&request->diagnosis, 0, KJUMP_REASON_NO_MEMORY, sizeof(*image));
		return ERR_PTR(-ENOMEM);
	}
	error = kjr_load(request, user, &image->rust);
	if (error) {
		kfree(image);
		return ERR_PTR(error);
	}
	kref_init(&image->references);
	kj_turn_init(&image->turn);
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

/* Called with registry held; releases it. */
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

void kj_image_put(struct kjump_image *image)
{
	if (image)
		kref_put_mutex(&image->references, free_image, &registry);
}

bool kj_image_forget_name(struct kjump_image *image)
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

int kj_image_keep(struct kjump_image *image, struct kjump_name *request)
{
	int error = 0;

	mutex_lock(&registry);
	if (image->name[0]) {
		error = kj_fail(&request->diagnosis, -EEXIST, KJUMP_REASON_BAD_NAME, 1);
	} else if (find_name(request->name)) {
		error = kj_fail(&request->diagnosis, -EEXIST, KJUMP_REASON_BAD_NAME, 2);
	} else {
		memcpy(image->name, request->name, sizeof(request->name));
		kref_get(&image->references);
		__module_get(THIS_MODULE); /* a kept image has no open file that pins the module */
	}
	mutex_unlock(&registry);
	return error;
}

struct kjump_image *kj_image_by_name(const u64 *name)
{
	struct kjump_image *image;

	mutex_lock(&registry);
	image = find_name(name);
	if (image)
		kref_get(&image->references);
	mutex_unlock(&registry);
	return image;
}

/* Writing to an image requires the same permission as loading one. */
int kj_image_transfer(struct kjump_image *image, struct kjump_transfer *request, bool write,
		      bool user, bool wait)
{
	int error = write ? kj_may_load(&request->diagnosis) : 0;

	if (error)
		return error;
	error = kj_take_turn(&image->turn, wait, &request->diagnosis, 1);
	if (error)
		return error;
	error = kjr_transfer(image->rust, request, write, user);
	kj_turn_end(&image->turn);
	return error;
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

int kj_image_list(struct kjump_list *list)
{
	struct kjump_image_info __user *entries = u64_to_user_ptr(list->entries);
	struct kjump_image *image;
	int error = 0;

	list->count = 0;
	mutex_lock(&registry);
	list_for_each_entry(image, &images, node) {
		struct kjump_image_info info = {};

		describe(image, &info);
		if (!error && list->count < list->capacity &&
		    copy_to_user(&entries[list->count], &info, sizeof(info)))
			error = kj_fail(&list->diagnosis, -EFAULT, KJUMP_REASON_BAD_POINTER, list->entries);
		list->count++;
	}
	mutex_unlock(&registry);
	return error;
}

struct kjump_image *kj_image_by_id(u64 id)
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

void kj_image_totals(struct kjump_info *info)
{
	struct kjump_image *image;

	info->images = info->frames = 0;
	mutex_lock(&registry);
	list_for_each_entry(image, &images, node) {
		info->images++;
		info->frames += image->frames;
	}
	mutex_unlock(&registry);
}

struct kjump_image *kj_image_for_panic(void)
{
	return READ_ONCE(panic_image);
}

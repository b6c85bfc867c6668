/* SPDX-License-Identifier: MIT */
/*
 * Regions: layout, creation, attaching, obtaining memory. The idea is told in region.h.
 */
#include "core/region.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/alloc.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_PAGE     (2ull << 20)
#define REGION_MAX    (1ull << 47)
#define GRANULE_SHIFT 18
#define GRANULE	      (1ull << GRANULE_SHIFT)
/* A signal undoes the fallocate it interrupts: short calls get through under a stream of them. */
#define FALLOCATE_STEP (8ull << 20)

/* The whole layout is compared at once, so it must have no holes. */
_Static_assert(sizeof(struct map_attr) == 72, "struct map_attr has padding");
_Static_assert(sizeof(struct region_layout) == 72 + 8 + 4 * 8 * PART_N + 8, "struct region_layout has padding");
_Static_assert(sizeof(struct region_header) <= REGION_PAGE, "the header is one page");

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

bool region_layout_add_areas(struct region_layout *layout, enum region_part part, uint32_t n, uint64_t area_size,
			     uint64_t prealloc)
{
	uint64_t end = 0;

	assert(prealloc <= area_size);
	for (int p = 0; p < (int)part; p++)
		if (layout->offset[p] + layout->size[p] > end)
			end = layout->offset[p] + layout->size[p];
	if (area_size > REGION_MAX / n)
		return false;
	if (n > 1)
		area_size = round_up(area_size, REGION_PAGE);
	end = round_up(end, area_size * n >= HUGE_PAGE ? HUGE_PAGE : REGION_PAGE);
	if (area_size > REGION_MAX / n || end > REGION_MAX - area_size * n)
		return false;
	layout->offset[part] = end;
	layout->size[part] = area_size * n;
	layout->areas[part] = n;
	layout->prealloc[part] = prealloc;
	return true;
}

bool region_layout_add(struct region_layout *layout, enum region_part part, uint64_t size, uint64_t prealloc)
{
	return region_layout_add_areas(layout, part, 1, size, prealloc);
}

bool region_layout_end(struct region_layout *layout)
{
	uint64_t end = 0;

	for (int p = 0; p < PART_N; p++)
		if (layout->offset[p] + layout->size[p] > end)
			end = layout->offset[p] + layout->size[p];
	layout->total = round_up(end, REGION_PAGE) + REGION_PAGE;
	return layout->total <= REGION_MAX;
}

bool region_layout_equal(const struct region_layout *a, const struct region_layout *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* What an errno of the calls that acquire memory means to a caller. */
static int memory_error(int err)
{
	return err == EFBIG ? -EFBIG : -ENOMEM;
}

/* Touches pages one by one; others may be using them, so by an atomic operation that changes nothing. */
static void touch_pages(unsigned char *from, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += REGION_PAGE)
		__atomic_fetch_or(from + at, 0, __ATOMIC_RELAXED); /* relaxed: only the page counts */
}

/* Notes which file the descriptor names. */
static int note_file(struct region *region)
{
	struct stat st;

	if (fstat(region->fd, &st) != 0)
		return -errno;
	region->device = st.st_dev;
	region->inode = st.st_ino;
	return 0;
}

/* Whether the descriptor is still the region's. */
static bool names_file(const struct region *region, struct stat *st)
{
	return fstat(region->fd, st) == 0 && st->st_dev == region->device && st->st_ino == region->inode;
}

bool region_fd_is_ours(const struct region *region)
{
	struct stat st;

	return names_file(region, &st);
}

static int obtain_file(const struct region *region, uint64_t offset, uint64_t size)
{
	struct stat st;

	if (!names_file(region, &st))
		return -ENOMEM;
	while (size) {
		uint64_t step = size < FALLOCATE_STEP ? size : FALLOCATE_STEP;

		if (mem_refused("fallocate"))
			return -ENOMEM;
		if (fallocate(region->fd, 0, (off_t)offset, (off_t)step) == 0) {
			offset += step;
			size -= step;
		} else if (errno != EINTR) {
			return errno == EOPNOTSUPP ? -EOPNOTSUPP : memory_error(errno);
		}
	}
	return 0;
}

/* Obtains whole pages of the mapping, of a file's first in the file. */
static int obtain(const struct region *region, uint64_t offset, uint64_t size)
{
	unsigned char *from = region->base + offset;

	/* The kernel promises memory it may not have and then kills some program for it: ask before. */
	if (!memory_available(size))
		return -ENOMEM;
	if (region->fd >= 0) {
		int error = obtain_file(region, offset, size);

		if (error)
			return error;
	}
	if (mem_refused("populate"))
		return -ENOMEM;
	while (madvise(from, size, MADV_POPULATE_WRITE) != 0) {
		if (errno == EINVAL) { /* before Linux 5.14 */
			touch_pages(from, size);
			return 0;
		}
		if (errno != EINTR && errno != EAGAIN)
			return -ENOMEM;
	}
	return 0;
}

/* Marks the granules that lie in [offset, offset + size) whole. */
static void mark_obtained(struct region *region, uint64_t offset, uint64_t size)
{
	uint64_t end = (offset + size) >> GRANULE_SHIFT;

	for (uint64_t granule = round_up(offset, GRANULE) >> GRANULE_SHIFT; granule < end; granule++)
		/* relaxed: the bit says what the kernel knows; no memory of ours is published by it */
		atomic_fetch_or_explicit(&region->obtained[granule / 64], 1ull << (granule % 64), memory_order_relaxed);
}

static size_t obtained_size(const struct region *region)
{
	return (size_t)(round_up(round_up(region->size, GRANULE) >> GRANULE_SHIFT, 64) / 8);
}

int region_touch(struct region *region, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size;

	assert(end <= region->size && region->obtained);
	for (offset &= ~(GRANULE - 1); offset < end; offset += GRANULE) {
		uint64_t granule = offset >> GRANULE_SHIFT;
		uint64_t left = region->size - offset;

		/* relaxed: as in mark_obtained */
		if (atomic_load_explicit(&region->obtained[granule / 64], memory_order_relaxed) >> (granule % 64) & 1)
			continue;

		int error = obtain(region, offset, left < GRANULE ? left : GRANULE);

		if (error)
			return -ENOMEM;
		mark_obtained(region, offset, GRANULE);
	}
	return 0;
}

/* Maps anonymous memory at a multiple of a huge page, by taking more and giving the ends back. */
static void *map_anonymous(uint64_t size)
{
	uint64_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
	unsigned char *start, *base;

	start = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED || !slack)
		return start;
	base = start + (round_up((uintptr_t)start, HUGE_PAGE) - (uintptr_t)start);
	if (base > start)
		munmap(start, (size_t)(base - start));
	munmap(base + size, slack - (size_t)(base - start));
	return base;
}

/* Maps region->size bytes, of the file if there is one, and finds the header. */
static int map_region(struct region *region)
{
	void *base;
	int prot = region->read_only ? PROT_READ : PROT_READ | PROT_WRITE;

	if (mem_refused("mmap"))
		return -ENOMEM;
	if (region->fd < 0)
		base = map_anonymous(region->size);
	else
		/* on hugetlbfs, no reserve: fallocate obtains the pages, as many as are needed */
		base = mmap(NULL, region->size, prot, MAP_SHARED | MAP_NORESERVE, region->fd, 0);
	if (base == MAP_FAILED)
		return errno == EACCES || errno == EPERM ? -errno : -ENOMEM;
	region->base = base;
	region->header = (struct region_header *)(region->base + region->size - REGION_PAGE);
	if (region->read_only)
		return 0;
	region->obtained = mem_alloc(obtained_size(region));
	return region->obtained ? 0 : -ENOMEM;
}

/* The page size of the file's filesystem if that is hugetlbfs, else 0. */
static uint64_t hugetlbfs_page(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : 0;
}

/* Where an area of a part begins. */
static uint64_t area_offset(const struct region_layout *layout, int part, uint64_t area)
{
	return layout->offset[part] + area * (layout->size[part] / layout->areas[part]);
}

/* Refused where there are no huge pages, and on hugetlbfs, where there is nothing else: no harm. */
static void advise_area(const struct region *region, uint64_t offset, uint64_t size)
{
	uint64_t end = round_up(offset + size, HUGE_PAGE);

	offset = offset / REGION_PAGE * REGION_PAGE;
	if (end > region->size)
		end = region->size;
	madvise(region->base + offset, end - offset, MADV_HUGEPAGE);
}

void region_advise(struct region *region, const struct region_layout *layout)
{
	bool any = false;

	/* Only where memory is obtained at once; elsewhere they would take 2 MiB for a few bytes. */
	for (int p = 0; p < PART_N; p++) {
		if (layout->prealloc[p] < HUGE_PAGE)
			continue;
		for (uint64_t a = 0; a < layout->areas[p]; a++)
			advise_area(region, area_offset(layout, p, a), layout->prealloc[p]);
		any = true;
	}
	if (region->fd < 0)
		region->huge_pages = any && huge_pages_private();
	else
		region->huge_pages = hugetlbfs_page(region->fd) || (any && huge_pages_shared(region->fd));
}

static int preallocate_area(struct region *region, uint64_t offset, uint64_t size)
{
	int error = obtain(region, offset, round_up(size, REGION_PAGE));

	if (!error)
		mark_obtained(region, offset, size);
	return error;
}

static int preallocate(struct region *region, const struct region_layout *layout)
{
	uint64_t total = REGION_PAGE;

	for (int p = 0; p < PART_N; p++)
		total += layout->prealloc[p] * layout->areas[p];
	if (!memory_available(total))
		return -ENOMEM;
	for (int p = 0; p < PART_N; p++) {
		for (uint64_t a = 0; layout->prealloc[p] && a < layout->areas[p]; a++) {
			int error = preallocate_area(region, area_offset(layout, p, a), layout->prealloc[p]);

			if (error)
				return error;
		}
	}
	return obtain(region, region->size - REGION_PAGE, REGION_PAGE);
}

/* The unnamed file in the directory of path; the name comes when the region is whole. */
static int open_for_path(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (!*path)
		return -ENOENT;
	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	/* Only to fail before the memory is obtained; region_publish() decides. */
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	memcpy(dir, path, length);
	dir[length] = '\0';

	int fd = open(!slash ? "." : length ? dir : "/", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* Whatever the umask was: processes that are handed the descriptor reopen the file. */
	if (fd >= 0 && fchmod(fd, 0600) == 0)
		return fd;

	int error = errno == ENOSPC ? -ENOMEM : -errno;

	if (fd >= 0)
		close(fd);
	return error;
}

int file_reopen(int fd, int mode)
{
	struct stat st;
	char path[32];
	int own;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) /* opening a pipe would wait for its other end */
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	own = open(path, mode | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

int region_reopen(const struct region *region, int mode)
{
	struct region again = *region;
	struct stat st;

	if (!names_file(region, &st))
		return -ENOMEM;
	again.fd = file_reopen(region->fd, mode);
	if (again.fd < 0 || names_file(&again, &st))
		return again.fd;
	close(again.fd); /* ours was closed between the two */
	return -ENOMEM;
}

static int open_file(enum region_kind kind, const char *path, int fd)
{
	struct stat st;
	int own;

	if (kind == REGION_PATH)
		return open_for_path(path);
	if (kind == REGION_MEMFD) {
		own = memfd_create("bpf-map", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		return own < 0 ? -errno : own;
	}
	own = file_reopen(fd, O_RDWR);
	if (own >= 0 && (fstat(own, &st) != 0 || st.st_size != 0)) {
		close(own);
		return -EINVAL;
	}
	return own;
}

/* The size of the file that holds `total` bytes: hugetlbfs has whole huge pages only. */
static uint64_t file_size(int fd, uint64_t total)
{
	uint64_t page = hugetlbfs_page(fd);

	return page ? round_up(total, page) : total;
}

/* Gives the new file its size, for ever if it can be sealed. */
static int size_file(struct region *region, enum region_kind kind)
{
	struct rlimit limit;

	/* ftruncate beyond the limit would also raise SIGXFSZ */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && region->size > limit.rlim_cur)
		return -EFBIG;
	if (ftruncate(region->fd, (off_t)region->size) != 0)
		return memory_error(errno);
	if (kind == REGION_MEMFD && fcntl(region->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	return 0;
}

/* Decides what page comes from which node: before the first touch. */
static void place(const struct region *region, const struct region_layout *layout)
{
	const struct map_attr *attr = &layout->attr;

	if (attr->map_flags & BPF_F_NUMA_NODE)
		numa_prefer(region->base, region->size, attr->numa_node);
	for (int p = 0; p < PART_N; p++)
		if (layout->areas[p] > 1)
			numa_spread(NUMA_NODES, region->base + layout->offset[p], layout->size[p] / layout->areas[p],
				    (unsigned)layout->areas[p]);
}

static int create(struct region *region, const struct region_layout *layout, enum region_kind kind)
{
	int error = kind == REGION_PRIVATE ? 0 : size_file(region, kind);

	if (!error)
		error = map_region(region);
	if (error)
		return error;
	place(region, layout);
	region_advise(region, layout); /* before the first touch, too */
	error = preallocate(region, layout);
	if (error)
		return error;
	region->header->layout_version = REGION_LAYOUT_VERSION;
	region->header->parity = REGION_PARITY;
	region->header->layout = *layout;
	return 0;
}

int region_create(struct region *region, const struct region_layout *layout, enum region_kind kind, const char *path,
		  int fd)
{
	const struct map_attr *attr = &layout->attr;
	int error = 0;

	if (attr->map_flags & BPF_F_NUMA_NODE && !numa_node_ok(attr->numa_node))
		return -EINVAL;
	*region = (struct region){ .size = layout->total, .fd = -1 };
	if (kind != REGION_PRIVATE) {
		region->fd = open_file(kind, path, fd);
		if (region->fd < 0)
			return region->fd;
		region->size = file_size(region->fd, layout->total);
		error = note_file(region);
	}
	if (!error)
		error = create(region, layout, kind);
	if (error) {
		/* The caller's file may live on: it gives its memory back, and is empty as before. */
		if (kind == REGION_FD && ftruncate(region->fd, 0) != 0)
			error = -errno;
		region_close(region);
	}
	return error;
}

int region_publish(struct region *region, const char *path)
{
	char self[32];

	region->header->magic = REGION_MAGIC;
	if (!path)
		return 0;
	snprintf(self, sizeof(self), "/proc/thread-self/fd/%d", region->fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0)
		return errno == ENOSPC ? -ENOMEM : -errno;
	return 0;
}

/* Reads the header once, by a call that no hole in the file can turn into a fault. */
static int read_header(const struct region *region, struct region_layout *found)
{
	struct region_header header;

	if (pread(region->fd, &header, sizeof(header), (off_t)(region->size - REGION_PAGE)) !=
		    (ssize_t)sizeof(header) ||
	    header.magic != REGION_MAGIC || header.layout_version != REGION_LAYOUT_VERSION ||
	    header.parity != REGION_PARITY)
		return -EINVAL;
	*found = header.layout;
	return file_size(region->fd, found->total) == region->size ? 0 : -EINVAL;
}

int region_attach(struct region *region, int fd, bool read_only, struct region_layout *found)
{
	struct stat st;
	int error = -EINVAL;

	*region = (struct region){ .fd = file_reopen(fd, read_only ? O_RDONLY : O_RDWR), .read_only = read_only };
	if (region->fd < 0)
		return region->fd;
	if (!note_file(region) && names_file(region, &st) && st.st_size >= REGION_PAGE &&
	    st.st_size % REGION_PAGE == 0 && (uint64_t)st.st_size <= REGION_MAX) {
		region->size = (size_t)st.st_size;
		error = read_header(region, found);
		if (!error)
			error = map_region(region);
	}
	if (error)
		region_close(region);
	return error;
}

void region_close(struct region *region)
{
	struct stat st;

	mem_free(region->obtained, obtained_size(region));
	if (region->base)
		munmap(region->base, region->size);
	if (region->fd >= 0 && names_file(region, &st))
		close(region->fd);
	*region = (struct region){ .fd = -1 };
}

static uint64_t resident_private(const struct region *region)
{
	unsigned char pages[4096];
	uint64_t step = sizeof(pages) * REGION_PAGE, resident = 0;

	for (uint64_t at = 0; at < region->size; at += step) {
		uint64_t size = region->size - at < step ? region->size - at : step;

		if (mincore(region->base + at, size, pages) != 0)
			return region->size;
		for (uint64_t page = 0; page < size / REGION_PAGE; page++)
			resident += pages[page] & 1;
	}
	return resident * REGION_PAGE;
}

uint64_t region_resident(const struct region *region)
{
	struct stat st;

	if (region->fd < 0)
		return resident_private(region);
	return names_file(region, &st) ? (uint64_t)st.st_blocks * 512 : region->size;
}

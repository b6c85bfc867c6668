// SPDX-License-Identifier: MIT
// TBB's concurrent_hash_map: locks a bucket and an entry for each access. Made with as many buckets as entries.
#include <tbb/concurrent_hash_map.h>

#include <memory>
#include <utility>

#include "peers/hash.h"

namespace {

struct hash_compare {
	static std::size_t hash(const uint64_t &key) { return peer_hash(key); }
	static bool equal(const uint64_t &a, const uint64_t &b) { return a == b; }
};

// std::allocator: jemalloc, as the other peers.
using allocator = std::allocator<std::pair<const uint64_t, uint64_t>>;
using map = tbb::concurrent_hash_map<uint64_t, uint64_t, hash_compare, allocator>;

} // namespace

static inline bool table_lookup(void *table, uint64_t key, uint64_t *value)
{
	map::const_accessor entry;

	if (!static_cast<map *>(table)->find(entry, key))
		return false;
	*value = entry->second;
	return true;
}

static inline bool table_insert(void *table, uint64_t key, const uint64_t *value)
{
	return static_cast<map *>(table)->insert(std::make_pair(key, *value));
}

static inline bool table_update(void *table, uint64_t key, const uint64_t *value)
{
	map::accessor entry;

	static_cast<map *>(table)->insert(entry, key);
	entry->second = *value;
	return true;
}

static inline bool table_delete(void *table, uint64_t key)
{
	return static_cast<map *>(table)->erase(key);
}

#include "peers/loops.h"

static void *create(size_t max_entries)
{
	return new map(max_entries);
}

static void destroy(void *table)
{
	delete static_cast<map *>(table);
}

extern "C" const struct table_ops tbb_table = {
	"tbb", "concurrent_hash_map, presized, jemalloc with huge pages", false, create, destroy, nullptr, nullptr,
	nullptr, { TABLE_LOOPS }, nullptr, nullptr,
};

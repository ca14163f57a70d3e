#include "run/accesses.h"

#include "base/limits.h"

#include <string.h>
#include <sys/mman.h>

enum { BUCKETS = 2 * MAX_ACCESSES };

struct access {
	uint32_t count;
	uint8_t kinds, refused;
	char path[MAX_ACCESS_PATH_BYTES];
};

struct accesses {
	uint32_t used;
	uint64_t lost;
	uint16_t buckets[BUCKETS]; /* one more than an index; 0: free */
	struct access items[MAX_ACCESSES];
};

struct accesses *accesses_new(void)
{
	void *memory = mmap(NULL, sizeof(struct accesses), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void accesses_free(struct accesses *accesses)
{
	if (accesses)
		munmap(accesses, sizeof(*accesses));
}

static uint32_t hash_of(const char *path)
{
	uint32_t hash = 2166136261u;
	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619u;
	return hash;
}

/* The entry of path, made where there is none; NULL: there is no room. */
static struct access *entry_of(struct accesses *accesses, const char *path)
{
	uint32_t bucket = hash_of(path) % BUCKETS;
	for (; accesses->buckets[bucket]; bucket = (bucket + 1) % BUCKETS) {
		struct access *access = &accesses->items[accesses->buckets[bucket] - 1];
		if (strcmp(access->path, path) == 0)
			return access;
	}
	if (accesses->used == MAX_ACCESSES)
		return NULL;
	struct access *access = &accesses->items[accesses->used++];
	accesses->buckets[bucket] = (uint16_t)accesses->used;
	strcpy(access->path, path);
	return access;
}

void accesses_add(struct accesses *accesses, const char *path, unsigned kinds, bool refused)
{
	/* A path that was cut would be another one. */
	struct access *access =
		strlen(path) < MAX_ACCESS_PATH_BYTES ? entry_of(accesses, path) : NULL;
	if (!access) {
		accesses->lost++;
		return;
	}
	if (!refused || access->count == 0)
		access->kinds |= (uint8_t)kinds;
	access->refused |= refused;
	access->count += access->count != UINT32_MAX;
}

json_t *accesses_json(const struct accesses *accesses, uint64_t *ret_lost)
{
	static const struct {
		unsigned kind;
		const char *name;
	} names[] = {{ACCESS_READS, "read"}, {ACCESS_WRITES, "write"}, {ACCESS_EXECUTES, "execute"},
		{ACCESS_MAKES, "make"}};
	json_t *array = json_array();
	uint32_t used = accesses->used < MAX_ACCESSES ? accesses->used : MAX_ACCESSES;
	*ret_lost = accesses->lost;
	for (uint32_t i = 0; i < used; i++) {
		const struct access *access = &accesses->items[i];
		char path[MAX_ACCESS_PATH_BYTES];
		memcpy(path, access->path, sizeof(path));
		path[sizeof(path) - 1] = '\0';
		json_t *name = json_string(path);
		if (!name) { /* no UTF-8: nothing that a policy's text could name */
			++*ret_lost;
			continue;
		}
		json_t *item = json_object();
		json_object_set_new(item, "path", name);
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			json_object_set_new(
				item, names[k].name, json_boolean(access->kinds & names[k].kind));
		json_object_set_new(item, "refused", json_boolean(access->refused));
		json_object_set_new(item, "count", json_integer(access->count));
		json_array_append_new(array, item);
	}
	return array;
}

/* A VFS that writes down what SQLite asks of the disk, and does it.
**
** It wraps the default VFS (unix) of the SQLite that loads it and becomes the default itself, so that whatever is
** opened afterwards goes through it. Each request that changes a named file is appended to the log that the environment
** variable RIGHTFIT_DISK_LOG names, in one write(2), so that the test may append its own marks to the same file and the
** order of the log is the order of events. Locks, reads and shared memory are passed on and not written down: the -shm
** file is made anew after a crash (https://sqlite.org/walformat.html, section 2).
**
** A record is a header of 20 bytes in this machine's byte order, then its payload:
**
**     char kind; char zero[3]; uint32 file; int64 offset; uint32 payload_bytes
**
**     'o'  open          file, payload: the path        (the file is there from now on)
**     'w'  write         file, offset, payload: the bytes
**     't'  truncate      file, offset: the new size
**     's'  sync          file
**     'd'  delete        payload: the path
**     'D'  sync of the directory that holds the path that is the payload
**
** SQLite syncs a directory out of sight of a VFS, inside the unix VFS, which asks "openDirectory" for it and for nothing
** else (https://sqlite.org/src/file/src/os_unix.c, unixSync and unixDelete): that system call is replaced to hear of it.
**
** How a shim is written: https://sqlite.org/src/file/ext/misc/appendvfs.c.
*/
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define RECORDED_TYPES (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL)

typedef struct {
  char kind;
  char zero[3];
  uint32_t file;
  int64_t offset;
  uint32_t payload_bytes;
} __attribute__((packed)) Header;

typedef struct {
  sqlite3_file interface;
  uint32_t number; /* 0: not written down (temporary files) */
} RecordedFile;

typedef int (*OpenDirectory)(const char *path, int *descriptor);

static sqlite3_vfs recording;
static sqlite3_vfs *unix_vfs;
static OpenDirectory unix_open_directory;
static int log_descriptor = -1;
static uint32_t files_opened;

static void record(char kind, uint32_t file, int64_t offset, const void *payload, size_t payload_bytes) {
  Header header = {kind, {0, 0, 0}, file, offset, (uint32_t)payload_bytes};
  struct iovec parts[2] = {{&header, sizeof header}, {(void *)payload, payload_bytes}};
  if (writev(log_descriptor, parts, 2) != (ssize_t)(sizeof header + payload_bytes)) {
    /* A log with a gap would prove what did not happen. */
    perror("recording_vfs: the log could not be written");
    abort();
  }
}

static void record_path(char kind, uint32_t file, const char *path) {
  record(kind, file, 0, path, strlen(path));
}

static uint32_t number_of(sqlite3_file *file) { return ((RecordedFile *)file)->number; }

/* The file of the wrapped VFS lies behind ours, in the memory that SQLite gave for both. */
static sqlite3_file *real_of(sqlite3_file *file) { return (sqlite3_file *)((RecordedFile *)file + 1); }

#define PASS_ON(method, ...) real_of(file)->pMethods->method(real_of(file), ##__VA_ARGS__)

static int close_file(sqlite3_file *file) { return PASS_ON(xClose); }

static int read_file(sqlite3_file *file, void *into, int bytes, sqlite3_int64 offset) {
  return PASS_ON(xRead, into, bytes, offset);
}

static int write_file(sqlite3_file *file, const void *from, int bytes, sqlite3_int64 offset) {
  if (number_of(file)) record('w', number_of(file), offset, from, (size_t)bytes);
  return PASS_ON(xWrite, from, bytes, offset);
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size) {
  if (number_of(file)) record('t', number_of(file), size, "", 0);
  return PASS_ON(xTruncate, size);
}

static int sync_file(sqlite3_file *file, int flags) {
  if (number_of(file)) record('s', number_of(file), 0, "", 0);
  return PASS_ON(xSync, flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) { return PASS_ON(xFileSize, size); }

static int lock_file(sqlite3_file *file, int level) { return PASS_ON(xLock, level); }

static int unlock_file(sqlite3_file *file, int level) { return PASS_ON(xUnlock, level); }

static int check_reserved_lock(sqlite3_file *file, int *found) { return PASS_ON(xCheckReservedLock, found); }

static int file_control(sqlite3_file *file, int operation, void *argument) {
  return PASS_ON(xFileControl, operation, argument);
}

static int sector_size(sqlite3_file *file) { return PASS_ON(xSectorSize); }

static int device_characteristics(sqlite3_file *file) { return PASS_ON(xDeviceCharacteristics); }

static int shm_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **into) {
  return PASS_ON(xShmMap, region, bytes, extend, into);
}

static int shm_lock(sqlite3_file *file, int offset, int count, int flags) {
  return PASS_ON(xShmLock, offset, count, flags);
}

static void shm_barrier(sqlite3_file *file) { PASS_ON(xShmBarrier); }

static int shm_unmap(sqlite3_file *file, int remove) { return PASS_ON(xShmUnmap, remove); }

/* Version 2: without xFetch a database is never mapped into memory, where writes would go unseen. */
static const sqlite3_io_methods methods = {
  2, close_file, read_file, write_file, truncate_file, sync_file, file_size, lock_file, unlock_file,
  check_reserved_lock, file_control, sector_size, device_characteristics, shm_map, shm_lock, shm_barrier, shm_unmap,
  0, 0,
};

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *flags_out) {
  (void)vfs;
  RecordedFile *recorded = (RecordedFile *)file;
  memset(recorded, 0, sizeof *recorded);
  int outcome = unix_vfs->xOpen(unix_vfs, path, real_of(file), flags, flags_out);
  /* SQLite calls xClose wherever there are methods, after a failure too. */
  file->pMethods = real_of(file)->pMethods ? &methods : 0;
  if (outcome == SQLITE_OK && path && (flags & RECORDED_TYPES)) {
    recorded->number = ++files_opened;
    record_path('o', recorded->number, path);
  }
  return outcome;
}

static int delete_file(sqlite3_vfs *vfs, const char *path, int sync_directory) {
  (void)vfs;
  record_path('d', 0, path);
  return unix_vfs->xDelete(unix_vfs, path, sync_directory);
}

static int open_directory(const char *path, int *descriptor) {
  record_path('D', 0, path);
  return unix_open_directory(path, descriptor);
}

int sqlite3_recordingvfs_init(sqlite3 *database, char **message, const sqlite3_api_routines *api) {
  (void)database;
  SQLITE_EXTENSION_INIT2(api);
  const char *path = getenv("RIGHTFIT_DISK_LOG");
  log_descriptor = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (log_descriptor < 0) {
    *message = sqlite3_mprintf("RIGHTFIT_DISK_LOG names no file that can be written");
    return SQLITE_ERROR;
  }
  unix_vfs = sqlite3_vfs_find(0);
  unix_open_directory = (OpenDirectory)unix_vfs->xGetSystemCall(unix_vfs, "openDirectory");
  int outcome = unix_vfs->xSetSystemCall(unix_vfs, "openDirectory", (sqlite3_syscall_ptr)open_directory);
  if (outcome != SQLITE_OK || !unix_open_directory) {
    *message = sqlite3_mprintf("the VFS %s has no system call openDirectory", unix_vfs->zName);
    return SQLITE_ERROR;
  }
  /* Everything but files is the wrapped VFS's own: its methods do not look at the VFS that they are called with. */
  recording = *unix_vfs;
  recording.pNext = 0;
  recording.zName = "recording";
  recording.szOsFile = (int)sizeof(RecordedFile) + unix_vfs->szOsFile;
  recording.xOpen = open_file;
  recording.xDelete = delete_file;
  outcome = sqlite3_vfs_register(&recording, 1);
  return outcome == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : outcome;
}

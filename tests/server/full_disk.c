/* A disk without room, for a program that loads this first (LD_PRELOAD).
**
** While the file that the environment variable RIGHTFIT_FULL_DISK names is there, it holds the path of a folder with a
** slash at its end, and whatever would make a regular file below that folder longer fails with ENOSPC. Writing within a
** file goes on, as it does on a disk that is full. Without that file everything is passed on.
**
** Standing in for a system call: https://man7.org/linux/man-pages/man8/ld.so.8.html (LD_PRELOAD), and
** https://man7.org/linux/man-pages/man3/dlsym.3.html (RTLD_NEXT). The names with 64 at their end are other names of the
** same functions, which some builds of PostgreSQL use.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Read the path into `into`, and return how long it is; 0 while there is room. */
static size_t read_full_folder(char *into) {
  const char *flag = getenv("RIGHTFIT_FULL_DISK");
  int descriptor = flag ? open(flag, O_RDONLY | O_CLOEXEC) : -1;
  if (descriptor < 0) return 0;
  ssize_t length = read(descriptor, into, PATH_MAX);
  close(descriptor);
  return length > 0 ? (size_t)length : 0;
}

/* Whether there is no room to make the file `end` bytes long. */
static int is_full(int descriptor, off_t end) {
  char folder[PATH_MAX], path[PATH_MAX], name[64];
  struct stat found;
  int before = errno, full = 0;
  size_t length = read_full_folder(folder);
  if (length && fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode) && end > found.st_size) {
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t path_length = readlink(name, path, sizeof path);
    full = path_length >= (ssize_t)length && memcmp(path, folder, length) == 0;
  }
  errno = before;
  return full;
}

static off_t bytes_of(const struct iovec *parts, int count) {
  off_t bytes = 0;
  for (int part = 0; part < count; part++) bytes += (off_t)parts[part].iov_len;
  return bytes;
}

#define NO_ROOM(descriptor, end)        \
  if (is_full(descriptor, end)) {       \
    errno = ENOSPC;                     \
    return -1;                          \
  }

#define NEXT(function, ...) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))(__VA_ARGS__)

ssize_t write(int descriptor, const void *from, size_t bytes) {
  NO_ROOM(descriptor, lseek(descriptor, 0, SEEK_CUR) + (off_t)bytes)
  return NEXT(write, descriptor, from, bytes);
}

#define STAND_IN_FOR(pwrite, pwritev, ftruncate, posix_fallocate)                                \
  ssize_t pwrite(int descriptor, const void *from, size_t bytes, off_t offset) {                 \
    NO_ROOM(descriptor, offset + (off_t)bytes)                                                   \
    return NEXT(pwrite, descriptor, from, bytes, offset);                                        \
  }                                                                                              \
  ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {          \
    NO_ROOM(descriptor, offset + bytes_of(parts, count))                                         \
    return NEXT(pwritev, descriptor, parts, count, offset);                                      \
  }                                                                                              \
  int ftruncate(int descriptor, off_t size) {                                                    \
    NO_ROOM(descriptor, size)                                                                    \
    return NEXT(ftruncate, descriptor, size);                                                    \
  }                                                                                              \
  int posix_fallocate(int descriptor, off_t offset, off_t bytes) {                               \
    if (is_full(descriptor, offset + bytes)) return ENOSPC;                                      \
    return NEXT(posix_fallocate, descriptor, offset, bytes);                                     \
  }

STAND_IN_FOR(pwrite, pwritev, ftruncate, posix_fallocate)
STAND_IN_FOR(pwrite64, pwritev64, ftruncate64, posix_fallocate64)

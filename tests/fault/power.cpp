#include "fault/power.hpp"

#include <dlfcn.h>
#include <sqlite3.h>
#include <unistd.h>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>

namespace txm::fault_test {
namespace {

struct Step {
    enum class Kind { write, truncate, remove, sync, promise } kind;
    std::string file;  ///< or the promise
    std::int64_t offset = 0;
    std::string bytes{};
};

std::mutex mutex;
std::vector<Step> steps;
bool is_recording = false;
std::string failing;  // the file whose next flush fails

void record(Step step) {
    const std::lock_guard lock{mutex};
    if (is_recording)
        steps.push_back(std::move(step));
}

sqlite3_vfs* real = nullptr;

struct File {
    sqlite3_file base;
    std::string* path;
    sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* as_file(sqlite3_file* file) {
    return reinterpret_cast<File*>(file);
}
sqlite3_file* inner(sqlite3_file* file) {
    return as_file(file)->inner();
}

int close_file(sqlite3_file* file) {
    const int code = inner(file)->pMethods ? inner(file)->pMethods->xClose(inner(file)) : SQLITE_OK;
    delete as_file(file)->path;
    return code;
}
int read_file(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
    return inner(file)->pMethods->xRead(inner(file), to, size, at);
}
int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
    const int code = inner(file)->pMethods->xWrite(inner(file), from, size, at);
    if (code == SQLITE_OK)
        record({Step::Kind::write,
                *as_file(file)->path,
                at,
                {static_cast<const char*>(from), static_cast<std::size_t>(size)}});
    return code;
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
    const int code = inner(file)->pMethods->xTruncate(inner(file), size);
    if (code == SQLITE_OK)
        record({Step::Kind::truncate, *as_file(file)->path, size, {}});
    return code;
}
bool fails_now(const std::string& path) {
    const std::lock_guard lock{mutex};
    if (failing.empty() || path != failing)
        return false;
    failing.clear();
    return true;
}
int sync_file(sqlite3_file* file, int flags) {
    if (fails_now(*as_file(file)->path))
        return SQLITE_IOERR_FSYNC;
    const int code = inner(file)->pMethods->xSync(inner(file), flags);
    if (code == SQLITE_OK)
        record({Step::Kind::sync, *as_file(file)->path, 0, {}});
    return code;
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
    return inner(file)->pMethods->xFileSize(inner(file), size);
}
int lock_file(sqlite3_file* file, int level) {
    return inner(file)->pMethods->xLock(inner(file), level);
}
int unlock_file(sqlite3_file* file, int level) {
    return inner(file)->pMethods->xUnlock(inner(file), level);
}
int check_lock(sqlite3_file* file, int* result) {
    return inner(file)->pMethods->xCheckReservedLock(inner(file), result);
}
int control_file(sqlite3_file* file, int operation, void* argument) {
    return inner(file)->pMethods->xFileControl(inner(file), operation, argument);
}
int sector_size(sqlite3_file* file) {
    return inner(file)->pMethods->xSectorSize(inner(file));
}
int characteristics(sqlite3_file* file) {
    return inner(file)->pMethods->xDeviceCharacteristics(inner(file));
}
int shm_map(sqlite3_file* file, int page, int size, int extend, volatile void** out) {
    return inner(file)->pMethods->xShmMap(inner(file), page, size, extend, out);
}
int shm_lock(sqlite3_file* file, int offset, int n, int flags) {
    return inner(file)->pMethods->xShmLock(inner(file), offset, n, flags);
}
void shm_barrier(sqlite3_file* file) {
    inner(file)->pMethods->xShmBarrier(inner(file));
}
int shm_unmap(sqlite3_file* file, int remove) {
    return inner(file)->pMethods->xShmUnmap(inner(file), remove);
}

const sqlite3_io_methods methods = {
    2,         close_file,  read_file,  write_file,   truncate_file, sync_file,       file_size,
    lock_file, unlock_file, check_lock, control_file, sector_size,   characteristics, shm_map,
    shm_lock,  shm_barrier, shm_unmap,  nullptr,      nullptr};

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    auto* mine = as_file(file);
    mine->base.pMethods = nullptr;
    mine->path = new std::string(name ? name : "");
    const int code = real->xOpen(real, name, mine->inner(), flags, out_flags);
    if (code == SQLITE_OK)
        mine->base.pMethods = &methods;
    else
        delete mine->path;
    return code;
}
int delete_file(sqlite3_vfs*, const char* name, int sync) {
    record({Step::Kind::remove, name, 0, {}});
    return real->xDelete(real, name, sync);
}

sqlite3_vfs vfs;

}  // namespace

RecordedDisk::RecordedDisk() {
    real = sqlite3_vfs_find("unix");
    vfs = *real;
    vfs.zName = "recorded";
    vfs.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
    vfs.xOpen = open_file;
    vfs.xDelete = delete_file;
    vfs.pNext = nullptr;
    sqlite3_vfs_register(&vfs, 1);
    const std::lock_guard lock{mutex};
    steps.clear();
    is_recording = true;
}

RecordedDisk::~RecordedDisk() {
    sqlite3_vfs_register(real, 1);
    const std::lock_guard lock{mutex};
    is_recording = false;
}

void RecordedDisk::note(const std::string& promise) {
    record({Step::Kind::promise, promise, 0, {}});
}

void RecordedDisk::fail_next_flush(const std::string& file) {
    const std::lock_guard lock{mutex};
    failing = file;
}

std::size_t RecordedDisk::length() const {
    const std::lock_guard lock{mutex};
    return steps.size();
}

std::vector<std::string> RecordedDisk::promises_before(std::size_t at) const {
    const std::lock_guard lock{mutex};
    std::vector<std::string> found;
    for (std::size_t i = 0; i < at; ++i)
        if (steps[i].kind == Step::Kind::promise)
            found.push_back(steps[i].file);
    return found;
}

void RecordedDisk::replay(std::size_t at, const std::string& directory, const std::string& target,
                          const std::function<bool()>& survives) const {
    const std::lock_guard lock{mutex};
    std::map<std::string, std::size_t> last_sync;
    for (std::size_t i = 0; i < at; ++i)
        if (steps[i].kind == Step::Kind::sync)
            last_sync[steps[i].file] = i;

    std::map<std::string, std::string> files;
    for (std::size_t i = 0; i < at; ++i) {
        const Step& step = steps[i];
        if (step.kind == Step::Kind::promise || !step.file.starts_with(directory))
            continue;
        const auto synced = last_sync.find(step.file);
        const bool reached = (synced != last_sync.end() && i < synced->second) || survives();
        if (step.kind == Step::Kind::remove) {
            files.erase(step.file);
        } else if (reached && step.kind == Step::Kind::truncate) {
            files[step.file].resize(static_cast<std::size_t>(step.offset));
        } else if (reached && step.kind == Step::Kind::write) {
            auto& content = files[step.file];
            const auto end = static_cast<std::size_t>(step.offset) + step.bytes.size();
            if (content.size() < end)
                content.resize(end);
            std::memcpy(content.data() + step.offset, step.bytes.data(), step.bytes.size());
        }
    }
    std::filesystem::remove_all(target);
    std::filesystem::create_directories(target);
    for (const auto& [name, content] : files)
        std::ofstream{target + name.substr(directory.size()), std::ios::binary} << content;
}

}  // namespace txm::fault_test

// Flushes that do not go through SQLite: named by the file behind the descriptor.
namespace {

int flush(int fd, const char* function) {
    char link[64], path[4096];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const auto length = ::readlink(link, path, sizeof path);
    const auto real = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, function));
    const int result = real(fd);
    if (result == 0 && length > 0)
        txm::fault_test::record({txm::fault_test::Step::Kind::sync, {path, static_cast<std::size_t>(length)}, 0, {}});
    return result;
}

}  // namespace

extern "C" int fdatasync(int fd) {
    return flush(fd, "fdatasync");
}
extern "C" int fsync(int fd) {
    return flush(fd, "fsync");
}

// Enough of CUDA to run the kernels on a CPU: threads of a block are threads of the system, blocks run side by side.
//
// A barrier is a barrier, so a missing one is a data race that ThreadSanitizer sees; __syncthreads() tells which line it
// stands on, so that a test can take a single one away. Atomics order what the kernels ask for and no more. (A shuffle
// does order the lanes of its warp, which on a GPU it does not: between those, races stay unseen.)
#pragma once

#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#define WARP 4
#define MAX_THREADS 16
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace shim {

class Barrier {
    std::mutex mutex;
    std::condition_variable opened;
    int count, waiting = 0;
    unsigned generation = 0;

public:
    explicit Barrier(int count) : count(count) {}

    void wait()
    {
        std::unique_lock<std::mutex> lock(mutex);
        const unsigned mine = generation;
        if (++waiting == count) {
            waiting = 0;
            ++generation;
            opened.notify_all();
        } else
            opened.wait(lock, [&] { return generation != mine; });
    }
};

struct Warp {
    Barrier barrier{WARP};
    uint64_t lanes[WARP];
};

constexpr size_t guard = 64;  // bytes around shared memory that must stay as they are

struct Block {
    Barrier barrier;
    std::vector<std::unique_ptr<Warp>> warps;
    std::vector<unsigned char> memory;
    unsigned char *shared;

    Block(int threads, size_t shared_bytes)
        : barrier(threads), memory(shared_bytes + 3 * guard, 0xFF)  // NaN, where it is read before it is written
    {
        for (int i = 0; i < threads; i += WARP)
            warps.push_back(std::make_unique<Warp>());
        const auto address = reinterpret_cast<uintptr_t>(memory.data());
        shared = memory.data() + (guard - address % guard) + guard;
    }

    bool intact(size_t shared_bytes) const
    {
        for (size_t i = 0; i < guard; ++i)
            if (shared[-1 - static_cast<long>(i)] != 0xFF || (i < 16 && shared[shared_bytes + i] != 0xFF))
                return false;
        return true;
    }
};

struct Index {
    int x;
};

inline thread_local Index thread, block, threads, blocks;
inline thread_local Block *own;
inline int without_barrier = 0;     // the line whose barrier is taken away
inline bool without_order = false;  // whether releasing and acquiring order nothing

inline void barrier(int line)
{
    if (line != without_barrier)
        own->barrier.wait();
}

// Runs all blocks of a launch, so many at a time. Returns whether they stayed within their shared memory.
template <typename... Parameters, typename... Arguments>
bool launch(void (*kernel)(Parameters...), int grid, int size, size_t shared_bytes, int at_a_time, Arguments... arguments)
{
    bool intact = true;
    for (int first = 0; first < grid; first += at_a_time) {
        const int last = first + at_a_time < grid ? first + at_a_time : grid;
        std::vector<std::unique_ptr<Block>> running;
        std::vector<std::thread> pool;
        for (int b = first; b < last; ++b) {
            running.push_back(std::make_unique<Block>(size, shared_bytes));
            for (int t = 0; t < size; ++t)
                pool.emplace_back([=, block_memory = running.back().get()] {
                    thread.x = t, block.x = b, threads.x = size, blocks.x = grid, own = block_memory;
                    kernel(static_cast<Parameters>(arguments)...);
                });
        }
        for (auto &each : pool)
            each.join();
        for (auto &each : running)
            intact = intact && each->intact(shared_bytes);
    }
    return intact;
}

// The same, with pointers to the arguments, as the driver of CUDA takes them.
template <typename... Parameters, size_t... position>
bool launch_with(void (*kernel)(Parameters...), int grid, int size, size_t shared_bytes, int at_a_time, void **arguments,
                 std::index_sequence<position...>)
{
    return launch(kernel, grid, size, shared_bytes, at_a_time,
                  *static_cast<std::remove_reference_t<Parameters> *>(arguments[position])...);
}

template <typename... Parameters>
bool launch_with(void (*kernel)(Parameters...), int grid, int size, size_t shared_bytes, int at_a_time, void **arguments)
{
    return launch_with(kernel, grid, size, shared_bytes, at_a_time, arguments, std::index_sequence_for<Parameters...>());
}

}  // namespace shim

#define threadIdx (shim::thread)
#define blockIdx (shim::block)
#define blockDim (shim::threads)
#define gridDim (shim::blocks)
#define __syncthreads() shim::barrier(__LINE__)
#define SHARED_MEMORY(name) unsigned char *name = shim::own->shared

template <typename T>
T __shfl_xor_sync(unsigned, T value, int across)
{
    shim::Warp &warp = *shim::own->warps[threadIdx.x / WARP];
    std::memcpy(&warp.lanes[threadIdx.x % WARP], &value, sizeof value);
    warp.barrier.wait();
    std::memcpy(&value, &warp.lanes[(threadIdx.x % WARP) ^ across], sizeof value);
    warp.barrier.wait();
    return value;
}

template <typename T>
T __ldcg(const T *address)
{
    return *address;
}

inline int atomicAdd(int *address, int value) { return __atomic_fetch_add(address, value, __ATOMIC_RELAXED); }

inline void __nanosleep(unsigned) { std::this_thread::yield(); }

inline int load_acquire(const int *address)
{
    return shim::without_order ? __atomic_load_n(address, __ATOMIC_RELAXED) : __atomic_load_n(address, __ATOMIC_ACQUIRE);
}

inline void store_release(int *address, int value)
{
    if (shim::without_order)
        __atomic_store_n(address, value, __ATOMIC_RELAXED);
    else
        __atomic_store_n(address, value, __ATOMIC_RELEASE);
}

// Enough of CUDA to run the kernels on a CPU: a thread of the device is a fiber, a flow of control of its own that gives
// way where it waits. Blocks that are resident together run side by side.
//
// A barrier is a barrier, so a missing one is a data race that ThreadSanitizer sees: it is told of every fiber, and of
// nothing that orders their accesses but barriers, flags that release and acquire, and stores into the shared memory of
// another block that somebody watches. (Lanes that exchange values by shuffles are not ordered by it, as on a GPU.)
// __syncthreads() and cluster_sync() tell which line they stand on, so that a test can take a single one away.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#ifndef WARP
#define WARP 4
#endif
#define MAX_THREADS 16
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define BLOCKS_OF_A_CLUSTER(...)

#ifdef __SANITIZE_THREAD__
extern "C" {
void *__tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void *);
void __tsan_switch_to_fiber(void *, unsigned);
void *__tsan_get_current_fiber();
void __tsan_acquire(void *);
void __tsan_release(void *);
}
#else
inline void *__tsan_create_fiber(unsigned) { return nullptr; }
inline void __tsan_destroy_fiber(void *) {}
inline void __tsan_switch_to_fiber(void *, unsigned) {}
inline void *__tsan_get_current_fiber() { return nullptr; }
inline void __tsan_acquire(void *) {}
inline void __tsan_release(void *) {}
#endif

struct float4 {
    float x, y, z, w;
};

namespace shim {

// The emulation's own variables are read and written so that ThreadSanitizer neither complains nor sees an order.
template <typename T>
T get(const T &variable)
{
    return __atomic_load_n(&variable, __ATOMIC_RELAXED);
}

template <typename T>
void set(T &variable, T value)
{
    __atomic_store_n(&variable, value, __ATOMIC_RELAXED);
}

struct Meeting {  // of fibers that wait for one another
    int arrived = 0;
    unsigned generation = 0;
    char order[2];  // what ThreadSanitizer is told by, in turns
};

struct Warp {
    Meeting meeting;
    uint64_t lanes[2][WARP];  // in turns
    uint32_t operands[2][WARP][6];  // of products, in turns
};

constexpr size_t guard = 128;  // bytes around shared memory that must stay as they are

struct Block {
    Meeting barrier, some;
    std::vector<Warp> warps;
    std::vector<unsigned char> memory;
    unsigned char *shared;
    size_t shared_bytes;
    bool outside = false;  // whether an address beyond shared memory was used
    Block **cluster;       // all blocks of it
    Meeting *meeting;      // theirs
    int rank, blocks, number;

    Block(int threads, size_t bytes)
        : warps((threads + WARP - 1) / WARP), memory(bytes + 3 * guard, 0xFF), shared_bytes(bytes)
    {  // NaN, where it is read before it is written
        const auto address = reinterpret_cast<uintptr_t>(memory.data());
        shared = memory.data() + (guard - address % guard) + guard;
    }

    bool intact() const
    {
        for (size_t i = 0; i < guard; ++i)
            if (shared[-1 - static_cast<long>(i)] != 0xFF || (i < 16 && shared[shared_bytes + i] != 0xFF))
                return false;
        return !outside;
    }
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    void *watched;  // by ThreadSanitizer
    Block *block;
    int thread;
    Meeting *waits = nullptr;
    unsigned generation = 0;
    bool done = false;
};

struct Index {
    int x;
};

inline Fiber *current;
inline ucontext_t scheduler;
inline void *watched_scheduler;
inline std::function<void()> body;
inline int threads_of_a_block, blocks_of_a_grid;
inline int without_barrier = 0;     // the line whose barrier is taken away
inline bool without_order = false;  // whether releasing and acquiring order nothing
inline bool progress;               // whether any thread came to something else than waiting for a flag

inline Fiber &self() { return *get(current); }
inline Block &own() { return *self().block; }

inline void give_way(bool last = false)
{
    Fiber &mine = self();
    __tsan_switch_to_fiber(watched_scheduler, last ? 0 : 1);  // only its end is seen by who comes later
    swapcontext(&mine.context, &scheduler);
}

inline void run_body()
{
    give_way();  // all fibers begin before any of them does something
    body();
    set(progress, true);
    set(self().done, true);
    give_way(true);
}

template <bool orders = true>
void meet(Meeting &meeting, int count)
{
    const unsigned mine = get(meeting.generation);
    set(progress, true);
    if (orders)
        __tsan_release(meeting.order + mine % 2);
    set(meeting.arrived, get(meeting.arrived) + 1);
    if (get(meeting.arrived) == count) {
        set(meeting.arrived, 0);
        set(meeting.generation, mine + 1);
    } else {
        set(self().generation, mine);
        set(self().waits, &meeting);
        give_way();
        set(self().waits, static_cast<Meeting *>(nullptr));
    }
    if (orders)
        __tsan_acquire(meeting.order + mine % 2);
}

inline void barrier(int line)
{
    if (line != without_barrier)
        meet(own().barrier, threads_of_a_block);
}

inline void barrier_of_some(int threads, int line)
{
    if (line != without_barrier)
        meet(own().some, threads);
}

inline void warp_barrier(int line)
{
    if (line != without_barrier)
        meet(own().warps[self().thread / WARP].meeting, WARP);
}

inline void cluster_barrier(int line)
{
    if (line != without_barrier)
        meet(*own().meeting, threads_of_a_block * own().blocks);
}

enum Outcome { fine, beyond_shared_memory, deadlock };

// Runs blocks that are resident together until all have ended, in an order of their threads that changes all the time.
inline Outcome run_together(std::vector<std::unique_ptr<Block>> &blocks, int threads)
{
    std::vector<Fiber> fibers(blocks.size() * threads);
    watched_scheduler = __tsan_get_current_fiber();
    const size_t stack_bytes = 1 << 17;
    auto enter = [](Fiber &fiber, unsigned flag) {
        set(current, &fiber);
        __tsan_switch_to_fiber(fiber.watched, flag);
        swapcontext(&scheduler, &fiber.context);
    };
    for (size_t n = 0; n < fibers.size(); ++n) {
        Fiber &fiber = fibers[n];
        fiber.thread = n % threads, fiber.block = blocks[n / threads].get();
        fiber.stack.reset(new char[stack_bytes]);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get(), fiber.context.uc_stack.ss_size = stack_bytes;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, run_body, 0);
        fiber.watched = __tsan_create_fiber(0);
    }
    for (Fiber &fiber : fibers)
        enter(fiber, 0);  // they see what was written before the launch
    size_t left = fibers.size();
    unsigned random = 12345;
    for (int idle = 0; left; ++idle) {
        random = random * 1664525u + 1013904223u;
        const size_t start = (random >> 8) % fibers.size();
        const bool backwards = random >> 31;
        set(progress, false);
        for (size_t k = 0; k < fibers.size(); ++k) {
            Fiber &fiber = fibers[(start + (backwards ? fibers.size() - k : k)) % fibers.size()];
            if (get(fiber.done) || (get(fiber.waits) && get(get(fiber.waits)->generation) == get(fiber.generation)))
                continue;
            enter(fiber, 1);
            left -= get(fiber.done);
        }
        if (get(progress))
            idle = 0;
        else if (idle > 1000)
            return deadlock;
    }
    for (Fiber &fiber : fibers)
        __tsan_destroy_fiber(fiber.watched);
    for (auto &block : blocks)
        if (!block->intact())
            return beyond_shared_memory;
    return fine;
}

// Runs all blocks of a launch, so many at a time, in clusters of so many.
template <typename... Parameters, typename... Arguments>
Outcome launch(void (*kernel)(Parameters...), int grid, int size, size_t shared_bytes, int at_a_time, int cluster,
               Arguments... arguments)
{
    Outcome outcome = fine;
    threads_of_a_block = size, blocks_of_a_grid = grid;
    body = [=] { kernel(static_cast<Parameters>(arguments)...); };
    at_a_time = (at_a_time + cluster - 1) / cluster * cluster;
    for (int first = 0; first < grid && outcome == fine; first += at_a_time) {
        std::vector<std::unique_ptr<Block>> running;
        std::vector<Block *> all;
        std::vector<Meeting> meetings(at_a_time / cluster);
        for (int b = first; b < grid && b < first + at_a_time; ++b) {
            running.push_back(std::make_unique<Block>(size, shared_bytes));
            all.push_back(running.back().get());
        }
        for (size_t k = 0; k < running.size(); ++k) {
            Block &block = *running[k];
            block.number = first + k, block.rank = k % cluster, block.blocks = cluster;
            block.cluster = all.data() + k / cluster * cluster, block.meeting = &meetings[k / cluster];
        }
        outcome = run_together(running, size);
    }
    return outcome;
}

// The same, with pointers to the arguments, as the driver of CUDA takes them.
template <typename... Parameters, size_t... position>
Outcome launch_with(void (*kernel)(Parameters...), int grid, int size, size_t shared_bytes, int at_a_time, int cluster,
                    void **arguments, std::index_sequence<position...>)
{
    return launch(kernel, grid, size, shared_bytes, at_a_time, cluster,
                  *static_cast<std::remove_reference_t<Parameters> *>(arguments[position])...);
}

template <typename... Parameters>
Outcome launch_with(void (*kernel)(Parameters...), int grid, int size, size_t shared_bytes, int at_a_time, int cluster,
                    void **arguments)
{
    return launch_with(kernel, grid, size, shared_bytes, at_a_time, cluster, arguments,
                       std::index_sequence_for<Parameters...>());
}

}  // namespace shim

#define threadIdx (shim::Index{shim::self().thread})
#define blockIdx (shim::Index{shim::own().number})
#define blockDim (shim::Index{shim::threads_of_a_block})
#define gridDim (shim::Index{shim::blocks_of_a_grid})
#define __syncthreads() shim::barrier(__LINE__)
#define __syncwarp() shim::warp_barrier(__LINE__)
#define some_threads_sync(threads) shim::barrier_of_some(threads, __LINE__)
#define cluster_sync() shim::cluster_barrier(__LINE__)
#define SHARED_MEMORY(name) unsigned char *name = shim::own().shared

template <typename T>
T __shfl_sync(unsigned, T value, int source)
{
    shim::Warp &warp = shim::own().warps[threadIdx.x / WARP];
    auto &lanes = warp.lanes[shim::get(warp.meeting.generation) % 2];
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    shim::set(lanes[threadIdx.x % WARP], bits);
    shim::meet<false>(warp.meeting, WARP);
    bits = shim::get(lanes[source % WARP]);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int across)
{
    return __shfl_sync(mask, value, threadIdx.x % WARP ^ across);
}

inline unsigned __reduce_max_sync(unsigned mask, unsigned value)
{
    for (int across = 1; across < WARP; across *= 2) {
        const unsigned other = __shfl_xor_sync(mask, value, across);
        value = other > value ? other : value;
    }
    return value;
}

template <typename T>
T __ldcg(const T *address)
{
    return *address;
}

inline int atomicAdd(int *address, int value) { return __atomic_fetch_add(address, value, __ATOMIC_RELAXED); }

inline void __nanosleep(unsigned) { shim::give_way(); }

inline int load_acquire(const int *address)
{
    const int value = shim::get(*address);
    if (!shim::without_order)
        __tsan_acquire(const_cast<int *>(address));
    return value;
}

inline void store_release(int *address, int value)
{
    if (!shim::without_order)
        __tsan_release(address);
    shim::set(*address, value);
}

#define multiply_add(...) shim::product(__VA_ARGS__)

inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float __uint_as_float(unsigned bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned cut_to_tf32(float value) { return __float_as_uint(value) & 0xffffe000u; }

inline unsigned rounded_to_tf32(float value) { return (__float_as_uint(value) + 0x1000u) & 0xffffe000u; }

namespace shim {
// Of a 16 x 8 and an 8 x 8 matrix, spread over the lanes of a warp as m16n8k8 has them.
inline void product(float (&sums)[4], const unsigned (&left)[4], unsigned upper, unsigned lower)
{
    Warp &warp = own().warps[threadIdx.x / WARP];
    const int lane = threadIdx.x % WARP;
    auto &operands = warp.operands[get(warp.meeting.generation) % 2];
    for (int e = 0; e < 4; ++e)
        set(operands[lane][e], left[e]);
    set(operands[lane][4], upper);
    set(operands[lane][5], lower);
    meet<false>(warp.meeting, WARP);
    for (int e = 0; e < 4; ++e) {
        const int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
        for (int k = 0; k < 8; ++k) {
            const unsigned a = get(operands[row % 8 * 4 + k % 4][row / 8 + 2 * (k / 4)]);
            const unsigned b = get(operands[column * 4 + k % 4][4 + k / 4]);
            sums[e] += __uint_as_float(a & 0xffffe000u) * __uint_as_float(b & 0xffffe000u);
        }
    }
}
}  // namespace shim

inline int opaque(int value) { return value; }

// Shared memory by addresses of 32 bits, also that of the other blocks of a cluster: the upper byte is a block's rank.
typedef unsigned Address;
inline int cluster_rank() { return shim::own().rank; }

inline Address shared_address(const void *pointer)
{
    const auto offset = static_cast<const unsigned char *>(pointer) - shim::own().shared;
    return Address(cluster_rank()) << 24 | unsigned(offset);
}

inline Address peer_address(Address address, int rank) { return Address(rank) << 24 | (address & 0xFFFFFFu); }

namespace shim {
inline float *in_shared(Address address, unsigned size)
{
    Block &block = *own().cluster[address >> 24];
    const unsigned offset = address & 0xFFFFFFu;
    if (offset % size || offset + size > block.shared_bytes) {
        set(own().outside, true);
        return reinterpret_cast<float *>(block.shared);
    }
    return reinterpret_cast<float *>(block.shared + offset);
}
}  // namespace shim

// What nobody uses may be written by others at the same time: it is not looked at, and NaN.
inline float load_shared(Address address, bool used)
{
    const float *value = shim::in_shared(address, 4);
    return used ? *value : NAN;
}

inline float4 load_shared4(Address address, bool used)
{
    const float *values = shim::in_shared(address, 16);
    return used ? float4{values[0], values[1], values[2], values[3]} : float4{NAN, NAN, NAN, NAN};
}

inline void store_shared(Address address, float value, bool really)
{
    if (really)
        *shim::in_shared(address, 4) = value;
}

// A store that another block watches for, and the load that it watches by: what is seen has come.
inline void store_peer(Address address, float value, bool really)
{
    if (!really)
        return;
    unsigned *place = reinterpret_cast<unsigned *>(shim::in_shared(address, 4));
    shim::set(*place, __float_as_uint(value));
    if (!shim::without_order)
        __tsan_release(place);
}

inline unsigned watch(Address address)
{
    unsigned *place = reinterpret_cast<unsigned *>(shim::in_shared(address, 4));
    const unsigned bits = shim::get(*place);
    if (!shim::without_order)
        __tsan_acquire(place);
    return bits;
}

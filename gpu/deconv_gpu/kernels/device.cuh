// What the kernels need of the device beyond CUDA's own functions. The proof on a CPU brings its own.

#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

#ifndef BLOCKS_OF_A_CLUSTER
#define BLOCKS_OF_A_CLUSTER(blocks)  // devices before compute capability 9.0 have none
#endif

#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif

// What one block wrote before it releases, the other one sees after it acquires.
__device__ __forceinline__ int load_acquire(const int *address)
{
    int value;
    asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
    return value;
}

__device__ __forceinline__ void store_release(int *address, int value)
{
    asm volatile("st.release.gpu.global.s32 [%0], %1;" : : "l"(address), "r"(value) : "memory");
}

// A value that the compiler keeps in its register rather than work it out again in every step.
__device__ __forceinline__ int opaque(int value)
{
    asm volatile("" : "+r"(value));
    return value;
}

// Shared memory by addresses of 32 bits: a loop advances them by one addition, and stores have a predicate, no branch.
typedef unsigned Address;

__device__ __forceinline__ Address shared_address(const void *pointer) { return __cvta_generic_to_shared(pointer); }

// `used`: whether the value is. It is loaded anyway, which takes no time; the proof on a CPU gives NaN where it is not.
__device__ __forceinline__ float load_shared(Address address, bool used)
{
    float value;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
    return value;
}

__device__ __forceinline__ float4 load_shared4(Address address, bool used)
{
    float4 value;
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
                 : "r"(address)
                 : "memory");
    return value;
}

__device__ __forceinline__ void store_shared(Address address, float value, bool really)
{
    asm volatile("{\n.reg .pred really;\nsetp.ne.s32 really, %2, 0;\n@really st.shared.f32 [%0], %1;\n}"
                 :
                 : "r"(address), "f"(value), "r"(int(really))
                 : "memory");
}

// Tensor cores take the upper 19 bits of a number.
__device__ __forceinline__ unsigned rounded_to_tf32(float value)
{
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits & 0xffffe000u;
}

__device__ __forceinline__ unsigned cut_to_tf32(float value) { return __float_as_uint(value) & 0xffffe000u; }

// Adds the product of a 16 x 8 and an 8 x 8 matrix, spread over the lanes of a warp.
__device__ __forceinline__ void multiply_add(float (&sums)[4], const unsigned (&left)[4], unsigned upper, unsigned lower)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(upper), "r"(lower));
}

// A barrier for the first threads of a block.
__device__ __forceinline__ void some_threads_sync(int threads)
{
    asm volatile("bar.sync 1, %0;" : : "r"(threads) : "memory");
}

// The blocks of a cluster reach one another's shared memory.
__device__ __forceinline__ int cluster_rank()
{
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ __forceinline__ void cluster_sync()
{
    asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" : : : "memory");
}

__device__ __forceinline__ Address peer_address(Address address, int rank)
{
    Address peer;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(peer) : "r"(address), "r"(rank));
    return peer;
}

// A store that another block watches for, and the load that it watches by: what is seen has come.
__device__ __forceinline__ void store_peer(Address address, float value, bool really)
{
    asm volatile("{\n.reg .pred really;\nsetp.ne.s32 really, %2, 0;\n"
                 "@really st.relaxed.cluster.shared::cluster.f32 [%0], %1;\n}"
                 :
                 : "r"(address), "f"(value), "r"(int(really))
                 : "memory");
}

__device__ __forceinline__ unsigned watch(Address address)
{
    unsigned bits;
    asm volatile("ld.relaxed.cluster.shared::cta.u32 %0, [%1];" : "=r"(bits) : "r"(address) : "memory");
    return bits;
}

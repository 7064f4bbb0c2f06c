// What the kernels need of the device beyond CUDA's own functions. The proof on a CPU brings its own.

#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

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

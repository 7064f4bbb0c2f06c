// Values that one block stores into the shared memory of another one are their own flags: EMPTY says what has not come.

constexpr unsigned EMPTY = 0x7fdecade;  // the bits of a NaN that arithmetic on a GPU does not make

// What is handed over: data may hold that very NaN, and another one does as well.
__device__ __forceinline__ float never_empty(float value) { return __float_as_uint(value) == EMPTY ? NAN : value; }

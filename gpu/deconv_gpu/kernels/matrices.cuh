// The matrices of the recurrence x = T^-1 y + sum over taps of M[tap] x[p - tap], for up to 16 channels.
//
// The anchor T is inverted by Gauss and Jordan in one warp, in single precision, a column of [T | I] in each lane; then
// Newton's iteration X + X (I - T X) in double precision makes it exact, once for a well conditioned T. Where T is
// singular to the precision of the kernel, the matrices are NaN.

__device__ __forceinline__ float largest_in_warp(float value)  // of numbers that are not negative; NaN if there is one
{
    return __uint_as_float(__reduce_max_sync(0xffffffffu, __float_as_uint(value)));
}

// Inverts the anchor by the first warp; `passes` becomes the number of Newton's steps.
template <class S>
__device__ void invert_in_a_warp(const Kernel &kernel, double *inverse, int *passes)
{
    constexpr int C = S::channels;
    static_assert(2 * C <= WARP, "a lane for each column of the matrix and of the identity");
    const int lane = threadIdx.x;
    float column[C];
#pragma unroll
    for (int i = 0; i < C; ++i)
        column[i] = lane < C ? kernel(i, lane, 0, 0) : lane - C == i ? 1.f : 0.f;
    auto norm_of = [&](int first) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < C; ++i)
            sum += fabsf(column[i]);
        return largest_in_warp(lane >= first && lane < first + C ? sum : 0.f);
    };
    const float before = norm_of(0);
#pragma unroll
    for (int k = 0; k < C; ++k) {
        int pivot = k;
        float best = fabsf(column[k]);
#pragma unroll
        for (int i = k + 1; i < C; ++i)
            if (fabsf(column[i]) > best) {
                best = fabsf(column[i]);
                pivot = i;
            }
        pivot = __shfl_sync(0xffffffffu, pivot, k);
        const float kept = column[k];
        float chosen = kept;
#pragma unroll
        for (int i = k + 1; i < C; ++i)
            if (i == pivot) {
                chosen = column[i];
                column[i] = kept;
            }
        column[k] = chosen * (1.f / __shfl_sync(0xffffffffu, chosen, k));
#pragma unroll
        for (int i = 0; i < C; ++i)
            if (i != k)
                column[i] -= __shfl_sync(0xffffffffu, column[i], k) * column[k];
    }
    const float condition = before * norm_of(C);
    const bool singular = !(condition * 1.1920929e-7f < 1);  // written so that NaN is singular too
    if (lane >= C && lane < 2 * C)
#pragma unroll
        for (int i = 0; i < C; ++i)
            inverse[i * C + lane - C] = singular ? NAN : column[i];
    if (lane == 0)
        *passes = condition < 256 ? 1 : 4;
}

// All threads of a block. `squares`: three matrices of double precision; `table`: S::table numbers, the inverse first.
// Ends with a barrier.
template <class S>
__device__ void prepare_matrices(const Kernel &kernel, double *squares, int *passes, float *table)
{
    constexpr int C = S::channels;
    double *inverse = squares, *residual = squares + C * C, *better = squares + 2 * C * C;
    if (threadIdx.x < WARP)
        invert_in_a_warp<S>(kernel, inverse, passes);
    __syncthreads();
    const int steps = *passes;
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        for (int e = threadIdx.x; e < C * C; e += blockDim.x) {
            const int row = e / C, column = e % C;
            double sum = row == column;
            for (int k = 0; k < C; ++k)
                sum -= kernel(row, k, 0, 0) * inverse[k * C + column];
            residual[e] = sum;
        }
        __syncthreads();
        for (int e = threadIdx.x; e < C * C; e += blockDim.x) {
            const int row = e / C, column = e % C;
            double sum = inverse[e];
            for (int k = 0; k < C; ++k)
                sum += inverse[row * C + k] * residual[k * C + column];
            better[e] = sum;
        }
        __syncthreads();
        double *const former = inverse;
        inverse = better;
        better = former;
    }
    for (int e = threadIdx.x; e < S::table; e += blockDim.x) {
        const int output = e / C % C, input = e % C, tap = e / (C * C) - 1;
        double sum = 0;
        if (tap < 0)
            sum = inverse[e];
        else
#pragma unroll
            for (int k = 0; k < C; ++k)
                sum -= inverse[output * C + k] * kernel(k, input, S::rows_up(tap), S::columns_back(tap));
        table[e] = sum;
    }
    __syncthreads();
}

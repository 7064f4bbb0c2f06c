// The matrices of the recurrence x = T^-1 y + sum over taps of M[tap] x[p - tap], for up to 64 channels.
//
// A block makes some columns of one matrix. It inverts the anchor T for itself, by Gauss and Jordan in single precision,
// and makes T^-1 W exact by iterative refinement in double precision. Where T is singular to the precision of the kernel,
// the matrices are NaN.

// Grid: S::slices blocks for each matrix of each group of channels.
template <class S>
__global__ void __launch_bounds__(S::prepare_threads) prepare_product(
    const float *__restrict__ weight, long long of_output, long long of_input, long long of_row, long long of_column,
    int kernel_rows, int kernel_columns, int anchor, float *__restrict__ tables)
{
    constexpr int C = S::channels, pitch = C | 1, N = S::columns;
    static_assert(C <= 2 * WARP, "two rows to a lane");
    SHARED_MEMORY(memory);
    double *const solution = reinterpret_cast<double *>(memory), *const residual = solution + C * N;
    float *const first = reinterpret_cast<float *>(residual + C * N), *const second = first + C * pitch;
    float *const matrix = second + C * pitch, *const right = matrix + C * pitch, *const sums = right + C * N;
    int *const rows = reinterpret_cast<int *>(sums + 2 * C);

    const int lane = threadIdx.x % WARP, slice = blockIdx.x % S::slices * N;
    const int tap = blockIdx.x / S::slices % (1 + S::taps) - 1, group = blockIdx.x / S::slices / (1 + S::taps);
    const Kernel kernel = {weight + group * C * of_output, of_output, of_input, of_row, of_column,
                           kernel_rows, kernel_columns, anchor};
    for (int e = threadIdx.x; e < C * C; e += blockDim.x)
        first[e / C * pitch + e % C] = matrix[e / C * pitch + e % C] = kernel(e / C, e % C, 0, 0);
    for (int e = threadIdx.x; e < C * N; e += blockDim.x) {
        const int output = e / N, input = slice + e % N;
        right[e] = input >= C ? 0.f
                   : tap < 0  ? float(output == input)
                              : -kernel(output, input, S::rows_up(tap), S::columns_back(tap));
    }
    for (int k = threadIdx.x; k < C; k += blockDim.x)
        rows[k] = k;
    __syncthreads();
    for (int k = 0; k < C; ++k) {
        const float *const from = k % 2 ? second : first;
        float *const to = k % 2 ? first : second;
        unsigned best = 0;  // the upper bits of a number and its row
        for (int i = lane; i < C; i += WARP)
            if (i >= k) {
                const unsigned key = (__float_as_uint(from[i * pitch + k]) & 0x7fffffc0u) | i;
                best = key > best ? key : best;
            }
        const int pivot = __reduce_max_sync(0xffffffffu, best) & 63;
        const float scale = 1.f / from[pivot * pitch + k];
        if (threadIdx.x == 0) {
            const int kept = rows[k];
            rows[k] = rows[pivot];
            rows[pivot] = kept;
        }
        for (int e = threadIdx.x; e < C * C; e += blockDim.x) {
            const int i = e / C, j = e % C, source = i == k ? pivot : i == pivot ? k : i;
            const float factor = from[source * pitch + k], above = from[pivot * pitch + j] * scale;
            to[i * pitch + j] = i == k   ? (j == k ? scale : above)
                                : j == k ? -factor * scale
                                         : from[source * pitch + j] - factor * above;
        }
        __syncthreads();
    }
    const float *const permuted = C % 2 ? second : first;  // columns of the inverse, where the pivots were found
    float *const inverse = C % 2 ? first : second;
    for (int e = threadIdx.x; e < C * C; e += blockDim.x)
        inverse[e / C * pitch + rows[e % C]] = permuted[e / C * pitch + e % C];
    __syncthreads();

    for (int j = threadIdx.x; j < C; j += blockDim.x) {
        sums[j] = sums[C + j] = 0;
        for (int i = 0; i < C; ++i) {
            sums[j] += fabsf(matrix[i * pitch + j]);
            sums[C + j] += fabsf(inverse[i * pitch + j]);
        }
    }
    for (int e = threadIdx.x; e < C * N; e += blockDim.x) {
        double sum = 0;
        for (int k = 0; k < C; ++k)
            sum += (double)inverse[e / N * pitch + k] * right[k * N + e % N];
        solution[e] = sum;
    }
    __syncthreads();
    float norm = 0, norm_of_inverse = 0;
    for (int j = 0; j < C; ++j) {
        norm = sums[j] <= norm ? norm : sums[j];  // NaN too
        norm_of_inverse = sums[C + j] <= norm_of_inverse ? norm_of_inverse : sums[C + j];
    }
    const float condition = norm * norm_of_inverse;
    const bool singular = !(condition * 1.1920929e-7f < 1);  // written so that NaN is singular too
    const int steps = condition < 256 ? 1 : 4;
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        for (int e = threadIdx.x; e < C * N; e += blockDim.x) {
            double sum = right[e];
            for (int k = 0; k < C; ++k)
                sum -= matrix[e / N * pitch + k] * solution[k * N + e % N];
            residual[e] = sum;
        }
        __syncthreads();
        for (int e = threadIdx.x; e < C * N; e += blockDim.x) {
            double sum = solution[e];
            for (int k = 0; k < C; ++k)
                sum += inverse[e / N * pitch + k] * residual[k * N + e % N];
            solution[e] = sum;
        }
        __syncthreads();
    }
    float *const table = tables + group * S::table + (1 + tap) * C * C;
    for (int e = threadIdx.x; e < C * N; e += blockDim.x)
        if (slice + e % N < C)
            table[e / N * C + slice + e % N] = singular ? NAN : float(solution[e]);
}

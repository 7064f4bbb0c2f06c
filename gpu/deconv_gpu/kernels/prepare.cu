// The matrices of the recurrence from cell to cell, and the counters of the solve set to zero.
//
// With the anchor T and the kernel W, a pixel is x = T^-1 y - sum of (T^-1 W[q]) x[p - q]. The pixels of a cell depend on
// one another too; substituting one into the next leaves, for the whole cell,
//
//     x = M[0] y + sum over taps of M[tap] x[cell - tap].
//
// One block makes one matrix. Every block inverts T for itself, which is quicker than waiting for one that does it for
// all. Everything is computed in double precision, because its errors are those of every pixel, and rounded once. Where
// T is singular to the precision of the kernel, the matrices are NaN.

// Invert a matrix of double precision in place, by Gauss and Jordan with row pivots. All threads of a block.
template <int size>
__device__ void invert(double *matrix, double *factors, int *pivots)
{
    for (int k = 0; k < size; ++k) {
        if (threadIdx.x < WARP) {
            double best = -1;
            int row = k;
            for (int i = k + threadIdx.x; i < size; i += WARP)
                if (fabs(matrix[i * size + k]) > best) {
                    best = fabs(matrix[i * size + k]);
                    row = i;
                }
            for (int lane = WARP / 2; lane > 0; lane /= 2) {
                const double other = __shfl_xor_sync(0xffffffffu, best, lane);
                const int other_row = __shfl_xor_sync(0xffffffffu, row, lane);
                if (other > best || (other == best && other_row < row)) {
                    best = other;
                    row = other_row;
                }
            }
            if (threadIdx.x == 0)
                pivots[k] = row;
        }
        __syncthreads();
        const int pivot = pivots[k];
        const double scale = 1 / matrix[pivot * size + k];
        for (int i = threadIdx.x; i < size; i += blockDim.x)  // the column of factors, after the exchange of rows
            factors[i] = matrix[(i == k ? pivot : i == pivot ? k : i) * size + k];
        __syncthreads();
        for (int j = threadIdx.x; j < size; j += blockDim.x) {
            const double above = matrix[pivot * size + j];
            matrix[pivot * size + j] = matrix[k * size + j];
            matrix[k * size + j] = (j == k ? 1 : above) * scale;
        }
        __syncthreads();
        for (int e = threadIdx.x; e < size * size; e += blockDim.x) {
            const int i = e / size, j = e % size;
            if (i != k)
                matrix[e] = (j == k ? 0 : matrix[e]) - factors[i] * matrix[k * size + j];
        }
        __syncthreads();
    }
    for (int k = size - 1; k >= 0; --k)  // rows exchanged before are columns of the inverse to exchange back
        if (pivots[k] != k)  // a row of the matrix is one thread's
            for (int i = threadIdx.x; i < size; i += blockDim.x) {
                const double kept = matrix[i * size + k];
                matrix[i * size + k] = matrix[i * size + pivots[k]];
                matrix[i * size + pivots[k]] = kept;
            }
    __syncthreads();
}

// The largest absolute sum of a column, to all threads of a block. NaN if there is one.
template <int size>
__device__ double norm(const double *matrix, double *sums)
{
    for (int j = threadIdx.x; j < size; j += blockDim.x) {
        sums[j] = 0;
        for (int i = 0; i < size; ++i)
            sums[j] += fabs(matrix[i * size + j]);
    }
    __syncthreads();
    double largest = 0;
    for (int j = 0; j < size; ++j)
        largest = sums[j] <= largest || largest != largest ? largest : sums[j];
    return largest;
}

// Grid: S::table blocks for each group. Shared memory: see plan.py.
template <class S>
__global__ void __launch_bounds__(256) prepare(
    const typename S::Scalar *__restrict__ weight, long long of_output, long long of_input, long long of_row,
    long long of_column, int kernel_rows, int kernel_columns, int anchor, double epsilon,
    typename S::Scalar *__restrict__ matrices, int *__restrict__ counters, int counter_count)
{
    using Scalar = typename S::Scalar;
    constexpr int C = S::channels, N = S::unknowns, pixels = S::cell_rows * S::cell_columns;
    SHARED_MEMORY(memory);
    double *inverse = reinterpret_cast<double *>(memory);  // C x C
    double *inner = inverse + C * C;                       // taps from pixel to pixel of one cell, C x C each
    double *result = inner + (pixels > 1 ? pixels * C * C : 0);  // N x N
    double *factors = result + N * N;
    double *sums = factors + C;
    int *pivots = reinterpret_cast<int *>(sums + C);

    for (int e = blockIdx.x * blockDim.x + threadIdx.x; e < counter_count; e += gridDim.x * blockDim.x)
        counters[e] = 0;

    const int matrix = blockIdx.x % S::table, group = blockIdx.x / S::table, tap = matrix - 1;
    weight += group * C * of_output;
    auto kernel = [&](int out, int in, int up, int back) -> double {
        const int row = kernel_rows - 1 - up, column = anchor - back;
        const bool inside = up >= 0 && row >= 0 && column >= 0 && column < kernel_columns;
        return inside ? double(weight[out * of_output + in * of_input + row * of_row + column * of_column]) : 0;
    };

    for (int e = threadIdx.x; e < C * C; e += blockDim.x)
        inverse[e] = kernel(e / C, e % C, 0, 0);
    __syncthreads();
    const double before = norm<C>(inverse, sums);
    invert<C>(inverse, factors, pivots);
    const double condition = before * norm<C>(inverse, sums);
    const bool singular = !(condition * epsilon < 1);  // written so that NaN is singular too

    auto divided = [&](int out, int in, int up, int back) -> double {  // an entry of T^-1 W
        double sum = 0;
        for (int k = 0; k < C; ++k)
            sum += inverse[out * C + k] * kernel(k, in, up, back);
        return sum;
    };
    if (pixels > 1)
        for (int e = threadIdx.x; e < pixels * C * C; e += blockDim.x) {
            const int pixel = e / (C * C), out = e / C % C, in = e % C;
            inner[e] = divided(out, in, pixel / S::cell_columns, pixel % S::cell_columns);
        }
    for (int e = threadIdx.x; e < N * N; e += blockDim.x) {
        const int to = e / N / C, out = e / N % C, from = e % N / C, in = e % C;
        const int down = to / S::cell_columns - from / S::cell_columns;
        const int right = to % S::cell_columns - from % S::cell_columns;
        if (matrix == 0)
            result[e] = to == from ? inverse[out * C + in] : 0;
        else if (tap < S::taps)
            result[e] = -divided(out, in, S::rows_up(tap) * S::cell_rows + down,
                                 S::columns_back(tap) * S::cell_columns + right);
        else
            result[e] = 0;
    }
    __syncthreads();

    // Substitution, pixel after pixel. No thread needs what another one has substituted: each has a column.
    if (pixels > 1)
        for (int column = threadIdx.x; column < N; column += blockDim.x)
            for (int row = C; row < N; ++row) {
                const int to = row / C, out = row % C;
                double sum = result[row * N + column];
                for (int from = 0; from < to; ++from) {
                    const int down = to / S::cell_columns - from / S::cell_columns;
                    const int right = to % S::cell_columns - from % S::cell_columns;
                    if (right >= 0)
                        for (int in = 0; in < C; ++in)
                            sum -= inner[((down * S::cell_columns + right) * C + out) * C + in] *
                                   result[(from * C + in) * N + column];
                }
                result[row * N + column] = sum;
            }
    __syncthreads();

    // In the order in which the solve reads: the results of one thread side by side.
    Scalar *packed = matrices + (long long)blockIdx.x * S::matrix;
    for (int e = threadIdx.x; e < S::matrix; e += blockDim.x) {
        const int part = e / (N * S::outputs), in = e / S::outputs % N, out = part * S::outputs + e % S::outputs;
        const bool used = part < S::parts && out < N;
        packed[e] = singular ? Scalar(NAN) : used ? Scalar(result[out * N + in]) : Scalar(0);
    }
}

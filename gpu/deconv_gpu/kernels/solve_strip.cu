// The causal solve by strips of rows that stay in shared memory from the first step to the last: y is loaded, T^-1 y and
// then x take its place. One barrier to a step.
//
// A large image is cut into strips for the blocks of a cluster. A strip stores the rows that the next one needs straight
// into that one's shared memory, where EMPTY says what has not come yet: the values themselves are the flags. One warp of
// each block watches them.

// Where the pixels of a strip lie, and of the rows above it that it sees. Beyond the image there are zeros.
template <class S>
struct Strip {
    Address origin;
    int pitch;  // pixels from row to row

    __device__ int index(int row, int column) const { return (row + S::above) * pitch + column + S::left; }
    __device__ Address at(int row, int column) const { return origin + 4 * S::pixel * index(row, column); }
};

// One lane's share of a pixel's sum, in each step of the pixel one further on in its row.
template <class S>
struct StripSum {
    float taps[S::taps_per_lane][S::pixel][S::outputs];
    Address seen[S::taps_per_lane];
    float sum[S::outputs];

    __device__ StripSum(const Strip<S> &strip, const float *table, int row, int part, int share)
    {
        constexpr int C = S::channels;
#pragma unroll
        for (int m = 0; m < S::taps_per_lane; ++m) {
            const int n = m * S::shares + share, tap = S::tap(n < S::taps ? n : S::taps - 1);
            seen[m] = strip.at(row - S::rows_up(tap), -S::slope * row - S::columns_back(tap));
#pragma unroll
            for (int input = 0; input < S::pixel; ++input)
#pragma unroll
                for (int k = 0; k < S::outputs; ++k) {
                    const int output = part * S::outputs + k;
                    const bool is_there = n < S::taps && input < C && output < C;
                    taps[m][input][k] = is_there ? table[((1 + tap) * C + output) * C + input] : 0.f;
                }
        }
#pragma unroll
        for (int k = 0; k < S::outputs; ++k)
            sum[k] = 0;
    }

    __device__ void advance()
    {
#pragma unroll
        for (int m = 0; m < S::taps_per_lane; ++m)
            seen[m] += 4 * S::pixel;
    }

    // Adds some rounds of taps; `inside`: whether there is a pixel.
    template <int first, int last>
    __device__ void add(bool inside)
    {
#pragma unroll
        for (int m = first; m < last; ++m)
#pragma unroll
            for (int input = 0; input < S::pixel; input += 4) {
                const float4 value = load_shared4(seen[m] + 4 * input, inside);
#pragma unroll
                for (int k = 0; k < S::outputs; ++k) {
                    sum[k] += taps[m][input][k] * value.x;
                    sum[k] += taps[m][input + 1][k] * value.y;
                    sum[k] += taps[m][input + 2][k] * value.z;
                    sum[k] += taps[m][input + 3][k] * value.w;
                }
            }
    }

    // The sum over all shares of the output that falls to this one, and zero again for the next pixel. Lanes exchange
    // halves of their outputs as long as they have several: half as many shuffles as outputs.
    __device__ float total(int share)
    {
        float value[S::summed];
#pragma unroll
        for (int k = 0; k < S::summed; ++k)
            value[k] = k < S::outputs ? sum[k] : 0.f;
        int left = S::summed;
#pragma unroll
        for (int across = S::shares / 2; across > 0; across /= 2) {
            if (left > 1) {
                left /= 2;
                const bool upper = share & across;
#pragma unroll
                for (int k = 0; k < left; ++k) {
                    const float given = upper ? value[k] : value[left + k];
                    value[k] = (upper ? value[left + k] : value[k]) + __shfl_xor_sync(0xffffffffu, given, across);
                }
            } else
                value[0] += __shfl_xor_sync(0xffffffffu, value[0], across);
        }
#pragma unroll
        for (int k = 0; k < S::outputs; ++k)
            sum[k] = 0;
        return value[0];
    }
};

// Waits for what the pixels of a step see of the rows above, and those of the next step of the rows above the nearest.
template <class S>
__device__ void watch_rows_above(const Strip<S> &strip, int step, int width)
{
    for (int e = threadIdx.x % WARP; e < S::above * S::channels; e += WARP) {
        const int up = 1 + e / S::channels, column = step + S::right + (up > 1);
        if (unsigned(column) < unsigned(width))
            while (watch(strip.at(-up, column) + 4 * (e % S::channels)) == EMPTY)
                __nanosleep(0);
    }
}

// Grid: S::cluster blocks for each group of channels of each image. `tables`: the matrices, or null where every block makes
// them for itself.
template <class S>
__global__ void BLOCKS_OF_A_CLUSTER(S::cluster) __launch_bounds__(S::threads, 1) solve_strip(
    const float *__restrict__ y, long long y_of_image, long long y_of_channel, long long y_of_row, long long y_of_column,
    float *__restrict__ x, long long x_of_row, long long x_of_column, int groups, int height, int width, int strip_rows,
    int pitch, const float *__restrict__ weight, long long of_output, long long of_input, long long of_row,
    long long of_column, int kernel_rows, int kernel_columns, int anchor, const float *__restrict__ tables)
{
    constexpr int C = S::channels;
    SHARED_MEMORY(memory);
    float *const pixels = reinterpret_cast<float *>(memory);
    float *const table = pixels + (S::above + strip_rows) * pitch * S::pixel;
    double *const squares = reinterpret_cast<double *>(table + (S::table + 1) / 2 * 2);
    int *const passes = reinterpret_cast<int *>(squares + S::squares);
    const Strip<S> strip = {shared_address(pixels), pitch};

    const int rank = S::cluster > 1 ? cluster_rank() : 0, image = blockIdx.x / S::cluster, group = image % groups;
    const int first_row = rank * strip_rows, left_over = height - first_row;
    const int rows = left_over < 0 ? 0 : left_over < strip_rows ? left_over : strip_rows;
    const long long size = (long long)height * width;
    y += image / groups * y_of_image + group * C * y_of_channel + first_row * y_of_row;
    x += image * C * size + first_row * x_of_row;

    for (int e = threadIdx.x; e < (S::above + strip_rows) * pitch; e += blockDim.x) {
        const int row = e / pitch - S::above, column = e % pitch - S::left;
        const bool inside = unsigned(column) < unsigned(width);
        const bool own = inside && unsigned(row) < unsigned(rows);
        const bool to_come = S::cluster > 1 && inside && row < 0 && rank > 0;
        const float *pixel = y + row * y_of_row + column * y_of_column;
#pragma unroll
        for (int c = 0; c < S::pixel; ++c)
            pixels[e * S::pixel + c] = c >= C ? 0.f : own ? pixel[c * y_of_channel] : to_come ? __uint_as_float(EMPTY) : 0.f;
    }
    if (tables != nullptr) {
        for (int e = threadIdx.x; e < S::table; e += blockDim.x)
            table[e] = tables[group * S::table + e];
        __syncthreads();
    } else {
        const Kernel kernel = {weight + group * C * of_output, of_output, of_input, of_row, of_column,
                               kernel_rows, kernel_columns, anchor};
        prepare_matrices<S>(kernel, squares, passes, table);
    }
    for (int e = threadIdx.x; e < (S::above + strip_rows) * pitch; e += blockDim.x) {  // each thread what it has loaded
        const int row = e / pitch - S::above, column = e % pitch - S::left;
        if (unsigned(column) < unsigned(width) && unsigned(row) < unsigned(rows)) {
            float value[C];
#pragma unroll
            for (int c = 0; c < C; ++c)
                value[c] = pixels[e * S::pixel + c];
#pragma unroll
            for (int output = 0; output < C; ++output) {
                float sum = 0;
#pragma unroll
                for (int input = 0; input < C; ++input)
                    sum += table[output * C + input] * value[input];
                pixels[e * S::pixel + output] = sum;
            }
        }
    }
    if constexpr (S::cluster > 1)
        cluster_sync();
    else
        __syncthreads();
    if (rows == 0)
        return;

    const int thread = opaque(threadIdx.x), lane = thread % WARP, first = thread / WARP * S::rows_of_a_warp;
    const int share = lane % S::shares, part = lane / S::shares % S::parts, place = lane / S::lanes;
    const int last = first + S::rows_of_a_warp < rows ? first + S::rows_of_a_warp - 1 : rows - 1;
    const bool works = place < S::rows_of_a_warp && first + place < rows;
    const int row = works ? first + place : last;  // spare lanes do as the last row does, and store nothing
    const int k = share / (S::shares / S::summed), output = part * S::outputs + k;
    const bool stores = works && share % (S::shares / S::summed) == 0 && k < S::outputs && output < C;
    const bool hands_over = stores && rank + 1 < S::cluster && left_over > strip_rows && row >= strip_rows - S::above;
    const bool watches = S::cluster > 1 && thread >= S::warps * WARP;
    const int steps = width + S::slope * (rows - 1);
    const int begin = S::slope * first, end = first < rows ? width + S::slope * last : begin;  // with pixels of the warp

    StripSum<S> sum(strip, table, row, part, share);
    int column = -S::slope * row;
    Address here = strip.at(row, column) + 4 * (stores ? output : 0), there = here;
    if constexpr (S::cluster > 1) {
        const Strip<S> below = {peer_address(strip.origin, rank + 1 < S::cluster ? rank + 1 : rank), pitch};
        there = here - strip.origin + below.at(-S::above - strip_rows, -S::left);
        if (watches && rank > 0)
            for (int step = -S::right - 1; step < 0; ++step)
                watch_rows_above(strip, step, width);
        __syncthreads();
    }
    float data = 0;
    auto ahead = [&](int step) {  // what the pixels of a step can know before the step before it is done
        if (watches) {
            if (rank > 0)
                watch_rows_above(strip, step, width);
        } else if (step >= begin && step < end) {
            const bool inside = unsigned(column) < unsigned(width);
            data = load_shared(here, inside);
            sum.template add<S::late, S::taps_per_lane>(inside);
        }
    };
    ahead(0);
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        if (!watches && step >= begin && step < end) {
            const bool inside = unsigned(column) < unsigned(width);
            sum.template add<0, S::late>(inside);
            const float value = sum.total(share) + data;
            store_shared(here, value, stores && inside);
            if constexpr (S::cluster > 1)
                store_peer(there, never_empty(value), hands_over && inside);
        }
        sum.advance();
        here += 4 * S::pixel;
        there += 4 * S::pixel;
        ++column;
        ahead(step + 1);
        __syncthreads();
    }

    for (int e = threadIdx.x; e < rows * width; e += blockDim.x) {
        const int row = e / width, column = e % width;
        const float *pixel = pixels + strip.index(row, column) * S::pixel;
        float *place = x + row * x_of_row + column * x_of_column;
#pragma unroll
        for (int c = 0; c < C; ++c)
            place[c * size] = pixel[c];
    }
}

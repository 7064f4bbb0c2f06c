// The causal solve by rows: one warp solves a strip, a lane each row, without any barrier. What the row above has just
// got comes by a shuffle, older values from shared memory. Of large kernels the rows far from the anchor's are summed up
// by helping warps, some steps ahead.
//
// The blocks of a cluster have the strips of an image in turns. A strip stores the rows that the next ones see straight
// into their shared memory, where EMPTY says what has not come yet: the values themselves are the flags.

// A strip and the rows above it that it sees, in the order (step, row, channel): lanes of a step lie side by side. Beyond
// the image there are zeros.
template <class S>
struct Steps {
    Address origin;
    int count;

    __device__ static int index(int step, int row) { return (step + S::slope * S::above) * S::place + (row + S::above) * S::channels; }
    __device__ Address at(int step, int row) const { return origin + 4 * index(step, row); }
};

// Waits for the rows above the strip, so far as an interval sees them: what is seen of those near to the anchor is looked
// at one step ahead, what helpers see, one interval.
template <class S>
__device__ void watch_rows_above(const Steps<S> &steps, int first_step, int columns, int first_row, int width)
{
    for (int e = threadIdx.x % WARP; e < S::above * columns * S::channels; e += WARP) {
        const int up = 1 + e / (columns * S::channels), back = e / S::channels % columns;
        const int column = first_step + S::right + (up < S::near ? S::interval : 2 * S::interval - 1) - back;
        if (unsigned(column) < unsigned(width) && up <= first_row)
            while (watch(steps.at(column - S::slope * up, -up) + 4 * (e % S::channels)) == EMPTY)
                __nanosleep(0);
    }
}

// Grid: S::cluster blocks for each group of channels of each image.
template <class S>
__global__ void BLOCKS_OF_A_CLUSTER(S::cluster) __launch_bounds__(S::threads, 1) solve_rows(
    const float *__restrict__ y, long long y_of_image, long long y_of_channel, long long y_of_row, long long y_of_column,
    float *__restrict__ x, long long x_of_row, long long x_of_column, int groups, int height, int width, int strips,
    const float *__restrict__ weight, long long of_output, long long of_input, long long of_row, long long of_column,
    int kernel_rows, int kernel_columns, int anchor)
{
    constexpr int C = S::channels, I = S::interval;
    SHARED_MEMORY(memory);
    double *const squares = reinterpret_cast<double *>(memory);
    float *const table = reinterpret_cast<float *>(squares + S::squares);
    int *const passes = reinterpret_cast<int *>(table + S::table);
    unsigned *const ready = reinterpret_cast<unsigned *>(passes + 1);  // the strips that may be stored into
    float *const parts = reinterpret_cast<float *>(ready + S::targets);  // sums of helpers, for two intervals
    float *const values = parts + S::helpers * 2 * I * S::lanes;
    const Steps<S> steps = {shared_address(values), width + S::slope * (S::rows - 1 + S::above) + I + 1};
    const Address part_of_helpers = shared_address(parts);

    const int rank = S::cluster > 1 ? cluster_rank() : 0, image = blockIdx.x / S::cluster, group = image % groups;
    const long long size = (long long)height * width;
    y += image / groups * y_of_image + group * C * y_of_channel;
    x += image * C * size;

    const Kernel kernel = {weight + group * C * of_output, of_output, of_input, of_row, of_column,
                           kernel_rows, kernel_columns, anchor};
    if (int(threadIdx.x) < S::targets)
        ready[threadIdx.x] = 0;
    prepare_matrices<S>(kernel, squares, passes, table);

    const int thread = opaque(threadIdx.x), lane = thread % WARP, warp = thread / WARP;
    const bool solves = warp == 0, helps = S::helpers > 0 && warp > 0 && warp <= S::helpers;
    const int share = S::shares > 1 ? lane / S::lanes % S::shares : 0;  // of a helper
    const bool works = solves ? lane < S::lanes : lane < S::lanes * S::shares;
    const int row = lane / C % S::rows, channel = lane % C;
    const int first_far = S::near + ((warp - 1) * S::shares + share) * S::far_of_a_lane;

    float taps[S::held > 0 ? S::held : 1][C];  // in the order (row of the kernel, column that is reached)
#pragma unroll
    for (int n = 0; n < S::held; ++n) {
        const int near_up = n < S::left ? 0 : 1 + (n - S::left) / S::across;
        const int near_back = n < S::left ? n + 1 : (n - S::left) % S::across - S::right;
        const int up = solves ? near_up : first_far + n / S::across;
        const int back = solves ? near_back : n % S::across - S::right;
        const bool is_there = works && (solves ? n < S::near_taps : helps && n < S::far_taps && up <= S::above);
#pragma unroll
        for (int input = 0; input < C; ++input)
            taps[n][input] = is_there ? table[((1 + S::tap(up, back)) * C + channel) * C + input] : 0.f;
    }

    for (int strip = rank; strip < strips; strip += S::cluster) {
        const int first_row = strip * S::rows, rows = height - first_row < S::rows ? height - first_row : S::rows;
        for (int e = threadIdx.x; e < steps.count * (S::above + S::rows); e += blockDim.x) {
            const int of_strip = e / steps.count - S::above, step = e % steps.count - S::slope * S::above;
            const int column = step - S::slope * of_strip;
            const bool inside = unsigned(column) < unsigned(width);
            const bool to_come = inside && of_strip < 0 && first_row + of_strip >= 0;
            float value[C];
#pragma unroll
            for (int c = 0; c < C; ++c)
                value[c] = inside && of_strip >= 0 && of_strip < rows
                               ? y[(first_row + of_strip) * y_of_row + column * y_of_column + c * y_of_channel]
                               : 0.f;
#pragma unroll
            for (int output = 0; output < C; ++output) {
                float sum = 0;
#pragma unroll
                for (int input = 0; input < C; ++input)
                    sum += table[output * C + input] * value[input];
                const bool own = inside && of_strip >= 0 && of_strip < rows;
                values[steps.index(step, of_strip) + output] = own ? sum : to_come ? __uint_as_float(EMPTY) : 0.f;
            }
        }
        __syncthreads();
        if constexpr (S::cluster > 1) {
            if (strip == rank)
                cluster_sync();
            else if (int(threadIdx.x) < S::targets) {  // the strips that store into this one wait for it
                const int other = strip - 1 - int(threadIdx.x);
                store_peer(peer_address(shared_address(ready + threadIdx.x), other % S::cluster),
                           __uint_as_float(strip), true);
            }
        }

        const int first_step = -S::right, last_step = width + S::slope * (rows - 1);
        int column = first_step - S::slope * row;
        Address before = steps.at(first_step - 1, row);  // the step before, in this lane's row
        float sums[S::across];
#pragma unroll
        for (int k = 0; k < S::across; ++k)
            sums[k] = 0;

        if (solves) {
            Address target[S::targets > 0 ? S::targets : 1];
            bool sees[S::targets > 0 ? S::targets : 1];
#pragma unroll
            for (int n = 0; n < S::targets; ++n) {
                const int up = (n + 1) * S::rows - row, other = strip + 1 + n;
                sees[n] = works && up <= S::above && other < strips;
                target[n] = S::cluster == 1 ? 0
                                            : peer_address(steps.origin, other % S::cluster) +
                                                  4 * (steps.index(first_step - S::slope * (row + up), -up) + channel);
                if (S::cluster > 1 && other < strips && other >= S::cluster)
                    while (watch(shared_address(ready + n)) != unsigned(other))
                        __nanosleep(0);
            }
            if (strip > 0)
                watch_rows_above(steps, first_step, first_step + S::right + 2 * I, first_row, width);
            __syncwarp();

            float former = 0;  // the solution in the step before
            float data, above[C], older[S::near > 2 ? S::near - 2 : 1][C];
            auto look_ahead = [&](Address behind, int at_column) {  // at what a step sees, older than the step before it
                const bool inside = works && unsigned(at_column) < unsigned(width);
                data = load_shared(behind + 4 * (S::place + channel), inside);
                if constexpr (S::above > 0)
#pragma unroll
                    for (int input = 0; input < C; ++input) {
                        above[input] = load_shared(behind + 4 * (input - C), works && row == 0);
#pragma unroll
                        for (int up = 2; up < S::near; ++up)
                            older[up - 2][input] = load_shared(
                                behind + 4 * (input - up * C) - 4 * S::slope * (up - 1) * S::place, works);
                    }
            };
            look_ahead(before, column);
            if constexpr (S::helpers > 0) {
                some_threads_sync(WARP * (1 + S::helpers));
                some_threads_sync(WARP * (1 + S::helpers));
            }
#pragma unroll 1
            for (int step = first_step; step < last_step; step += I) {
#pragma unroll
                for (int k = 0; k < I; ++k) {
                    const bool inside = works && unsigned(column) < unsigned(width) && row < rows;
                    float sum = sums[0] + data;
                    if constexpr (S::helpers > 0)
#pragma unroll
                        for (int h = 0; h < S::helpers; ++h) {
                            const int turn = (step - first_step + k) % (2 * I);
                            sum += load_shared(part_of_helpers + 4 * ((h * 2 * I + turn) * S::lanes + lane % S::lanes),
                                               inside);
                        }
                    float seen[S::near > 1 ? S::near - 1 : 1][C];
#pragma unroll
                    for (int up = 2; up < S::near; ++up)
#pragma unroll
                        for (int input = 0; input < C; ++input) {
                            seen[up - 1][input] = older[up - 2][input];
                            sum += taps[S::left + (up - 1) * S::across][input] * seen[up - 1][input];
                        }
                    if constexpr (S::above > 0)
#pragma unroll
                        for (int input = 0; input < C; ++input) {
                            const int source = (row > 0 ? row - 1 : 0) * C + input;
                            const float passed = __shfl_sync(0xffffffffu, former, source);
                            seen[0][input] = row > 0 ? passed : above[input];
                            sum += taps[S::left][input] * seen[0][input];
                        }
                    const float value = inside ? sum : 0.f;
                    look_ahead(before + 4 * S::place, column + 1);
                    store_shared(before + 4 * (S::place + channel), value, inside);
                    if constexpr (S::cluster > 1)
#pragma unroll
                        for (int n = 0; n < S::targets; ++n) {
                            store_peer(target[n], never_empty(value), inside && sees[n]);
                            target[n] += 4 * S::place;
                        }
                    float own[C];
#pragma unroll
                    for (int input = 0; input < C; ++input)
                        own[input] = C == 1 ? value : __shfl_sync(0xffffffffu, value, row * C + input);
#pragma unroll
                    for (int reached = 1; reached < S::across; ++reached) {
                        float next = sums[reached];
#pragma unroll
                        for (int input = 0; input < C; ++input) {
#pragma unroll
                            for (int up = S::near - 1; up > 0; --up)
                                next += taps[S::left + (up - 1) * S::across + reached][input] * seen[up - 1][input];
                            if (reached <= S::left)
                                next += taps[reached - 1][input] * own[input];
                        }
                        sums[reached - 1] = next;
                    }
                    former = value;
                    before += 4 * S::place;
                    ++column;
                    __syncwarp();
                }
                if (strip > 0)
                    watch_rows_above(steps, step + I, I, first_row, width);
                __syncwarp();
                if constexpr (S::helpers > 0)
                    some_threads_sync(WARP * (1 + S::helpers));
            }
        } else if (helps) {
            auto sum_up = [&](int step) {  // an interval
#pragma unroll
                for (int k = 0; k < I; ++k) {
                    float seen[S::far_of_a_lane > 0 ? S::far_of_a_lane : 1][C], sum = sums[0];
#pragma unroll
                    for (int n = 0; n < S::far_of_a_lane; ++n)
#pragma unroll
                        for (int input = 0; input < C; ++input) {
                            const int up = first_far + n;
                            const Address there = before + 4 * (input - up * C) - 4 * S::slope * (up - 1) * S::place;
                            seen[n][input] = up <= S::above ? load_shared(there, works) : 0.f;
                            sum += taps[n * S::across][input] * seen[n][input];
                        }
#pragma unroll
                    for (int across = S::lanes; across < S::lanes * S::shares; across *= 2)
                        sum += __shfl_xor_sync(0xffffffffu, sum, across);
                    const int turn = (step - first_step + k) % (2 * I);
                    store_shared(part_of_helpers + 4 * (((warp - 1) * 2 * I + turn) * S::lanes + lane % S::lanes), sum,
                                 works && share == 0);
#pragma unroll
                    for (int reached = 1; reached < S::across; ++reached) {
                        float next = sums[reached];
#pragma unroll
                        for (int n = 0; n < S::far_of_a_lane; ++n)
#pragma unroll
                            for (int input = 0; input < C; ++input)
                                next += taps[n * S::across + reached][input] * seen[n][input];
                        sums[reached - 1] = next;
                    }
                    before += 4 * S::place;
                    ++column;
                }
            };
            some_threads_sync(WARP * (1 + S::helpers));
            sum_up(first_step);
            some_threads_sync(WARP * (1 + S::helpers));
#pragma unroll 1
            for (int step = first_step; step < last_step; step += I) {
                sum_up(step + I);
                some_threads_sync(WARP * (1 + S::helpers));
            }
        }
        __syncthreads();

        for (int e = threadIdx.x; e < rows * width; e += blockDim.x) {
            const int of_strip = e / width, at_column = e % width;
            const float *pixel = values + steps.index(at_column + S::slope * of_strip, of_strip);
            float *place = x + (first_row + of_strip) * x_of_row + at_column * x_of_column;
#pragma unroll
            for (int c = 0; c < C; ++c)
                place[c * size] = pixel[c];
        }
        __syncthreads();
    }
    if constexpr (S::cluster > 1)
        if (rank >= strips)
            cluster_sync();  // that of the others before their first strip
}

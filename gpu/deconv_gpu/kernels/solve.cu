// The causal solve: a block solves a strip of rows, step by step, with all that it needs in shared memory.
//
// The strips of an image hang together: a strip needs the last rows of the one above it. Blocks claim strips in an order
// in which a strip comes after the one above it, and wait for that one's progress where it is not far enough. A block
// that waits therefore waits for one that runs already: any number of resident blocks gets to the end.

// Shared memory, besides the tables: a ring of the last steps, in the order (step, row, unknown). The row comes after the
// step because the cells of one step, which a warp reads side by side, lie in consecutive rows.
template <class S>
struct Ring {
    typename S::Scalar *cells;
    int steps, rows;

    __device__ int size() const { return steps * rows * S::cell_stride; }
    __device__ int slot(int step) const { return (step + steps) % steps; }  // step >= -S::reach
    __device__ int place(int slot, int row) const { return (slot * rows + S::above + row) * S::cell_stride; }
};

// Pixels of a group of channels. The signs of the strides say which corner the image is seen from.
template <typename Scalar>
struct Image {
    Scalar *origin;
    long long of_channel, of_row, of_column;
    int height, width;

    __device__ bool has(int row, int column) const
    {
        return unsigned(row) < unsigned(height) && unsigned(column) < unsigned(width);
    }
    __device__ Scalar *pixel(int row, int column) const { return origin + row * of_row + column * of_column; }
};

// Whether an unknown of the cell whose first pixel is given lies within the image. What a cell has beyond the edge stays
// zero, because rows below must not see it.
template <class S, typename Scalar>
__device__ bool exists(const Image<Scalar> &image, int top, int left, int unknown)
{
    const int pixel = unknown / S::channels;
    return S::cell_rows * S::cell_columns == 1
               ? image.has(top, left)
               : image.has(top + pixel / S::cell_columns, left + pixel % S::cell_columns);
}

// M[0] y for a strip and the next steps, straight from the image: zero where there are no pixels.
template <class S>
__device__ void load_data(const Ring<S> &ring, const Image<const typename S::Scalar> &y,
                          const typename S::Scalar *matrix, int first_row, int rows, int first_step, int steps)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    for (int job = warp; job < rows * S::parts; job += warps) {
        const int row = job / S::parts, part = job % S::parts;
        const auto *entries = reinterpret_cast<const typename S::Results *>(matrix) + part * S::unknowns;
        for (int step = first_step + lane; step < first_step + steps; step += WARP) {
            const int top = (first_row + row) * S::cell_rows, left = (step - S::slope * row) * S::cell_columns;
            typename S::Results sum = {};
            if (y.has(top, left))
#pragma unroll
                for (int pixel = 0; pixel < S::cell_rows * S::cell_columns; ++pixel) {
                    const int i = top + pixel / S::cell_columns, j = left + pixel % S::cell_columns;
                    if (y.has(i, j))
#pragma unroll
                        for (int channel = 0; channel < S::channels; ++channel) {
                            const auto value = y.pixel(i, j)[channel * y.of_channel];
                            const auto entry = entries[pixel * S::channels + channel];
#pragma unroll
                            for (int out = 0; out < S::outputs; ++out)
                                sum.at[out] += entry.at[out] * value;
                        }
                }
            auto *place = ring.cells + ring.place(ring.slot(step), row) + part * S::outputs;
#pragma unroll
            for (int out = 0; out < S::outputs; ++out)
                place[out] = exists<S>(y, top, left, part * S::outputs + out) ? sum.at[out] : 0;
        }
    }
}

// Calls visit(pixel of the image, place in the ring, whether the image has it) for the pixels of some rows and steps.
// Lanes follow a row of the image, so that its memory is read and written in whole lines.
template <class S, typename Scalar, typename Visit>
__device__ void for_pixels(const Ring<S> &ring, const Image<Scalar> &image, int strip_row, int from, int to,
                           int first_step, int steps, Visit visit)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    for (int line = from * S::cell_rows + warp; line < to * S::cell_rows; line += warps) {
        const int shifted = line + S::above * S::cell_rows;  // never negative, so that division rounds down
        const int row = shifted / S::cell_rows - S::above, down = shifted % S::cell_rows;
        for (int place = lane; place < steps * S::cell_columns; place += WARP) {
            const int step = first_step + place / S::cell_columns, right = place % S::cell_columns;
            const int i = strip_row * S::cell_rows + line, j = (step - S::slope * row) * S::cell_columns + right;
            visit(i, j, ring.cells + ring.place(ring.slot(step), row) + (down * S::cell_columns + right) * S::channels,
                  image.has(i, j));
        }
    }
}

// One step of a strip: every cell of it gets what its taps see.
template <class S>
struct Relaxation {
    using Scalar = typename S::Scalar;
    using Results = typename S::Results;
    static constexpr int kept = S::held && S::taps > 0 ? S::taps_per_lane : 1;

    const Scalar *matrices;  // in shared memory: for the taps, where they are not held
    int back[kept];          // how far back in the ring the taps lie
    Results taps[kept][S::held ? S::unknowns : 1];
    int lane, part, first, between;  // this thread's share of the taps, its results, its first row, and the next ones

    __device__ Relaxation(const Scalar *all, const Scalar *shared, const int *offsets, int strip_rows) : matrices(shared)
    {
        between = strip_rows / S::rows_per_thread;
        lane = threadIdx.x % S::split;
        first = threadIdx.x / S::split % between;
        part = threadIdx.x / S::split / between;
        if (S::held && S::taps > 0 && part < S::parts)
#pragma unroll
            for (int k = 0; k < kept; ++k) {
                const int tap = k * S::split + lane;
                back[k] = offsets[tap];
                const auto *entries = reinterpret_cast<const Results *>(all + (1 + tap) * S::matrix);
#pragma unroll
                for (int in = 0; in < S::unknowns; ++in)
                    taps[k][in] = entries[part * S::unknowns + in];
            }
    }

    // Adds a tap. The cells it reads are two to four unknowns to a load; its matrix, where it is not held, is one
    // broadcast for each unknown, which serves all rows of the thread.
    template <typename Entries>
    __device__ void add(Results (&sum)[S::rows_per_thread], const Ring<S> &ring, const int (&here)[S::rows_per_thread],
                        int offset, const Entries &entries) const
    {
        const Scalar *seen[S::rows_per_thread];
#pragma unroll
        for (int n = 0; n < S::rows_per_thread; ++n) {
            const int place = here[n] - offset;
            seen[n] = ring.cells + place + (place < 0 ? ring.size() : 0);
        }
#pragma unroll
        for (int in = 0; in < S::unknowns; in += S::vector) {
            typename S::Inputs values[S::rows_per_thread];
#pragma unroll
            for (int n = 0; n < S::rows_per_thread; ++n)
                values[n] = *reinterpret_cast<const typename S::Inputs *>(seen[n] + in);
#pragma unroll
            for (int k = 0; k < S::vector; ++k) {
                const Results entry = entries[in + k];
#pragma unroll
                for (int n = 0; n < S::rows_per_thread; ++n)
#pragma unroll
                    for (int out = 0; out < S::outputs; ++out)
                        sum[n].at[out] += entry.at[out] * values[n].at[k];
            }
        }
    }

    template <typename Pixel>
    __device__ void operator()(const Ring<S> &ring, const Image<Pixel> &image, const int *offsets, int strip_row,
                               int step, int slot) const
    {
        if (S::taps == 0)
            return;
        const bool works = part < S::parts;
        int here[S::rows_per_thread];
        Results sum[S::rows_per_thread] = {};  // not the data
#pragma unroll
        for (int n = 0; n < S::rows_per_thread; ++n)
            here[n] = ring.place(slot, first + n * between);
        if (works) {
            if constexpr (S::held) {
#pragma unroll
                for (int k = 0; k < kept; ++k)
                    add(sum, ring, here, back[k], taps[k]);
            } else {
#pragma unroll 1
                for (int tap = lane; tap < S::taps_per_lane * S::split; tap += S::split)
                    add(sum, ring, here, offsets[tap],
                        reinterpret_cast<const Results *>(matrices + (1 + tap) * S::matrix) + part * S::unknowns);
            }
        }
#pragma unroll
        for (int across = 1; across < S::split; across *= 2)
#pragma unroll
            for (int n = 0; n < S::rows_per_thread; ++n)
#pragma unroll
                for (int out = 0; out < S::outputs; ++out)
                    sum[n].at[out] += __shfl_xor_sync(0xffffffffu, sum[n].at[out], across);
        if (works && lane == 0)
#pragma unroll
            for (int n = 0; n < S::rows_per_thread; ++n) {
                const int row = first + n * between;
                const int top = (strip_row + row) * S::cell_rows, left = (step - S::slope * row) * S::cell_columns;
                Scalar *cell = ring.cells + here[n] + part * S::outputs;
                if (image.has(top, left))
#pragma unroll
                    for (int out = 0; out < S::outputs; ++out)
                        if (exists<S>(image, top, left, part * S::outputs + out))
                            cell[out] += sum[n].at[out];
            }
    }
};

// Threads: split * (strip_rows / rows_per_thread) * parts, filled up to whole warps. counters: strips handed out, then the
// chunks of steps done by each strip; zero at the start.
template <class S>
__global__ void __launch_bounds__(MAX_THREADS) solve(
    const typename S::Scalar *__restrict__ y, long long y_of_image, long long y_of_channel, long long y_of_row,
    long long y_of_column, typename S::Scalar *x, long long x_of_row, long long x_of_column, int images, int groups,
    int height, int width, const typename S::Scalar *__restrict__ matrices, int *counters, int strip_rows, int strips,
    int chunk, int chunks)
{
    using Scalar = typename S::Scalar;
    constexpr int tables = S::held ? 1 : S::table;  // matrices kept in shared memory
    SHARED_MEMORY(memory);
    int *claimed = reinterpret_cast<int *>(memory);
    int *offsets = claimed + 4;
    Scalar *shared = reinterpret_cast<Scalar *>(offsets + (S::table + 3) / 4 * 4);
    const Ring<S> ring = {shared + tables * S::matrix, S::reach + chunk, (S::above + strip_rows) | 1};

    for (int tap = threadIdx.x; tap < S::table - 1; tap += blockDim.x) {
        const int real = tap < S::taps ? tap : 0;  // the table is filled up by matrices of zeros
        const int up = S::rows_up(real), steps = S::columns_back(real) + S::slope * up;
        offsets[tap] = (steps * ring.rows + up) * S::cell_stride;
    }

    int *progress = counters + 1;
    int loaded = -1;  // the group whose matrices are in shared memory
    for (;;) {
        if (threadIdx.x == 0)
            *claimed = atomicAdd(counters, 1);
        __syncthreads();
        const int task = *claimed, image = task % images, strip = task / images, strip_row = strip * strip_rows;
        if (strip >= strips)
            return;
        const int group = image % groups;
        const long long first_channel = (long long)group * S::channels, size = (long long)height * width;
        const Image<const Scalar> data = {y + image / groups * y_of_image + first_channel * y_of_channel, y_of_channel,
                                          y_of_row, y_of_column, height, width};
        const Image<Scalar> solution = {x + (long long)image * S::channels * size, size, x_of_row, x_of_column, height,
                                        width};
        const Scalar *all = matrices + (long long)group * S::table * S::matrix;
        if (group != loaded)
            for (int e = threadIdx.x; e < tables * S::matrix; e += blockDim.x)
                shared[e] = all[e];
        loaded = group;
        for (int e = ring.place(chunk, -S::above) + threadIdx.x; e < ring.size(); e += blockDim.x)
            ring.cells[e] = 0;  // the steps before the first one
        const Relaxation<S> relax(all, shared, offsets, strip_rows);
        __syncthreads();

        for (int done = 0; done < chunks; ++done) {
            const int step = done * chunk;
            load_data(ring, data, shared, strip_row, strip_rows, step, chunk);
            if (S::above > 0 && strip > 0) {
                if (threadIdx.x == 0) {
                    // The row above is S::slope * strip_rows steps older in its own strip than in this one.
                    const int last = (step + chunk - 1 + S::slope * strip_rows) / chunk + 1;
                    while (load_acquire(progress + task - images) < (last < chunks ? last : chunks))
                        __nanosleep(20);
                }
                __syncthreads();
            }
            if (S::above > 0) {
                const int before = done == 0 ? S::reach : 0;  // rows above have begun long ago
                for_pixels(ring, solution, strip_row, -S::above, 0, step - before, chunk + before,
                           [&](int i, int j, Scalar *place, bool inside) {
                               for (int channel = 0; channel < S::channels; ++channel)  // past the first-level cache
                                   place[channel] =
                                       inside ? __ldcg(solution.pixel(i, j) + channel * size) : Scalar(0);
                           });
            }
            __syncthreads();
            int slot = ring.slot(step);
            for (int k = 0; k < chunk; ++k) {
                relax(ring, data, offsets, strip_row, step + k, slot);
                slot = slot + 1 < ring.steps ? slot + 1 : 0;
                __syncthreads();
            }
            for_pixels(ring, solution, strip_row, 0, strip_rows, step, chunk,
                       [&](int i, int j, const Scalar *place, bool inside) {
                           if (inside)
                               for (int channel = 0; channel < S::channels; ++channel)
                                   solution.pixel(i, j)[channel * size] = place[channel];
                       });
            __syncthreads();
            if (threadIdx.x == 0)
                store_release(progress + task, done + 1);
        }
    }
}

// The causal solve by matrix products: strips of eight rows, whose pixels of a step are the columns of products on tensor
// cores. Numbers are cut into a large part and a rest, A B = Ah Bh + Ah Bl + Al Bh, so that the result has the precision
// of single floats (3xTF32). The entries (tap, input) of the kernel are spread over all warps, whose sums are added up
// through shared memory: two barriers to a step.
//
// Strips of one image are the blocks of a cluster, and hand rows over as those of solve_strip.cu.

// Where the pixels of a strip lie, and of the rows above it that it sees. Beyond the image there are zeros.
template <class S>
struct Tile {
    Address origin;
    int pitch;  // pixels from row to row

    __device__ int index(int row, int column) const { return (row + S::above) * pitch + column + S::left; }
    __device__ Address at(int row, int column) const { return origin + 4 * S::pixel * index(row, column); }
};

// One warp's share of the products, in each step for the pixels one further on in their rows.
template <class S>
struct Products {
    static constexpr int count = S::late + S::early;
    unsigned large[count][S::blocks_of_outputs][4], rest[count][S::blocks_of_outputs][4];
    Address seen[count][S::addresses];
    float sums[S::blocks_of_outputs][4];

    __device__ Products(const Tile<S> &tile, const float *table, int warp, int lane)
    {
        constexpr int C = S::channels;
        const int row = lane / 4;  // of the strip, and of a block of outputs
#pragma unroll
        for (int n = 0; n < count; ++n)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const bool is_late = n < S::late;
                const int entry = ((is_late ? n : n - S::late) * S::warps + warp) * 8 + lane % 4 + 4 * half;
                const bool is_there = entry < (is_late ? S::late_entries : S::early_entries);
                const int place = (is_there ? entry : 0) / C + (is_late ? 0 : S::nearest);
                const int input = (is_there ? entry : 0) % C;
                const bool is_data = !is_there || place == S::taps;  // what is in the pixel itself
                const int tap = is_data ? -1 : S::tap(place);
                const int up = is_data ? 0 : S::rows_up(tap), back = is_data ? 0 : S::columns_back(tap);
                if (half < S::addresses)
                    seen[n][half] = tile.at(row - up, -S::slope * row - back) + 4 * input;
#pragma unroll
                for (int block = 0; block < S::blocks_of_outputs; ++block)
#pragma unroll
                    for (int lower = 0; lower < 2; ++lower) {
                        const int output = 16 * block + row + 8 * lower;
                        const float value = is_there && output < C ? table[((1 + tap) * C + output) * C + input] : 0.f;
                        const unsigned rounded = rounded_to_tf32(value);
                        large[n][block][lower + 2 * half] = rounded;
                        rest[n][block][lower + 2 * half] = __float_as_uint(value - __uint_as_float(rounded));
                    }
            }
    }

    __device__ void clear()
    {
#pragma unroll
        for (int block = 0; block < S::blocks_of_outputs; ++block)
#pragma unroll
            for (int e = 0; e < 4; ++e)
                sums[block][e] = 0;
    }

    __device__ void advance()
    {
#pragma unroll
        for (int n = 0; n < count; ++n)
#pragma unroll
            for (int half = 0; half < S::addresses; ++half)
                seen[n][half] += 4 * S::pixel;
    }

    // Adds some of the products; `inside`: whether there is a pixel in the column of this lane.
    template <int first, int last>
    __device__ void add(bool inside)
    {
#pragma unroll
        for (int n = first; n < last; ++n) {
            const float upper = load_shared(seen[n][0], inside);
            const float lower = load_shared(S::addresses == 1 ? seen[n][0] + 16 : seen[n][S::addresses - 1], inside);
            const unsigned of_upper = cut_to_tf32(upper), of_lower = cut_to_tf32(lower);
            const unsigned rest_of_upper = __float_as_uint(upper - __uint_as_float(of_upper));
            const unsigned rest_of_lower = __float_as_uint(lower - __uint_as_float(of_lower));
#pragma unroll
            for (int block = 0; block < S::blocks_of_outputs; ++block)
                multiply_add(sums[block], large[n][block], of_upper, of_lower);
#pragma unroll
            for (int block = 0; block < S::blocks_of_outputs; ++block)
                multiply_add(sums[block], large[n][block], rest_of_upper, rest_of_lower);
#pragma unroll
            for (int block = 0; block < S::blocks_of_outputs; ++block)
                multiply_add(sums[block], rest[n][block], of_upper, of_lower);
        }
    }

    // Stores the sums of this warp, in the order (output, row).
    __device__ void store(float *parts, int lane) const
    {
#pragma unroll
        for (int block = 0; block < S::blocks_of_outputs; ++block)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int output = 16 * block + lane / 4 + e / 2 * 8;
                if (output < S::channels)
                    parts[output * S::rows + lane % 4 * 2 + e % 2] = sums[block][e];
            }
    }
};

// Waits for what the pixels of a step see of the rows above, and those of the next step of the rows above the nearest.
template <class S>
__device__ void watch_rows_above(const Tile<S> &tile, int step, int width)
{
    for (int e = threadIdx.x; e < S::above * S::channels; e += blockDim.x) {
        const int up = 1 + e / S::channels, column = step + S::right + (up > 1);
        if (unsigned(column) < unsigned(width))
            while (watch(tile.at(-up, column) + 4 * (e % S::channels)) == EMPTY)
                __nanosleep(0);
    }
}

// Grid: S::cluster blocks for each group of channels of each image.
template <class S>
__global__ void BLOCKS_OF_A_CLUSTER(S::cluster) __launch_bounds__(S::threads, 1) solve_product(
    const float *__restrict__ y, long long y_of_image, long long y_of_channel, long long y_of_row, long long y_of_column,
    float *__restrict__ x, long long x_of_row, long long x_of_column, int groups, int height, int width, int pitch,
    const float *__restrict__ tables)
{
    constexpr int C = S::channels, positions = C * S::rows;
    SHARED_MEMORY(memory);
    float *const pixels = reinterpret_cast<float *>(memory);
    float *const parts = pixels + (S::above + S::rows) * pitch * S::pixel;
    const Tile<S> tile = {shared_address(pixels), pitch};

    const int rank = S::cluster > 1 ? cluster_rank() : 0, image = blockIdx.x / S::cluster, group = image % groups;
    const int first_row = rank * S::rows, left_over = height - first_row;
    const int rows = left_over < 0 ? 0 : left_over < S::rows ? left_over : S::rows;
    const long long size = (long long)height * width;
    y += image / groups * y_of_image + group * C * y_of_channel + first_row * y_of_row;
    x += image * C * size + first_row * x_of_row;

    for (int e = threadIdx.x; e < (S::above + S::rows) * pitch; e += blockDim.x) {
        const int row = e / pitch - S::above, column = e % pitch - S::left;
        const bool inside = unsigned(column) < unsigned(width);
        const bool own = inside && unsigned(row) < unsigned(rows);
        const bool to_come = S::cluster > 1 && inside && row < 0 && rank > 0;
        const float *pixel = y + row * y_of_row + column * y_of_column;
        for (int c = 0; c < S::pixel; ++c)
            pixels[e * S::pixel + c] = c >= C ? 0.f : own ? pixel[c * y_of_channel] : to_come ? __uint_as_float(EMPTY) : 0.f;
    }
    const int thread = opaque(threadIdx.x), lane = thread % WARP, warp = thread / WARP;
    Products<S> products(tile, tables + group * S::table, warp, lane);
    if constexpr (S::cluster > 1)
        cluster_sync();
    if (rows == 0)
        return;

    const bool hands_over = rank + 1 < S::cluster && left_over > S::rows;
    Tile<S> below = tile;  // the rows of this strip as the next one sees them
    if constexpr (S::cluster > 1)
        below.origin = peer_address(tile.origin, rank + 1 < S::cluster ? rank + 1 : rank) - 4 * S::pixel * pitch * S::rows;
    const int steps = width + S::slope * (rows - 1);
    int column = -S::slope * (lane / 4);  // of the pixel in this lane's column of products
    if (rank > 0)
        for (int step = -S::right - 1; step <= 0; ++step)
            watch_rows_above(tile, step, width);
    __syncthreads();
    products.clear();
    products.template add<S::late, S::late + S::early>(lane / 4 < rows && unsigned(column) < unsigned(width));
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        products.template add<0, S::late>(lane / 4 < rows && unsigned(column) < unsigned(width));
        products.store(parts + warp * positions, lane);
        __syncthreads();
        for (int e = thread; e < positions; e += S::threads) {
            const int row = e % S::rows, output = e / S::rows, at_column = step - S::slope * row;
            float value = 0;
#pragma unroll
            for (int w = 0; w < S::warps; ++w)
                value += parts[w * positions + e];
            const bool inside = row < rows && unsigned(at_column) < unsigned(width);
            store_shared(tile.at(row, at_column) + 4 * output, value, inside);
            if constexpr (S::cluster > 1)
                store_peer(below.at(row, at_column) + 4 * output, never_empty(value),
                           hands_over && inside && row >= S::rows - S::above);
        }
        if (rank > 0)
            watch_rows_above(tile, step + 1, width);
        products.advance();
        products.clear();
        ++column;
        products.template add<S::late, S::late + S::early>(lane / 4 < rows && unsigned(column) < unsigned(width));
        __syncthreads();
    }

    for (int e = threadIdx.x; e < rows * width; e += blockDim.x) {
        const int row = e / width, at_column = e % width;
        const float *pixel = pixels + tile.index(row, at_column) * S::pixel;
        float *place = x + row * x_of_row + at_column * x_of_column;
        for (int c = 0; c < C; ++c)
            place[c * size] = pixel[c];
    }
}

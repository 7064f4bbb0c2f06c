// What a solve by rows is compiled for.
//
// A lane has a row of a strip (with several channels, one of its channels), and is one pixel further on in each step. The
// pixel in row i and column j is solved in step j + slope * i; in these coordinates quarter and half planes are the same
// thing. Sums are kept in transposed form: a value is added to the sums of all pixels that see it, as soon as it is known.

#ifndef WARP
#define WARP 32
#endif

template <int channels_, int above_, int left_, int right_, int rows_, int near_, int helpers_, int interval_, int cluster_>
struct RowShape {
    static constexpr int channels = channels_;  // of one group
    static constexpr int above = above_;        // pixels that the kernel sees: rows above,
    static constexpr int left = left_;          // columns to the left,
    static constexpr int right = right_;        // columns to the right in the rows above
    static constexpr int rows = rows_;          // of a strip
    static constexpr int near = near_;          // rows of the kernel, from the anchor's, that the warp which solves takes;
    static constexpr int helpers = helpers_;    // the others are for so many further warps, ahead of it,
    static constexpr int interval = interval_;  // which meet it after so many steps; a power of two
    static constexpr int cluster = cluster_;    // blocks that have strips of an image in turns

    static constexpr int across = left + 1 + right;
    static constexpr int slope = right + 1;
    static constexpr int taps = left + above * across;  // without the anchor
    static constexpr int lanes = rows * channels;
    static constexpr int shares = WARP / lanes;  // lanes of a helper that share the rows of the kernel
    static constexpr int far = above + 1 - near;
    static constexpr int far_of_a_lane = helpers > 0 ? (far + helpers * shares - 1) / (helpers * shares) : 0;
    static constexpr int near_taps = left + (near - 1) * across, far_taps = far_of_a_lane * across;
    static constexpr int held = near_taps > far_taps ? near_taps : far_taps;  // taps in the registers of a lane
    static constexpr int threads = 256;
    static constexpr int targets = (above + rows - 1) / rows;  // strips that see rows of a strip
    static constexpr int place = ((above + rows) * channels) | 1;  // numbers of a step in shared memory
    static constexpr int table = (1 + taps) * channels * channels;
    static constexpr int squares = 3 * channels * channels;  // of double precision, to make it
    static_assert(lanes <= WARP && near >= 1 && (far == 0) == (helpers == 0), "");
    // A helper's sums are for the interval after the next one, of values that are known before this one begins.
    static_assert(helpers == 0 || 2 * interval - 1 <= slope * (near - 1), "");

    // How a tap displaces: so many rows up, so many columns to the left.
    __device__ static int rows_up(int tap) { return tap < left ? 0 : 1 + (tap - left) / across; }
    __device__ static int columns_back(int tap) { return tap < left ? tap + 1 : left - (tap - left) % across; }
    __device__ static int tap(int up, int back) { return up == 0 ? back - 1 : left + (up - 1) * across + left - back; }
};

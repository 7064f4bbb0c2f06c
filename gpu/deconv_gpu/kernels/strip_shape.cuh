// What a solve by strips is compiled for.
//
// The pixels of a strip of rows lie in shared memory. The pixel in row i and column j is solved in step j + slope * i;
// in these coordinates quarter and half planes are the same thing. A pixel's sum stays within one warp: its lanes are
// (part of the outputs, share of the taps), and hold their part of the kernel in registers.

#ifndef WARP
#define WARP 32
#endif

template <int channels_, int above_, int left_, int right_, int outputs_, int shares_, int warps_, int cluster_>
struct StripShape {
    static constexpr int channels = channels_;  // of one group
    static constexpr int above = above_;        // pixels that the kernel sees: rows above,
    static constexpr int left = left_;          // columns to the left,
    static constexpr int right = right_;        // columns to the right in the rows above
    static constexpr int outputs = outputs_;    // that a lane sums up
    static constexpr int shares = shares_;      // lanes that share the taps of a sum; a power of two
    static constexpr int warps = warps_;        // that solve
    static constexpr int cluster = cluster_;    // strips of an image: blocks of a cluster

    static constexpr int pixel = (channels + 3) / 4 * 4;  // numbers from one pixel to the next
    static constexpr int parts = (channels + outputs - 1) / outputs;
    static constexpr int lanes = parts * shares;  // of a pixel
    static constexpr int rows_of_a_warp = WARP / lanes;
    static constexpr int summed = outputs > 4 ? 8 : outputs > 2 ? 4 : outputs;  // outputs, up to a power of two
    static_assert(lanes <= WARP && shares % summed == 0, "a pixel's sum lies within a warp, an output falls to a share");
    static constexpr int threads = (warps + (cluster > 1)) * WARP;  // one more warp watches the rows above the strip
    static constexpr int across = left + 1 + right;
    static constexpr int slope = right + 1;
    static constexpr int taps = left + above * across;  // without the anchor
    static constexpr int taps_per_lane = (taps + shares - 1) / shares;

    // Two taps see the step just solved: that on the left, and the last one of the row above. They come first, and with
    // them what else fits into as many rounds; all others are summed up one step ahead.
    static constexpr int nearest = (left > 0) + (above > 0);
    static constexpr int late = (nearest + shares - 1) / shares;

    static constexpr int table = (1 + taps) * channels * channels;
    static constexpr int squares = 3 * channels * channels;  // of double precision, to make it
    static constexpr int prepare_threads = 256;

    // The tap that is taken as the n-th, counted in raster order back from the anchor.
    __device__ static int tap(int n)
    {
        const int above_last = left + across - 1;
        if (n < nearest)
            return n == 0 && left > 0 ? 0 : above_last;
        const int next = n - nearest + (left > 0);
        return next + (above > 0 && next >= above_last);
    }
    // How a tap displaces: so many rows up, so many columns to the left.
    __device__ static int rows_up(int tap) { return tap < left ? 0 : 1 + (tap - left) / across; }
    __device__ static int columns_back(int tap) { return tap < left ? tap + 1 : left - (tap - left) % across; }
};

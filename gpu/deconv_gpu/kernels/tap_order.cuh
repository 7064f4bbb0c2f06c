// The taps of a kernel, and the order in which they are summed up.
//
// The pixel in row i and column j is solved in step j + slope * i; in these coordinates quarter and half planes are the
// same thing.

#ifndef WARP
#define WARP 32
#endif

template <int above_, int left_, int right_>
struct TapOrder {
    static constexpr int above = above_;  // pixels that the kernel sees: rows above,
    static constexpr int left = left_;    // columns to the left,
    static constexpr int right = right_;  // columns to the right in the rows above
    static constexpr int across = left + 1 + right;
    static constexpr int slope = right + 1;
    static constexpr int taps = left + above * across;  // without the anchor

    // Two taps see the step just solved: that on the left, and the last one of the row above. They come first, and with
    // them what else fits into as many rounds; all others are summed up one step ahead.
    static constexpr int nearest = (left > 0) + (above > 0);

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

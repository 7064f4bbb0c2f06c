// What a solve by strips is compiled for.
//
// The pixels of a strip of rows lie in shared memory. The pixel in row i and column j is solved in step j + slope * i;
// in these coordinates quarter and half planes are the same thing. A pixel's sum stays within one warp: its lanes are
// (part of the outputs, share of the taps), and hold their part of the kernel in registers.

template <int channels_, int above_, int left_, int right_, int outputs_, int shares_, int warps_, int cluster_>
struct StripShape : TapOrder<above_, left_, right_> {
    using Order = TapOrder<above_, left_, right_>;
    static constexpr int channels = channels_;  // of one group
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
    static constexpr int taps_per_lane = (Order::taps + shares - 1) / shares;

    static constexpr int late = (Order::nearest + shares - 1) / shares;

    static constexpr int table = (1 + Order::taps) * channels * channels;
    static constexpr int squares = 3 * channels * channels;  // of double precision, to make it
    static constexpr int prepare_threads = 256;
};

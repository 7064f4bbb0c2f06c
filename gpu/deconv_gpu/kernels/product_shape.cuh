// What a solve by matrix products is compiled for.
//
// A strip has eight rows, so that the pixels of a step are the eight columns of a product on tensor cores: the kernel, a
// matrix of (output) x (tap, input), times what the taps see. Its entries stay in registers, cut into a large part and a
// rest, each of which the tensor cores take exactly.

template <int channels_, int above_, int left_, int right_, int warps_, int cluster_>
struct ProductShape : TapOrder<above_, left_, right_> {
    using Order = TapOrder<above_, left_, right_>;
    static constexpr int channels = channels_;  // of one group
    static constexpr int warps = warps_;
    static constexpr int cluster = cluster_;  // strips of an image: blocks of a cluster

    static constexpr int rows = 8;
    static constexpr int pixel = 4 * ((channels + 3) / 4 | 1);  // numbers from one pixel to the next
    static constexpr int threads = warps * WARP;
    static constexpr int blocks_of_outputs = (channels + 15) / 16;
    static constexpr int late_entries = Order::nearest * channels;  // of the taps that see the step just solved
    static constexpr int early_entries = (Order::taps + 1 - Order::nearest) * channels;  // of the others, and the data
    static constexpr int late = ((late_entries + 7) / 8 + warps - 1) / warps;    // products of a warp
    static constexpr int early = ((early_entries + 7) / 8 + warps - 1) / warps;
    static constexpr int addresses = channels % 8 == 0 ? 1 : 2;  // of a product: its eight entries may be of one pixel
    static constexpr int table = (1 + Order::taps) * channels * channels;

    static constexpr int prepare_threads = 256;
    static constexpr int columns = 16;  // of a matrix, that a block makes
    static constexpr int slices = (channels + columns - 1) / columns;
};

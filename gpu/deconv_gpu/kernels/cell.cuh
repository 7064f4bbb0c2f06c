// What a kernel is compiled for: the sizes that loops unroll over and registers are counted by.
//
// An image is cut into cells of CellRows x CellColumns pixels. The unknowns of a cell, in the order (row, column,
// channel), are solved together; from cell to cell the operator is causal again, with N x N matrices for taps. Times
// are counted in steps: the cell in row i and column j is solved in step j + slope * i, and every tap reaches back at
// least one step. In these coordinates quarter and half planes are the same thing.

#ifndef WARP
#define WARP 32
#endif

// A run of numbers that is loaded and stored at once.
template <typename Scalar, int size>
struct alignas(size * sizeof(Scalar) % 16 == 0 ? 16 : size % 2 == 0 ? 2 * sizeof(Scalar) : sizeof(Scalar)) Pack {
    Scalar at[size];
};

template <typename Scalar_, int channels_, int cell_rows_, int cell_columns_, int above_, int left_, int right_,
          int split_, int outputs_, int rows_per_thread_, bool held_>
struct CellShape {
    using Scalar = Scalar_;
    static constexpr int channels = channels_;          // of one group
    static constexpr int cell_rows = cell_rows_;        // pixels
    static constexpr int cell_columns = cell_columns_;
    static constexpr int above = above_;                // cells that the kernel sees: rows above,
    static constexpr int left = left_;                  // columns to the left,
    static constexpr int right = right_;                // columns to the right in the rows above
    static constexpr int split = split_;                // lanes that share the taps of one result
    static constexpr int outputs = outputs_;            // results that one thread sums up in registers
    static constexpr int rows_per_thread = rows_per_thread_;
    static constexpr bool held = held_;                 // taps stay in registers, rather than in shared memory

    static constexpr int unknowns = channels * cell_rows * cell_columns;
    static constexpr int parts = (unknowns + outputs - 1) / outputs;
    static constexpr int across = left + 1 + right;
    static constexpr int slope = right + 1;
    static constexpr int reach = left + slope * above;  // steps back to the furthest tap
    static constexpr int taps = left + above * across;  // without the anchor
    static constexpr int taps_per_lane = (taps + split - 1) / split;
    static constexpr int table = 1 + taps_per_lane * split;  // matrices: for the data, then the taps, filled up by zeros

    // Cells are stored at odd multiples of a vector, and so are rows and matrices: consecutive lanes, which differ in
    // the row, the step or the tap, never meet in a bank of shared memory.
    static constexpr int vector = unknowns % (16 / sizeof(Scalar)) == 0 ? 16 / sizeof(Scalar) : unknowns % 2 == 0 ? 2 : 1;
    static constexpr int cell_stride = ((parts * outputs + vector - 1) / vector | 1) * vector;
    static constexpr int line = 16 / sizeof(Scalar);
    static constexpr int matrix = ((parts * unknowns * outputs + line - 1) / line | 1) * line;

    using Inputs = Pack<Scalar, vector>;
    using Results = Pack<Scalar, outputs>;

    // How a tap displaces: so many rows up, so many columns to the left.
    __device__ static int rows_up(int tap) { return tap < left ? 0 : 1 + (tap - left) / across; }
    __device__ static int columns_back(int tap) { return tap < left ? tap + 1 : left - (tap - left) % across; }
};

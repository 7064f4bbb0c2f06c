// A kernel of any strides.
struct Kernel {
    const float *origin;
    long long of_output, of_input, of_row, of_column;
    int rows, columns, anchor;

    // An entry of the tap that sees the pixel so many rows up and so many columns to the left.
    __device__ float operator()(int output, int input, int up, int back) const
    {
        return origin[output * of_output + input * of_input + (rows - 1 - up) * of_row + (anchor - back) * of_column];
    }
};

// The matrices of one group of channels by each block, for solves of many images.
template <class S>
__global__ void __launch_bounds__(S::prepare_threads) prepare_strip(const float *__restrict__ weight,
                                                                    long long of_output, long long of_input,
                                                                    long long of_row, long long of_column,
                                                                    int kernel_rows, int kernel_columns, int anchor,
                                                                    float *__restrict__ tables)
{
    SHARED_MEMORY(memory);
    double *squares = reinterpret_cast<double *>(memory);
    float *table = reinterpret_cast<float *>(squares + S::squares);
    int *passes = reinterpret_cast<int *>(table + S::table);
    const int group = blockIdx.x;
    const Kernel kernel = {weight + group * S::channels * of_output, of_output, of_input, of_row, of_column,
                           kernel_rows, kernel_columns, anchor};
    prepare_matrices<S>(kernel, squares, passes, table);
    for (int e = threadIdx.x; e < S::table; e += blockDim.x)
        tables[group * S::table + e] = table[e];
}

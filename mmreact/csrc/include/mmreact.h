/* Runs packed 1-bit networks of mmreact without Python.
 *
 *   mmr_model* model = mmr_load_file("net.safetensors", NULL, 0);
 *   if (!model) puts(mmr_error());
 *
 * Functions that can fail return NULL or a number other than 0; mmr_error()
 * then says why. All may be called from several threads, also with the same
 * model, whose runs then wait for each other.
 */
#ifndef MMREACT_H
#define MMREACT_H

#include <stddef.h>
#include <stdint.h>

#define MMR_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* Raised with every change that a caller would have to know of. */
#define MMR_ABI_VERSION 1
MMR_API int mmr_abi_version(void);

/* What went wrong in the last call of this thread that failed, in UTF-8. */
MMR_API const char* mmr_error(void);

/* The kernels that were built, the fastest first; NULL behind the last one. */
MMR_API const char* mmr_kernel_name(int index);
/* Whether this processor can run it. */
MMR_API int mmr_kernel_supported(int index);

typedef struct mmr_model mmr_model;

/* Loads a packed file, or the bytes of one, which are not needed afterwards.
 *
 * kernel: a name; NULL for that in the environment variable MMREACT_KERNEL or,
 *     if there is none, the fastest that this processor can run.
 * threads: that one run uses, the caller's included; 0 for all cores.
 */
MMR_API mmr_model* mmr_load_file(const char* path, const char* kernel,
                                 int threads);
MMR_API mmr_model* mmr_load_buffer(const void* data, size_t size,
                                   const char* kernel, int threads);
/* Not while a run goes on. NULL is allowed. */
MMR_API void mmr_free(mmr_model* model);

/* The kernel that the model uses. */
MMR_API const char* mmr_kernel(const mmr_model* model);
/* Channels, height and width that the network was made for. */
MMR_API void mmr_input_shape(const mmr_model* model, int64_t shape[3]);
/* The operation that gives the scores of the classes. */
MMR_API const char* mmr_output_name(const mmr_model* model);
/* Names of the classes; NULL behind the last one. There may be none. */
MMR_API const char* mmr_class_name(const mmr_model* model, int64_t index);
/* A pixel p, 0 to 255, of channel c enters the network as
 * (p - mean[c]) / std[c]; channels says in what order: "rgb", "bgr", "gray".
 * Fails if the file does not say it. */
MMR_API int mmr_normalisation(const mmr_model* model, const float** mean,
                              const float** std, const char** channels);

/* Kind and shape of the result of an operation for an input (n, C, h, w):
 * *sign is 1 for signs and 0 for real values, shape has *dims (4 or 2)
 * numbers. Fails if the network cannot take the input. */
MMR_API int mmr_result_shape(const mmr_model* model, const char* operation,
                             int64_t n, int64_t h, int64_t w, int* sign,
                             int64_t shape[4], int* dims);

/* Computes the results of some operations.
 *
 * input: (n, C, h, w) floats, of input_bytes bytes.
 * operations, outputs, output_bytes: `count` names, where to put the results
 *     (floats, of signs int8_t: +1 and -1), and how many bytes these have.
 *
 * The first call for a shape and a list of operations plans; the later ones
 * do not allocate. Buffers of floats must be aligned to them.
 */
MMR_API int mmr_run(mmr_model* model, const float* input, size_t input_bytes,
                    int64_t n, int64_t h, int64_t w, int count,
                    const char* const* operations, void* const* outputs,
                    const size_t* output_bytes);

#ifdef __cplusplus
}
#endif

#endif

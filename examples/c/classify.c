/* Classifies an image with a packed network, without Python.
 *
 *   classify NETWORK.safetensors IMAGE.ppm
 *
 * The image is a binary PPM (P6, RGB) of the size that the network takes; many
 * programs write one, e.g. `convert photo.jpg -resize 256x256^ -gravity center
 * -extent 224x224 image.ppm`. Prints the best classes with their scores.
 *
 * Built with (LIBRARY is _native.abi3.so in the folder mmreact/packed)
 *   cc -O2 classify.c -I mmreact/csrc/include LIBRARY -lm -o classify
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mmreact.h"

static void fail(const char* message) {
  fprintf(stderr, "%s\n", message);
  exit(1);
}

/* The pixels of a PPM, which must have this size. */
static unsigned char* read_ppm(const char* path, int64_t height,
                               int64_t width) {
  FILE* file = fopen(path, "rb");
  if (!file) fail("The image cannot be opened.");
  long w, h, most;
  if (fscanf(file, "P6 %ld %ld %ld", &w, &h, &most) != 3 || most != 255)
    fail("The image is not a binary PPM with 8 bits for each colour.");
  fgetc(file);
  if (w != width || h != height) {
    fprintf(stderr, "The network takes images of %ldx%ld, not %ldx%ld.\n",
            (long)width, (long)height, w, h);
    exit(1);
  }
  const size_t size = (size_t)(3 * w * h);
  unsigned char* pixels = malloc(size);
  if (!pixels || fread(pixels, 1, size, file) != size)
    fail("The image is cut off.");
  fclose(file);
  return pixels;
}

/* From RGB pixels side by side to normalised planes, as the file says. */
static float* normalise(const mmr_model* model, const unsigned char* pixels,
                        int64_t count) {
  const float *mean, *std;
  const char* channels;
  if (mmr_normalisation(model, &mean, &std, &channels)) fail(mmr_error());
  if (strcmp(channels, "gray") == 0) fail("The network takes grey images.");
  const int reversed = strcmp(channels, "bgr") == 0;
  float* planes = malloc(3 * (size_t)count * sizeof(float));
  if (!planes) fail("There is not enough memory.");
  for (int c = 0; c < 3; ++c)
    for (int64_t i = 0; i < count; ++i)
      planes[c * count + i] =
          (pixels[3 * i + (reversed ? 2 - c : c)] - mean[c]) / std[c];
  return planes;
}

static void print_best(const mmr_model* model, const float* logits,
                       int64_t count) {
  double sum = 0;
  float largest = logits[0];
  for (int64_t i = 1; i < count; ++i)
    if (logits[i] > largest) largest = logits[i];
  for (int64_t i = 0; i < count; ++i) sum += exp(logits[i] - largest);
  char* shown = calloc((size_t)count, 1);
  if (!shown) fail("There is not enough memory.");
  for (int rank = 0; rank < 5 && rank < count; ++rank) {
    int64_t best = -1;
    for (int64_t i = 0; i < count; ++i)
      if (!shown[i] && (best < 0 || logits[i] > logits[best])) best = i;
    shown[best] = 1;
    const char* name = mmr_class_name(model, best);
    printf("%.4f %ld %s\n", exp(logits[best] - largest) / sum, (long)best,
           name ? name : "");
  }
  free(shown);
}

int main(int argc, char** argv) {
  if (argc != 3) fail("Usage: classify NETWORK.safetensors IMAGE.ppm");
  mmr_model* model = mmr_load_file(argv[1], NULL, 0);
  if (!model) fail(mmr_error());
  int64_t input[3];
  mmr_input_shape(model, input);
  if (input[0] != 3) fail("The network does not take colour images.");
  const int64_t height = input[1], width = input[2];
  unsigned char* pixels = read_ppm(argv[2], height, width);
  float* x = normalise(model, pixels, height * width);

  const char* output = mmr_output_name(model);
  int sign, dims;
  int64_t shape[4];
  if (mmr_result_shape(model, output, 1, height, width, &sign, shape, &dims))
    fail(mmr_error());
  if (dims != 2 || sign) fail("The network does not give scores of classes.");
  float* logits = malloc((size_t)shape[1] * sizeof(float));
  if (!logits) fail("There is not enough memory.");
  void* outputs[] = {logits};
  const size_t bytes[] = {(size_t)shape[1] * sizeof(float)};
  if (mmr_run(model, x, 3 * (size_t)(height * width) * sizeof(float), 1,
              height, width, 1, &output, outputs, bytes))
    fail(mmr_error());
  print_best(model, logits, shape[1]);

  free(logits);
  free(x);
  free(pixels);
  mmr_free(model);
  return 0;
}

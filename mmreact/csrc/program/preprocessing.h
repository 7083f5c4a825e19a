// From images to a network's input: what a packed file says of it.
#pragma once

#include "../file/json.h"
#include "operation.h"

namespace mmreact {

// Checks the preprocessing by the rules of mmreact/packed/preprocessing.py
// and resizing.py, and keeps what a caller without Python needs: mean, std and
// channels. Throws Error if a value cannot be meant or does not fit.
void decode_preprocessing(const Json& json, Program& program);

}  // namespace mmreact

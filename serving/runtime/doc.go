// Package runtime evaluates trained tabular models in pure Go.
//
// A model is an ONNX file. Load parses it with limits, compiles it once and
// refuses anything outside the subset below with a *LoadError that names the
// node, the operator and what to do instead; there is no fallback that would
// run a part of a graph. A *Model is immutable and safe for concurrent use.
//
// # Subset
//
// ai.onnx.ml 1–5: ArrayFeatureExtractor, Binarizer, CategoryMapper,
// FeatureVectorizer, Imputer, LabelEncoder, LinearClassifier, LinearRegressor,
// Normalizer, OneHotEncoder, Scaler, TreeEnsemble, TreeEnsembleClassifier,
// TreeEnsembleRegressor, ZipMap.
//
// ai.onnx 7–28: Add, ArgMax, Cast, Concat, Constant, Div, Flatten, Gemm,
// Identity, MatMul, Mul, ReduceSum, Relu, Reshape, Sigmoid, Sign, Softmax,
// Squeeze, Sub, Transpose, Unsqueeze.
//
// Element types: float32, float64, int64, int32, bool, string. Control flow,
// functions, sparse, external and quantised tensors are refused.
//
// # Conventions where the ONNX text is silent
//
// They follow ONNX Runtime, so that a model gives the same answer here and
// there; a form that ONNX Runtime answers from scores that it never computed,
// or answers with a label that contradicts the scores, is refused at load.
//
//   - A linear classifier with one row of coefficients and two labels scores
//     the second label with s: LOGISTIC gives [σ(−s), σ(s)], every other
//     transform [1−s, s], and the label is the second one iff s > 0.
//   - A tree classifier with two labels whose weights all belong to class 0
//     scores the second label with their sum s. Let "positive" mean that no
//     weight is negative: the label is the second one iff s > 0.5 (positive) or
//     s > 0. LOGISTIC gives [σ(−s), σ(s)]; PROBIT is refused; any other
//     transform gives [1−s, s] if positive, else [−s, s]. Weights that all
//     belong to class 1 give [0, s] with the same rule for the label.
//     Weights for both classes of two are refused.
//   - ZipMap yields its input tensor; the keys are IO.Labels of the output.
//   - SOFTMAX_ZERO leaves scores within 1e-7 of zero at (almost) zero; a row of
//     nothing but zeros is NaN.
//   - A branch compares with the IEEE rules, so a NaN takes the false branch of
//     every mode except NEQ, unless the node's missing-value track says true.
//   - A Binarizer refuses NaN, and so does a LabelEncoder as a key before version
//     4 of ai.onnx.ml. Of equal keys of a LabelEncoder the first one counts.
//   - base_values are added to the score of every class or target, also where no
//     leaf of a row contributed. Without them, the label of three or more classes
//     is the best of those to which a leaf contributed.
//   - A regressor of a single target takes post_transform NONE or PROBIT; for
//     another one a node after it says what is meant.
//   - PROBIT uses the exact inverse error function, where ONNX Runtime uses an
//     approximation good to about 2e-3.
//
// Tree scores are summed in the input's precision (float32 for float32 and
// integers) in tree order, so that results are the same on every machine;
// linear scores and matrix products are summed in float64 in index order.
package runtime

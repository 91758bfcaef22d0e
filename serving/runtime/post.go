package runtime

import "math"

// post is a post_transform, applied to the scores of one row.
type post uint8

const (
	postNone post = iota
	postSoftmax
	postLogistic
	postSoftmaxZero
	postProbit
)

func (b *builder) post() (post, *LoadError) {
	switch s := b.str("post_transform", "NONE"); s {
	case "NONE":
		return postNone, nil
	case "SOFTMAX":
		return postSoftmax, nil
	case "LOGISTIC":
		return postLogistic, nil
	case "SOFTMAX_ZERO":
		return postSoftmaxZero, nil
	case "PROBIT":
		return postProbit, nil
	default:
		return 0, refuse(remedyReexport, "its post_transform is %q", s)
	}
}

// single refuses what runtimes read in two ways: ONNX Runtime leaves the score
// of a regressor with one target as it is, where the text of ONNX transforms it.
func (p post) single(targets int) *LoadError {
	if targets == 1 && p != postNone && p != postProbit {
		return refuse("use post_transform NONE and a Sigmoid node after it", "runtimes disagree on a post_transform over a single target")
	}
	return nil
}

// apply transforms the scores in place.
func (p post) apply(s []float64) {
	switch p {
	case postLogistic:
		for i, v := range s {
			s[i] = logistic(v)
		}
	case postProbit:
		for i, v := range s {
			s[i] = math.Sqrt2 * math.Erfinv(float64(2*v)-1)
		}
	case postSoftmax, postSoftmaxZero:
		top := math.Inf(-1)
		for _, v := range s {
			if v > top {
				top = v
			}
		}
		sum := 0.0
		for i, v := range s {
			if p == postSoftmaxZero && math.Abs(v) <= 1e-7 {
				s[i] = v * math.Exp(-top)
			} else {
				s[i] = math.Exp(v - top)
			}
			sum += s[i]
		}
		for i := range s {
			s[i] /= sum
		}
	}
}

// twoScores writes the single score of the second of two classes as two; the
// package documentation gives the convention.
func twoScores(s float64, p post, positive bool) [2]float64 {
	switch {
	case p == postLogistic:
		return [2]float64{logistic(-s), logistic(s)}
	case positive:
		return [2]float64{1 - s, s}
	}
	return [2]float64{-s, s}
}

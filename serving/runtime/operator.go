package runtime

// maker builds an operator's kernel from its node. A nil kernel means that the
// node was a constant.
type maker func(*builder) (func(*frame) error, *LoadError)

// operator is the table of the subset.
func operator(domain, op string) (maker, bool) {
	var m maker
	switch domain {
	case "":
		m = standardOperator(op)
	case "ai.onnx.ml":
		m = tabularOperator(op)
	}
	return m, m != nil
}

func standardOperator(op string) maker {
	switch op {
	case "Add", "Sub", "Mul", "Div":
		return makeArithmetic
	case "ArgMax":
		return makeArgMax
	case "Cast":
		return makeCast
	case "Concat":
		return makeConcat
	case "Constant":
		return makeConstant
	case "Flatten":
		return makeFlatten
	case "Gemm":
		return makeGemm
	case "Identity":
		return makeIdentity
	case "MatMul":
		return makeMatMul
	case "ReduceSum":
		return makeReduceSum
	case "Relu":
		return makeRelu
	case "Reshape":
		return makeReshape
	case "Sigmoid":
		return makeSigmoid
	case "Sign":
		return makeSign
	case "Softmax":
		return makeSoftmax
	case "Squeeze":
		return makeSqueeze
	case "Transpose":
		return makeTranspose
	case "Unsqueeze":
		return makeUnsqueeze
	}
	return nil
}

func tabularOperator(op string) maker {
	switch op {
	case "ArrayFeatureExtractor":
		return makeArrayFeatureExtractor
	case "Binarizer":
		return makeBinarizer
	case "CategoryMapper":
		return makeCategoryMapper
	case "FeatureVectorizer":
		return makeFeatureVectorizer
	case "Imputer":
		return makeImputer
	case "LabelEncoder":
		return makeLabelEncoder
	case "LinearClassifier":
		return makeLinearClassifier
	case "LinearRegressor":
		return makeLinearRegressor
	case "Normalizer":
		return makeNormalizer
	case "OneHotEncoder":
		return makeOneHotEncoder
	case "Scaler":
		return makeScaler
	case "TreeEnsemble":
		return makeTreeEnsemble
	case "TreeEnsembleClassifier":
		return makeTreeClassifier
	case "TreeEnsembleRegressor":
		return makeTreeRegressor
	case "ZipMap":
		return makeZipMap
	}
	return nil
}

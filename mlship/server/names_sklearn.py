"""Exact names of fitted scikit-learn models, numpy's and scipy's ufuncs, sparse matrices and distributions.

Written by tests/frameworks/make_names.py from scikit-learn 1.3 to 1.9; not edited by hand.
"""

# module -> its names, separated by spaces
NAMES = {
    "numpy": (
        "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count bitwise_or "
        "bitwise_xor cbrt ceil conjugate copysign cos cosh deg2rad degrees divide divmod equal exp exp2 expm1 fabs "
        "float_power floor floor_divide fmax fmin fmod frexp gcd greater greater_equal heaviside hypot invert isfinite "
        "isinf isnan isnat lcm ldexp left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and "
        "logical_not logical_or logical_xor matmul matvec maximum minimum modf multiply negative nextafter not_equal "
        "positive power rad2deg radians reciprocal remainder right_shift rint sign signbit sin sinh spacing sqrt "
        "square subtract tan tanh trunc vecdot vecmat"
    ),
    "numpy._core._multiarray_umath": (
        "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count bitwise_or "
        "bitwise_xor cbrt ceil clip conjugate copysign cos cosh count deg2rad degrees divide divmod endswith equal exp "
        "exp2 expm1 fabs find float_power floor floor_divide fmax fmin fmod frexp gcd greater greater_equal heaviside "
        "hypot index invert isalnum isalpha isdecimal isdigit isfinite isinf islower isnan isnat isnumeric isspace "
        "istitle isupper lcm ldexp left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and "
        "logical_not logical_or logical_xor matmul matvec maximum minimum modf multiply negative nextafter not_equal "
        "positive power rad2deg radians reciprocal remainder rfind right_shift rindex rint sign signbit sin sinh "
        "spacing sqrt square startswith str_len subtract tan tanh trunc vecdot vecmat"
    ),
    "numpy._core.umath": (
        "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count bitwise_or "
        "bitwise_xor cbrt ceil clip conjugate copysign cos cosh count deg2rad degrees divide divmod endswith equal exp "
        "exp2 expm1 fabs find float_power floor floor_divide fmax fmin fmod frexp gcd greater greater_equal heaviside "
        "hypot index invert isalnum isalpha isdecimal isdigit isfinite isinf islower isnan isnat isnumeric isspace "
        "istitle isupper lcm ldexp left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and "
        "logical_not logical_or logical_xor matmul matvec maximum minimum modf multiply negative nextafter not_equal "
        "positive power rad2deg radians reciprocal remainder rfind right_shift rindex rint sign signbit sin sinh "
        "spacing sqrt square startswith str_len subtract tan tanh trunc vecdot vecmat"
    ),
    "numpy.core._multiarray_umath": (
        "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count bitwise_or "
        "bitwise_xor cbrt ceil clip conjugate copysign cos cosh count deg2rad degrees divide divmod endswith equal exp "
        "exp2 expm1 fabs find float_power floor floor_divide fmax fmin fmod frexp gcd greater greater_equal heaviside "
        "hypot index invert isalnum isalpha isdecimal isdigit isfinite isinf islower isnan isnat isnumeric isspace "
        "istitle isupper lcm ldexp left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and "
        "logical_not logical_or logical_xor matmul matvec maximum minimum modf multiply negative nextafter not_equal "
        "positive power rad2deg radians reciprocal remainder rfind right_shift rindex rint sign signbit sin sinh "
        "spacing sqrt square startswith str_len subtract tan tanh trunc vecdot vecmat"
    ),
    "numpy.core.umath": (
        "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count bitwise_or "
        "bitwise_xor cbrt ceil clip conjugate copysign cos cosh count deg2rad degrees divide divmod endswith equal exp "
        "exp2 expm1 fabs find float_power floor floor_divide fmax fmin fmod frexp gcd greater greater_equal heaviside "
        "hypot index invert isalnum isalpha isdecimal isdigit isfinite isinf islower isnan isnat isnumeric isspace "
        "istitle isupper lcm ldexp left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and "
        "logical_not logical_or logical_xor matmul matvec maximum minimum modf multiply negative nextafter not_equal "
        "positive power rad2deg radians reciprocal remainder rfind right_shift rindex rint sign signbit sin sinh "
        "spacing sqrt square startswith str_len subtract tan tanh trunc vecdot vecmat"
    ),
    "scipy.sparse._bsr": ("bsr_array bsr_matrix"),
    "scipy.sparse._coo": ("coo_array coo_matrix"),
    "scipy.sparse._csc": ("csc_array csc_matrix"),
    "scipy.sparse._csr": ("csr_array csr_matrix"),
    "scipy.sparse._dia": ("dia_array dia_matrix"),
    "scipy.sparse._dok": ("dok_array dok_matrix"),
    "scipy.sparse._lil": ("lil_array lil_matrix"),
    "scipy.sparse.bsr": ("bsr_array bsr_matrix"),
    "scipy.sparse.coo": ("coo_array coo_matrix"),
    "scipy.sparse.csc": ("csc_array csc_matrix"),
    "scipy.sparse.csr": ("csr_array csr_matrix"),
    "scipy.sparse.dia": ("dia_array dia_matrix"),
    "scipy.sparse.dok": ("dok_array dok_matrix"),
    "scipy.sparse.lil": ("lil_array lil_matrix"),
    "scipy.special": (
        "agm airy airye bdtr bdtrc bdtri bdtrik bdtrin bei beip ber berp besselpoly beta betainc betaincc betainccinv "
        "betaincinv betaln binom boxcox boxcox1p btdtr btdtri btdtria btdtrib cbrt chdtr chdtrc chdtri chdtriv chndtr "
        "chndtridf chndtrinc chndtrix cosdg cosm1 cotdg dawsn ellipe ellipeinc ellipj ellipk ellipkinc ellipkm1 "
        "elliprc elliprd elliprf elliprg elliprj entr erf erfc erfcinv erfcx erfi erfinv eval_chebyc eval_chebys "
        "eval_chebyt eval_chebyu eval_gegenbauer eval_genlaguerre eval_hermite eval_hermitenorm eval_jacobi "
        "eval_laguerre eval_legendre eval_sh_chebyt eval_sh_chebyu eval_sh_jacobi eval_sh_legendre exp1 exp10 exp2 "
        "expi expit expm1 expn exprel fdtr fdtrc fdtri fdtridfd fresnel gamma gammainc gammaincc gammainccinv "
        "gammaincinv gammaln gammasgn gdtr gdtrc gdtria gdtrib gdtrix hankel1 hankel1e hankel2 hankel2e huber hyp0f1 "
        "hyp1f1 hyp2f1 hyperu i0 i0e i1 i1e inv_boxcox inv_boxcox1p it2i0k0 it2j0y0 it2struve0 itairy iti0k0 itj0y0 "
        "itmodstruve0 itstruve0 iv ive j0 j1 jv jve k0 k0e k1 k1e kei keip kelvin ker kerp kl_div kn kolmogi "
        "kolmogorov kv kve log1p log_expit log_ndtr log_wright_bessel loggamma logit lpmv mathieu_a mathieu_b "
        "mathieu_cem mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2 mathieu_sem modfresnelm "
        "modfresnelp modstruve nbdtr nbdtrc nbdtri nbdtrik nbdtrin ncfdtr ncfdtri ncfdtridfd ncfdtridfn ncfdtrinc "
        "nctdtr nctdtridf nctdtrinc nctdtrit ndtr ndtri ndtri_exp nrdtrimn nrdtrisd obl_ang1 obl_ang1_cv obl_cv "
        "obl_rad1 obl_rad1_cv obl_rad2 obl_rad2_cv owens_t pbdv pbvv pbwa pdtr pdtrc pdtri pdtrik poch powm1 pro_ang1 "
        "pro_ang1_cv pro_cv pro_rad1 pro_rad1_cv pro_rad2 pro_rad2_cv pseudo_huber psi radian rel_entr rgamma round "
        "shichi sici sindg smirnov smirnovi spence sph_harm stdtr stdtridf stdtrit struve tandg tklmbda voigt_profile "
        "wofz wright_bessel wrightomega xlog1py xlogy y0 y1 yn yv yve zetac"
    ),
    "scipy.special._basic": ("binom floor gamma hankel1 hankel2 iv jv kv mathieu_a mathieu_b poch psi rgamma sin sqrt yv"),
    "scipy.special._orthogonal": ("airy arccos cos exp floor sin sqrt"),
    "scipy.special._special_ufuncs": (
        "airy airye bei beip ber berp besselpoly beta betaln binom cbrt cosdg cosm1 cotdg dawsn ellipe ellipeinc "
        "ellipj ellipk ellipkinc ellipkm1 erf erfc erfcx erfi exp1 exp10 exp2 expi expit expm1 exprel fresnel gamma "
        "gammainc gammaincc gammainccinv gammaincinv gammaln gammasgn hankel1 hankel1e hankel2 hankel2e hyp2f1 i0 i0e "
        "i1 i1e it2i0k0 it2j0y0 it2struve0 itairy iti0k0 itj0y0 itmodstruve0 itstruve0 iv ive j0 j1 jv jve k0 k0e k1 "
        "k1e kei keip kelvin ker kerp kv kve log1p log_expit log_ndtr log_wright_bessel loggamma logit mathieu_a "
        "mathieu_b mathieu_cem mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2 mathieu_sem modfresnelm "
        "modfresnelp modstruve ndtr obl_ang1 obl_ang1_cv obl_cv obl_rad1 obl_rad1_cv obl_rad2 obl_rad2_cv pbdv pbvv "
        "pbwa pro_ang1 pro_ang1_cv pro_cv pro_rad1 pro_rad1_cv pro_rad2 pro_rad2_cv psi radian rgamma sindg sph_harm "
        "struve tandg voigt_profile wofz wright_bessel xlog1py xlogy y0 y1 yv yve zetac"
    ),
    "scipy.special._support_alternative_backends": (
        "bdtr bdtrc bdtri betainc betaincc betaincinv betaln binom boxcox boxcox1p cbrt chdtr chdtrc chdtri cosdg "
        "cosm1 cotdg ellipk ellipkm1 entr erf erfc erfcx erfinv exp1 exp10 exp2 expi expit expn exprel fdtr fdtrc "
        "fdtri gamma gammainc gammaincc gammainccinv gammaincinv gammaln gammasgn gdtr gdtrc huber hyp1f1 i0 i0e i1 "
        "i1e inv_boxcox inv_boxcox1p j0 j1 k0 k0e k1 k1e kl_div log_ndtr loggamma logit lpmv nbdtr nbdtrc nbdtri ndtr "
        "ndtri pdtr pdtrc pdtri poch pseudo_huber psi radian rel_entr rgamma sindg spence stdtr stdtrit tandg xlog1py "
        "xlogy y0 y1 yn zetac"
    ),
    "scipy.special._ufuncs": (
        "agm airy airye bdtr bdtrc bdtri bdtrik bdtrin bei beip ber berp besselpoly beta betainc betaincc betainccinv "
        "betaincinv betaln binom boxcox boxcox1p btdtr btdtri btdtria btdtrib cbrt chdtr chdtrc chdtri chdtriv chndtr "
        "chndtridf chndtrinc chndtrix cosdg cosm1 cotdg dawsn ellipe ellipeinc ellipj ellipk ellipkinc ellipkm1 "
        "elliprc elliprd elliprf elliprg elliprj entr erf erfc erfcinv erfcx erfi erfinv eval_chebyc eval_chebys "
        "eval_chebyt eval_chebyu eval_gegenbauer eval_genlaguerre eval_hermite eval_hermitenorm eval_jacobi "
        "eval_laguerre eval_legendre eval_sh_chebyt eval_sh_chebyu eval_sh_jacobi eval_sh_legendre exp1 exp10 exp2 "
        "expi expit expm1 expn exprel fdtr fdtrc fdtri fdtridfd fresnel gamma gammainc gammaincc gammainccinv "
        "gammaincinv gammaln gammasgn gdtr gdtrc gdtria gdtrib gdtrix hankel1 hankel1e hankel2 hankel2e huber hyp0f1 "
        "hyp1f1 hyp2f1 hyperu i0 i0e i1 i1e inv_boxcox inv_boxcox1p it2i0k0 it2j0y0 it2struve0 itairy iti0k0 itj0y0 "
        "itmodstruve0 itstruve0 iv ive j0 j1 jv jve k0 k0e k1 k1e kei keip kelvin ker kerp kl_div kn kolmogi "
        "kolmogorov kv kve log1p log_expit log_ndtr log_wright_bessel loggamma logit lpmv mathieu_a mathieu_b "
        "mathieu_cem mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2 mathieu_sem modfresnelm "
        "modfresnelp modstruve nbdtr nbdtrc nbdtri nbdtrik nbdtrin ncfdtr ncfdtri ncfdtridfd ncfdtridfn ncfdtrinc "
        "nctdtr nctdtridf nctdtrinc nctdtrit ndtr ndtri ndtri_exp nrdtrimn nrdtrisd obl_ang1 obl_ang1_cv obl_cv "
        "obl_rad1 obl_rad1_cv obl_rad2 obl_rad2_cv owens_t pbdv pbvv pbwa pdtr pdtrc pdtri pdtrik poch powm1 pro_ang1 "
        "pro_ang1_cv pro_cv pro_rad1 pro_rad1_cv pro_rad2 pro_rad2_cv pseudo_huber psi radian rel_entr rgamma round "
        "shichi sici sindg smirnov smirnovi spence sph_harm stdtr stdtridf stdtrit struve tandg tklmbda voigt_profile "
        "wofz wright_bessel wrightomega xlog1py xlogy y0 y1 yn yv yve zetac"
    ),
    "scipy.special.basic": ("gamma hankel1 hankel2 iv jv kv mathieu_a mathieu_b psi yv"),
    "scipy.stats._continuous_distns": (
        "alpha_gen anglit_gen arcsine_gen argus_gen beta_gen betaprime_gen bradford_gen burr12_gen burr_gen cauchy_gen "
        "chi2_gen chi_gen cosine_gen crystalball_gen dgamma_gen dpareto_lognorm_gen dweibull_gen erlang_gen expon_gen "
        "exponnorm_gen exponpow_gen exponweib_gen f_gen fatiguelife_gen fisk_gen foldcauchy_gen foldnorm_gen gamma_gen "
        "gausshyper_gen genexpon_gen genextreme_gen gengamma_gen genhalflogistic_gen genhyperbolic_gen geninvgauss_gen "
        "genlogistic_gen gennorm_gen genpareto_gen gibrat_gen gompertz_gen gumbel_l_gen gumbel_r_gen halfcauchy_gen "
        "halfgennorm_gen halflogistic_gen halfnorm_gen hypsecant_gen invgamma_gen invgauss_gen invweibull_gen "
        "irwinhall_gen jf_skew_t_gen johnsonsb_gen johnsonsu_gen kappa3_gen kappa4_gen ksone_gen kstwo_gen "
        "kstwobign_gen landau_gen laplace_asymmetric_gen laplace_gen levy_gen levy_l_gen loggamma_gen logistic_gen "
        "loglaplace_gen lognorm_gen lomax_gen maxwell_gen mielke_gen moyal_gen nakagami_gen ncf_gen nct_gen ncx2_gen "
        "norm_gen norminvgauss_gen pareto_gen pearson3_gen powerlaw_gen powerlognorm_gen powernorm_gen rayleigh_gen "
        "rdist_gen recipinvgauss_gen reciprocal_gen rel_breitwigner_gen rice_gen rv_histogram semicircular_gen "
        "skewcauchy_gen skewnorm_gen studentized_range_gen t_gen trapezoid_gen trapz_gen triang_gen truncexpon_gen "
        "truncnorm_gen truncpareto_gen truncweibull_min_gen tukeylambda_gen uniform_gen vonmises_gen wald_gen "
        "weibull_max_gen weibull_min_gen wrapcauchy_gen"
    ),
    "scipy.stats._discrete_distns": (
        "_nchypergeom_gen _pb_cls bernoulli_gen betabinom_gen betanbinom_gen binom_gen boltzmann_gen dlaplace_gen "
        "geom_gen hypergeom_gen logser_gen nbinom_gen nchypergeom_fisher_gen nchypergeom_wallenius_gen nhypergeom_gen "
        "planck_gen poisson_binom_gen poisson_binomial_frozen poisson_gen randint_gen skellam_gen yulesimon_gen "
        "zipf_gen zipfian_gen"
    ),
    "scipy.stats._distn_infrastructure": (
        "rv_continuous rv_continuous_frozen rv_discrete rv_discrete_frozen rv_frozen rv_generic rv_sample"
    ),
    "sklearn._loss._loss": (
        "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss "
        "CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyLossFunction CyPinballLoss "
        "__pyx_unpickle_CyAbsoluteError __pyx_unpickle_CyExponentialLoss __pyx_unpickle_CyHalfBinomialLoss "
        "__pyx_unpickle_CyHalfGammaLoss __pyx_unpickle_CyHalfMultinomialLoss __pyx_unpickle_CyHalfPoissonLoss "
        "__pyx_unpickle_CyHalfSquaredError __pyx_unpickle_CyHalfTweedieLoss __pyx_unpickle_CyHalfTweedieLossIdentity "
        "__pyx_unpickle_CyHuberLoss __pyx_unpickle_CyLossFunction __pyx_unpickle_CyPinballLoss __pyx_unpickle_Enum"
    ),
    "sklearn._loss.link": ("BaseLink HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit"),
    "sklearn._loss.loss": (
        "AbsoluteError ArrayAPILossMixin BaseLoss ExponentialLoss HalfBinomialLoss HalfBinomialLossArrayAPI "
        "HalfGammaLoss HalfMultinomialLoss HalfMultinomialLossArrayAPI HalfPoissonLoss HalfPoissonLossArrayAPI "
        "HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss"
    ),
    "sklearn.base": ("BaseEstimator"),
    "sklearn.calibration": ("CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration _TemperatureScaling"),
    "sklearn.cluster._affinity_propagation": ("AffinityPropagation"),
    "sklearn.cluster._agglomerative": ("AgglomerativeClustering FeatureAgglomeration"),
    "sklearn.cluster._bicluster": ("BaseSpectral SpectralBiclustering SpectralCoclustering"),
    "sklearn.cluster._birch": ("Birch _CFNode _CFSubcluster"),
    "sklearn.cluster._bisect_k_means": ("BisectingKMeans _BisectingTree"),
    "sklearn.cluster._dbscan": ("DBSCAN"),
    "sklearn.cluster._hdbscan.hdbscan": ("HDBSCAN"),
    "sklearn.cluster._kmeans": (
        "KMeans MiniBatchKMeans _BaseKMeans _kmeans_single_elkan _kmeans_single_lloyd lloyd_iter_chunked_dense "
        "lloyd_iter_chunked_sparse"
    ),
    "sklearn.cluster._mean_shift": ("MeanShift"),
    "sklearn.cluster._optics": ("OPTICS"),
    "sklearn.cluster._spectral": ("SpectralClustering"),
    "sklearn.compose._column_transformer": ("ColumnTransformer _RemainderColsList make_column_selector"),
    "sklearn.compose._target": ("TransformedTargetRegressor"),
    "sklearn.covariance._elliptic_envelope": ("EllipticEnvelope"),
    "sklearn.covariance._empirical_covariance": ("EmpiricalCovariance"),
    "sklearn.covariance._graph_lasso": ("BaseGraphicalLasso GraphicalLasso GraphicalLassoCV"),
    "sklearn.covariance._robust_covariance": ("MinCovDet"),
    "sklearn.covariance._shrunk_covariance": ("LedoitWolf OAS ShrunkCovariance"),
    "sklearn.cross_decomposition._pls": ("CCA PLSCanonical PLSRegression PLSSVD _PLS"),
    "sklearn.decomposition._base": ("_BasePCA"),
    "sklearn.decomposition._dict_learning": ("DictionaryLearning MiniBatchDictionaryLearning SparseCoder"),
    "sklearn.decomposition._factor_analysis": ("FactorAnalysis"),
    "sklearn.decomposition._fastica": ("FastICA _cube _exp _logcosh"),
    "sklearn.decomposition._incremental_pca": ("IncrementalPCA"),
    "sklearn.decomposition._kernel_pca": ("KernelPCA"),
    "sklearn.decomposition._lda": ("LatentDirichletAllocation"),
    "sklearn.decomposition._nmf": ("MiniBatchNMF NMF _BaseNMF"),
    "sklearn.decomposition._pca": ("PCA"),
    "sklearn.decomposition._sparse_pca": ("MiniBatchSparsePCA SparsePCA _BaseSparsePCA"),
    "sklearn.decomposition._truncated_svd": ("TruncatedSVD"),
    "sklearn.discriminant_analysis": ("LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis"),
    "sklearn.dummy": ("DummyClassifier DummyRegressor"),
    "sklearn.ensemble._bagging": ("BaggingClassifier BaggingRegressor BaseBagging"),
    "sklearn.ensemble._base": ("BaseEnsemble _BaseHeterogeneousEnsemble"),
    "sklearn.ensemble._forest": (
        "BaseForest ExtraTreesClassifier ExtraTreesRegressor ForestClassifier ForestRegressor RandomForestClassifier "
        "RandomForestRegressor RandomTreesEmbedding"
    ),
    "sklearn.ensemble._gb": ("BaseGradientBoosting GradientBoostingClassifier GradientBoostingRegressor VerboseReporter"),
    "sklearn.ensemble._gb_losses": (
        "BinomialDeviance ClassificationLossFunction ExponentialLoss HuberLossFunction LeastAbsoluteError "
        "LeastSquaresError LossFunction MultinomialDeviance QuantileLossFunction RegressionLossFunction"
    ),
    "sklearn.ensemble._hist_gradient_boosting.binning": ("_BinMapper"),
    "sklearn.ensemble._hist_gradient_boosting.common": ("MonotonicConstraint"),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": (
        "BaseHistGradientBoosting HistGradientBoostingClassifier HistGradientBoostingRegressor"
    ),
    "sklearn.ensemble._hist_gradient_boosting.predictor": ("TreePredictor"),
    "sklearn.ensemble._iforest": ("IsolationForest"),
    "sklearn.ensemble._stacking": ("StackingClassifier StackingRegressor _BaseStacking"),
    "sklearn.ensemble._voting": ("VotingClassifier VotingRegressor _BaseVoting"),
    "sklearn.ensemble._weight_boosting": ("AdaBoostClassifier AdaBoostRegressor BaseWeightBoosting"),
    "sklearn.feature_extraction._dict_vectorizer": ("DictVectorizer"),
    "sklearn.feature_extraction._hash": ("FeatureHasher"),
    "sklearn.feature_extraction.image": ("PatchExtractor"),
    "sklearn.feature_extraction.text": ("CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer"),
    "sklearn.feature_selection._from_model": ("SelectFromModel"),
    "sklearn.feature_selection._mutual_info": ("mutual_info_classif mutual_info_regression"),
    "sklearn.feature_selection._rfe": ("RFE RFECV"),
    "sklearn.feature_selection._sequential": ("SequentialFeatureSelector"),
    "sklearn.feature_selection._univariate_selection": (
        "GenericUnivariateSelect SelectFdr SelectFpr SelectFwe SelectKBest SelectPercentile _BaseFilter chi2 f_classif "
        "f_oneway f_regression r_regression"
    ),
    "sklearn.feature_selection._variance_threshold": ("VarianceThreshold"),
    "sklearn.frozen._frozen": ("FrozenEstimator"),
    "sklearn.gaussian_process._gpc": ("GaussianProcessClassifier _BinaryGaussianProcessClassifierLaplace"),
    "sklearn.gaussian_process._gpr": ("GaussianProcessRegressor"),
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation GenericKernelMixin Hyperparameter "
        "Kernel KernelOperator Matern NormalizedKernelMixin PairwiseKernel Product RBF RationalQuadratic "
        "StationaryKernelMixin Sum WhiteKernel"
    ),
    "sklearn.impute._base": ("MissingIndicator SimpleImputer _BaseImputer"),
    "sklearn.impute._iterative": ("IterativeImputer _ImputerTriplet"),
    "sklearn.impute._knn": ("KNNImputer"),
    "sklearn.isotonic": ("IsotonicRegression"),
    "sklearn.kernel_approximation": ("AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler SkewedChi2Sampler"),
    "sklearn.kernel_ridge": ("KernelRidge"),
    "sklearn.linear_model._base": ("LinearModel LinearRegression MultiOutputLinearModel"),
    "sklearn.linear_model._bayes": ("ARDRegression BayesianRidge"),
    "sklearn.linear_model._coordinate_descent": (
        "ElasticNet ElasticNetCV Lasso LassoCV LinearModelCV MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso "
        "MultiTaskLassoCV"
    ),
    "sklearn.linear_model._glm.glm": ("GammaRegressor PoissonRegressor TweedieRegressor _GeneralizedLinearRegressor"),
    "sklearn.linear_model._huber": ("HuberRegressor"),
    "sklearn.linear_model._least_angle": ("Lars LarsCV LassoLars LassoLarsCV LassoLarsIC"),
    "sklearn.linear_model._linear_loss": ("LinearModelLoss"),
    "sklearn.linear_model._logistic": ("LogisticRegression LogisticRegressionCV"),
    "sklearn.linear_model._omp": ("OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV"),
    "sklearn.linear_model._passive_aggressive": ("PassiveAggressiveClassifier PassiveAggressiveRegressor"),
    "sklearn.linear_model._perceptron": ("Perceptron"),
    "sklearn.linear_model._quantile": ("QuantileRegressor"),
    "sklearn.linear_model._ransac": ("RANSACRegressor"),
    "sklearn.linear_model._ridge": (
        "Ridge RidgeCV RidgeClassifier RidgeClassifierCV _BaseRidge _BaseRidgeCV _IdentityClassifier "
        "_IdentityRegressor _RidgeGCV"
    ),
    "sklearn.linear_model._sgd_fast": (
        "Classification EpsilonInsensitive Hinge Huber Log LossFunction ModifiedHuber Regression "
        "SquaredEpsilonInsensitive SquaredHinge SquaredLoss __pyx_unpickle_Classification __pyx_unpickle_Enum "
        "__pyx_unpickle_LossFunction __pyx_unpickle_Regression"
    ),
    "sklearn.linear_model._stochastic_gradient": (
        "BaseSGD BaseSGDClassifier BaseSGDRegressor SGDClassifier SGDOneClassSVM SGDRegressor"
    ),
    "sklearn.linear_model._theil_sen": ("TheilSenRegressor"),
    "sklearn.manifold._classical_mds": ("ClassicalMDS"),
    "sklearn.manifold._isomap": ("Isomap"),
    "sklearn.manifold._locally_linear": ("LocallyLinearEmbedding"),
    "sklearn.manifold._mds": ("MDS"),
    "sklearn.manifold._spectral_embedding": ("SpectralEmbedding"),
    "sklearn.manifold._t_sne": ("TSNE"),
    "sklearn.metrics._classification": (
        "accuracy_score balanced_accuracy_score brier_score_loss class_likelihood_ratios classification_report "
        "cohen_kappa_score confusion_matrix d2_brier_score d2_log_loss_score f1_score fbeta_score hamming_loss "
        "hinge_loss jaccard_score log_loss matthews_corrcoef multilabel_confusion_matrix "
        "precision_recall_fscore_support precision_score recall_score zero_one_loss"
    ),
    "sklearn.metrics._dist_metrics": (
        "BrayCurtisDistance32 BrayCurtisDistance64 CanberraDistance32 CanberraDistance64 ChebyshevDistance32 "
        "ChebyshevDistance64 DiceDistance32 DiceDistance64 DistanceMetric DistanceMetric32 DistanceMetric64 "
        "EuclideanDistance32 EuclideanDistance64 HammingDistance32 HammingDistance64 HaversineDistance32 "
        "HaversineDistance64 JaccardDistance32 JaccardDistance64 KulsinskiDistance32 KulsinskiDistance64 "
        "MahalanobisDistance32 MahalanobisDistance64 ManhattanDistance32 ManhattanDistance64 MatchingDistance32 "
        "MatchingDistance64 MinkowskiDistance32 MinkowskiDistance64 PyFuncDistance32 PyFuncDistance64 "
        "RogersTanimotoDistance32 RogersTanimotoDistance64 RussellRaoDistance32 RussellRaoDistance64 "
        "SEuclideanDistance32 SEuclideanDistance64 SokalMichenerDistance32 SokalMichenerDistance64 "
        "SokalSneathDistance32 SokalSneathDistance64 __pyx_unpickle_DistanceMetric __pyx_unpickle_Enum newObj"
    ),
    "sklearn.metrics._ranking": (
        "auc average_precision_score confusion_matrix_at_thresholds coverage_error dcg_score det_curve "
        "label_ranking_average_precision_score label_ranking_loss metric_at_thresholds ndcg_score "
        "precision_recall_curve roc_auc_score roc_curve top_k_accuracy_score"
    ),
    "sklearn.metrics._regression": (
        "d2_absolute_error_score d2_pinball_score d2_tweedie_score explained_variance_score max_error "
        "mean_absolute_error mean_absolute_percentage_error mean_gamma_deviance mean_pinball_loss "
        "mean_poisson_deviance mean_squared_error mean_squared_log_error mean_tweedie_deviance median_absolute_error "
        "r2_score root_mean_squared_error root_mean_squared_log_error"
    ),
    "sklearn.metrics._scorer": (
        "_BaseScorer _CurveScorer _MultimetricScorer _PassthroughScorer _PredictScorer _ProbaScorer _Scorer _ThresholdScorer"
    ),
    "sklearn.metrics.cluster._supervised": (
        "adjusted_mutual_info_score adjusted_rand_score completeness_score contingency_matrix entropy "
        "fowlkes_mallows_score homogeneity_completeness_v_measure homogeneity_score mutual_info_score "
        "normalized_mutual_info_score pair_confusion_matrix rand_score v_measure_score"
    ),
    "sklearn.metrics.cluster._unsupervised": (
        "calinski_harabasz_score davies_bouldin_score silhouette_samples silhouette_score"
    ),
    "sklearn.metrics.pairwise": (
        "additive_chi2_kernel chi2_kernel cosine_distances cosine_similarity distance_metrics euclidean_distances "
        "haversine_distances kernel_metrics laplacian_kernel linear_kernel manhattan_distances nan_euclidean_distances "
        "paired_cosine_distances paired_distances paired_euclidean_distances paired_manhattan_distances "
        "pairwise_distances pairwise_distances_argmin pairwise_distances_argmin_min pairwise_distances_chunked "
        "pairwise_kernels polynomial_kernel rbf_kernel sigmoid_kernel"
    ),
    "sklearn.mixture._base": ("BaseMixture"),
    "sklearn.mixture._bayesian_mixture": ("BayesianGaussianMixture"),
    "sklearn.mixture._gaussian_mixture": ("GaussianMixture"),
    "sklearn.model_selection._classification_threshold": (
        "BaseThresholdClassifier FixedThresholdClassifier TunedThresholdClassifierCV _CurveScorer"
    ),
    "sklearn.model_selection._search": ("BaseSearchCV GridSearchCV ParameterGrid ParameterSampler RandomizedSearchCV"),
    "sklearn.model_selection._search_successive_halving": (
        "BaseSuccessiveHalving HalvingGridSearchCV HalvingRandomSearchCV _SubsampleMetaSplitter"
    ),
    "sklearn.model_selection._split": (
        "BaseCrossValidator BaseShuffleSplit GroupKFold GroupShuffleSplit GroupsConsumerMixin KFold LeaveOneGroupOut "
        "LeaveOneOut LeavePGroupsOut LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit "
        "StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit _BaseKFold _CVIterableWrapper "
        "_RepeatedSplits _UnsupportedGroupCVMixin"
    ),
    "sklearn.multiclass": ("OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier _ConstantPredictor"),
    "sklearn.multioutput": (
        "ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain _BaseChain _MultiOutputEstimator"
    ),
    "sklearn.naive_bayes": ("BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB _BaseDiscreteNB _BaseNB"),
    "sklearn.neighbors._ball_tree": (
        "BallTree BallTree32 BallTree64 BinaryTree BinaryTree32 BinaryTree64 NeighborsHeap NeighborsHeap32 "
        "NeighborsHeap64 NodeHeap __pyx_unpickle_Enum newObj"
    ),
    "sklearn.neighbors._base": ("NeighborsBase"),
    "sklearn.neighbors._classification": ("KNeighborsClassifier RadiusNeighborsClassifier"),
    "sklearn.neighbors._graph": ("KNeighborsTransformer RadiusNeighborsTransformer"),
    "sklearn.neighbors._kd_tree": (
        "BinaryTree BinaryTree32 BinaryTree64 KDTree KDTree32 KDTree64 NeighborsHeap NeighborsHeap32 NeighborsHeap64 "
        "NodeHeap __pyx_unpickle_Enum newObj"
    ),
    "sklearn.neighbors._kde": ("KernelDensity"),
    "sklearn.neighbors._lof": ("LocalOutlierFactor"),
    "sklearn.neighbors._nca": ("NeighborhoodComponentsAnalysis"),
    "sklearn.neighbors._nearest_centroid": ("NearestCentroid"),
    "sklearn.neighbors._quad_tree": ("_QuadTree"),
    "sklearn.neighbors._regression": ("KNeighborsRegressor RadiusNeighborsRegressor"),
    "sklearn.neighbors._unsupervised": ("NearestNeighbors"),
    "sklearn.neural_network._multilayer_perceptron": ("BaseMultilayerPerceptron MLPClassifier MLPRegressor"),
    "sklearn.neural_network._rbm": ("BernoulliRBM"),
    "sklearn.neural_network._stochastic_optimizers": ("AdamOptimizer BaseOptimizer SGDOptimizer"),
    "sklearn.pipeline": ("FeatureUnion Pipeline"),
    "sklearn.preprocessing._data": (
        "Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer QuantileTransformer "
        "RobustScaler StandardScaler"
    ),
    "sklearn.preprocessing._discretization": ("KBinsDiscretizer"),
    "sklearn.preprocessing._encoders": ("OneHotEncoder OrdinalEncoder _BaseEncoder"),
    "sklearn.preprocessing._function_transformer": ("FunctionTransformer"),
    "sklearn.preprocessing._label": ("LabelBinarizer LabelEncoder MultiLabelBinarizer"),
    "sklearn.preprocessing._polynomial": ("PolynomialFeatures SplineTransformer"),
    "sklearn.preprocessing._target_encoder": ("TargetEncoder"),
    "sklearn.random_projection": ("BaseRandomProjection GaussianRandomProjection SparseRandomProjection"),
    "sklearn.semi_supervised._label_propagation": ("BaseLabelPropagation LabelPropagation LabelSpreading"),
    "sklearn.semi_supervised._self_training": ("SelfTrainingClassifier"),
    "sklearn.svm._base": ("BaseLibSVM BaseSVC"),
    "sklearn.svm._classes": ("LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR"),
    "sklearn.tree._classes": (
        "BaseDecisionTree DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor"
    ),
    "sklearn.tree._tree": ("Tree"),
    "sklearn.utils": ("Bunch"),
    "sklearn.utils._bunch": ("Bunch"),
    "sklearn.utils._fast_dict": ("IntFloatDict"),
    "sklearn.utils._metadata_requests": (
        "MetadataRequest MetadataRouter MethodMapping MethodMetadataRequest MethodPair RouterMappingPair"
    ),
    "sklearn.utils._tags": ("ClassifierTags InputTags RegressorTags Tags TargetTags TransformerTags"),
    "sklearn.utils.validation": ("check_array"),
}

"""The terms of a page in words for readers of either field."""

GLOSSARY = {
    "level": (
        "a stage of the network whose images have one size; in multigrid, one grid. From level to"
        " level the grid is coarser"
    ),
    "A": "the operator of a level: in the network a learned convolution, in multigrid a matrix",
    "pass": "all smoothing steps of a level, one after another",
    "cycle": (
        "once from the finest grid to the coarsest and back: smooth, correct from the coarser grid,"
        " smooth"
    ),
    "residual": "b − A x, what is left of the equations; it is 0 where x solves them",
    "tolerance": "how small the residual must be for the equations to count as solved",
    "rough waves": "errors that change from point to point, which a coarser grid cannot see",
    "rough wave": "an error that changes from point to point, which a coarser grid cannot see",
    "Fourier analysis": (
        "what becomes of each wave on an endless grid; exact there, and close to the truth on large"
        " ones"
    ),
    "two-grid factor": (
        "what a cycle leaves of the worst error where the next coarser grid is solved exactly"
    ),
    "smoother": (
        "a pass that shrinks every error which a coarser grid cannot see: one with µ below 1"
    ),
    "smoothing factor": "µ, the largest factor by which a pass leaves such rough errors",
    "µ": "the smoothing factor: the largest factor of a pass on rough errors, good below 1",
    "polynomial": (
        "q, with q(0) = 1: a pass of steps u + w (f − A u) multiplies the error by q(A), whatever"
        " the images are"
    ),
    "residual polynomial": "q: a pass multiplies the error by q(A)",
    "degree": "the number of products with A in a pass, the degree of q",
    "root": "a number at which q is 0; 1/root is the size of a step",
    "roots": "the numbers at which q is 0; 1/root is the size of a step",
    "spectrum": "all eigenvalues of A: the numbers by which A multiplies its own patterns",
    "eigenvalues": "the numbers by which A multiplies its own patterns; together, its spectrum",
    "spectral radius": "b, the largest modulus of the eigenvalues of A",
    "max |q|": "the largest factor of a pass on the whole spectrum; above 1 it amplifies",
    "‖J‖": "the largest factor of a level with its norms and activations, of its Jacobian",
    "theory": "the polynomial that mathematics gives for this spectrum, scaled to the learned A",
    "start": "the network before training",
    "learned": "the network after training, its coefficients as they stand",
    "effective": "the learned network with its batch norms folded into the coefficients",
    "identifiable": (
        "a coefficient that has a meaning: no norm behind it undoes a change of its size"
    ),
    "norm": "batch normalisation: brings every channel of a batch to one mean and size",
    "norms": "batch normalisations: each brings every channel of a batch to one mean and size",
    "placement": "where norms and activations stand among the smoothing steps",
    "scheme": "the rule that gave the coefficients before training",
    "operator": "A; of a run, how A was filled before training",
    "epoch": "once through all training images",
    "seed": "the number that fixes all chance in a run: the same seed gives the same run",
    "seeds": "numbers that fix all chance in a run; several seeds show what is chance",
    "configuration": "all settings of a run but the seed",
    "training loss": "what training makes small: how surprised the network is by the right answers",
    "accuracy": "the share of images that are named correctly",
    "validation": "images held back from training, by which settings and epochs may be chosen",
    "test accuracy": "the accuracy on images that were used for nothing else",
    "95 % interval": (
        "made so that it holds the true number in 95 of 100 repetitions; here by the number of"
        " images, or by the spread over the seeds, as said"
    ),
    "weights": "the trainable numbers of the network",
    "smoothing norm": "the largest growth in one pass, which µ, a mean over many, may hide",
    "p": "how often chance alone gives such a difference; adjusted (Holm) for many comparisons",
}

# of a page on smoothers or a solve: "start" and "theory" there are not what they are in a report
OF_RUNS = {
    *("‖J‖", "theory", "start", "learned", "effective", "identifiable", "norm", "norms"),
    *("placement", "scheme", "operator", "epoch", "seed", "seeds", "configuration", "weights"),
    *("training loss", "accuracy", "validation", "test accuracy", "95 % interval"),
    *("smoothing norm", "p"),
}
OF_SOLVING = {word: meaning for word, meaning in GLOSSARY.items() if word not in OF_RUNS}

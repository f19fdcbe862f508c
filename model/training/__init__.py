"""How the weights are made: folders of MR images in, a bundle with honest numbers out.

    sources, tables, volumes   what lies in a folder: subjects, labels, images; what is skipped, and why
    cache, datasets            every image once through model.slicing, the code that serves, into one packed file
    folds                      whole subjects into folds; nothing of a subject is on both sides
    mae, pretrain              masked image modelling around the encoder, no labels
    augment, finetune          the classifier, five times, each time without one fold
    loop, checkpoints          the loop both share: Lightning Fabric, seeds by epoch, atomic checkpoints, exact resume
    crossval, metrics          out-of-fold predictions by the served code, numbers with intervals by subject
    calibrate, coverage        temperature and conformal sets from the out-of-fold predictions, and how often they hold
    baseline                   what a network has to beat: logistic regression on the pixels, on the same folds
    figures, report, card      pictures, one HTML page, JSON, the model card
    export, evaluate           the bundle; a bundle measured on labelled images
    recipes                    what shaped the weights, frozen, with cost and result

`neurossl model train` runs the whole way. Recipes shape the weights; nothing here reads config.yaml.
"""

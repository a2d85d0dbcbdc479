"""The numbers by which kernels address their tables: numba has no objects, so a column is a field.

A table of members (one row a network), a table of layers (one row a layer, all networks' layers one after the
other) and a table of hyper-parameters (one row a network) describe any set of networks to one compiled step.
"""

# Columns of the members' table (int64).
FIRST_LAYER = 0
LAYER_COUNT = 1
PARAM_START = 2
PARAM_COUNT = 3
SLOT_START = 4
OPTIMIZER = 5
LOSS = 6
SCHEDULE = 7
SEED = 8
BATCH_SIZE = 9
LOWEST_LEARNING = 10  # index of the first layer that is not frozen
OWN_RATES = 11  # 1 where a layer's RATE is not RATE_ONE
MEMBER_COLUMNS = 12

# Columns of the layers' table (int64); weights and biases are offsets into the flat parameter vector
FAN_IN = 0
FAN_OUT = 1
ACTIVATION = 2
WEIGHTS = 3
BIASES = 4
RATE = 5  # factor on the learning rate, in units of 1 / RATE_ONE; 0 is frozen
LAYER_COLUMNS = 6
RATE_ONE = 1 << 24

# Columns of the hyper-parameters' table (float32).
LEARNING_RATE = 0
BETA1 = 1
BETA2 = 2
EPSILON = 3
L1 = 4
L2 = 5
WEIGHT_DECAY = 6
DROPOUT = 7
MAX_NORM = 8
CLIP_VALUE = 9
CLIP_NORM = 10
LOSS_SHAPE = 11
SCHEDULE_START = 12  # first of three numbers whose meaning depends on the schedule
HYPER_COLUMNS = 15

# Columns of the clocks' table (int64).
STEPS = 0  # optimiser steps taken
SAMPLES = 1  # samples learned
PENDING = 2  # samples in the unfinished mini-batch
SKIPPED = 3  # samples not learned: loss or gradient was not finite, or beyond any use
CLOCK_COLUMNS = 4

//! Boots stock distribution kernels under QEMU and runs commands in them.

//! Raw and qcow2 images; run and verify in QEMU.

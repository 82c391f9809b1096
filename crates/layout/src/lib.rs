//! A machine's disks to a disk plan.

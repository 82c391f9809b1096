//! Where the program itself is kept.

use nix::sys::mman::{MlockAllFlags, mlockall};

/// Keeps the program's own pages in memory until it ends. The kernel reads them when they are needed, and once more after it has dropped
/// them: from a stick that has been pulled out it cannot, and the program would end by SIGBUS without a word about what it leaves.
///
/// Who may not, or has too little memory, goes on as before.
pub fn stay_in_memory() {
    let _ = mlockall(MlockAllFlags::MCL_CURRENT);
}

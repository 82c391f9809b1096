//! Whether a firmware that enforces Secure Boot would start a generation that was made elsewhere. What is made here is refused while
//! it is made.

use anyhow::Context;
use cairn_observe::view::Files;
use cairn_observe::{Observed, Usable};
use cairn_process::Refusal;
use cairn_system::signed::is_signed;

/// Longer kernels are none.
const MOST: u64 = 256 << 20;

/// Refuses a generation that shim is to start, and whose kernel nobody has signed: the firmware stops dead at it, and no older one gets
/// its turn.
pub fn check(observed: &Observed<'_>, new: &Usable<'_>) -> anyhow::Result<()> {
    let machine = new.checked()?.machine;
    if !(machine.boot.by_shim() && machine.firmware().uefi) {
        return Ok(());
    }
    let files: &dyn Files = &*observed.machine.root;
    let kernel = &new.boot.kernel.store_path;
    // The store's folder, and the path in it.
    let end = kernel.match_indices('/').nth(3).map_or(kernel.len(), |(at, _)| at);
    let bytes = files.read_inside(&kernel[..end], kernel[end..].trim_start_matches('/'), MOST);
    if bytes.with_context(|| format!("reading {kernel}"))?.is_some_and(|bytes| is_signed(&bytes)) {
        return Ok(());
    }
    Err(Refusal(format!(
        "nobody has signed {kernel}, the kernel of this system, so `secure_boot: shim` could not start it: make it with one of \
         linux-image-amd64, linux-image-cloud-amd64 or linux-image-rt-amd64, which Debian signs"
    ))
    .into())
}

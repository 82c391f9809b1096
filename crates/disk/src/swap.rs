//! Swap space: the header that mkswap writes (version 1) and nothing else.

use uuid::Uuid;

use crate::error::DiskError;
use crate::target::Target;

/// x86-64 has no other page size.
const PAGE: usize = 4096;

/// Marks `len` bytes of the target from `offset` on as swap space.
///
/// # Errors
/// [`DiskError::Full`] and [`DiskError::Write`].
pub fn write(target: &dyn Target, offset: u64, len: u64, uuid: Uuid, label: &str) -> Result<(), DiskError> {
    let pages = u32::try_from(len / PAGE as u64).unwrap_or(u32::MAX);
    let mut page = [0; PAGE];
    // The first KiB is left alone, for a boot sector that might be there.
    page[1024..1028].copy_from_slice(&1_u32.to_le_bytes());
    page[1028..1032].copy_from_slice(&(pages - 1).to_le_bytes());
    page[1036..1052].copy_from_slice(uuid.as_bytes());
    let label = &label.as_bytes()[..label.len().min(16)];
    page[1052..1052 + label.len()].copy_from_slice(label);
    page[PAGE - 10..].copy_from_slice(b"SWAPSPACE2");
    target.write_at(offset, &page).map_err(|source| DiskError::write(target.name(), offset, source))
}

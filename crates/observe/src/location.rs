//! Where a machine is, and looking at it there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::ObserveError;
use crate::view::{self, Disk, View};

/// Where a machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// Its root is this folder: `/`, or where it is mounted.
    Root(PathBuf),
    /// It is in this image.
    Image(PathBuf),
}

/// Looks at a machine. What is not one is refused.
///
/// # Errors
/// What opening meets, and what `look` says.
pub fn look<T, E: From<ObserveError>>(place: &Location, look: impl FnOnce(View<'_>) -> Result<T, E>) -> Result<T, E> {
    match place {
        Location::Root(root) => look(view::folder(root).map_err(ObserveError::from)?),
        Location::Image(image) => {
            let disk = Disk::open(image).map_err(ObserveError::from)?;
            look_into(&disk, || look(disk.machine().map_err(ObserveError::from)?))
        }
    }
}

/// Looks into an image that is open. The readers of file systems are other people's, and made for sound ones: when one gives up,
/// that is an error like any other.
///
/// # Errors
/// What `look` says.
pub fn look_into<T, E: From<ObserveError>>(disk: &Disk, look: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(look))
        .unwrap_or_else(|_| Err(ObserveError::GaveUp(disk.path().display().to_string()).into()))
}

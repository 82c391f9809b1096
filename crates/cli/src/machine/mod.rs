//! A machine and its generations: what is there, how two of them differ, and the commands that change them.

pub mod diff;
pub mod etc;
pub mod generations;
pub mod lines;
pub mod own_sizes;
pub mod packages;
pub mod record;
pub mod settings;
pub mod time;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use cairn_process::Refusal;
use image_builder::view::{self, Disk, Machine, ViewError};

use crate::args::PlaceArgs;

/// Where a machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Its root is this folder: `/`, or where it is mounted.
    Root(PathBuf),
    /// It is in this image.
    Image(PathBuf),
}

impl From<&PlaceArgs> for Place {
    fn from(args: &PlaceArgs) -> Place {
        match &args.image {
            Some(image) => Place::Image(image.clone()),
            None => Place::Root(args.root.clone()),
        }
    }
}

/// Looks at a machine. What is not one is refused.
pub fn look<T>(place: &Place, look: impl FnOnce(&Machine<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    match place {
        Place::Root(root) => look(&view::folder(root).map_err(refused)?),
        Place::Image(image) => {
            let disk = Disk::open(image).map_err(refused)?;
            // The readers of file systems are other people's, and made for sound ones.
            let inside = AssertUnwindSafe(|| look(&disk.machine().map_err(refused)?));
            catch_unwind(inside).unwrap_or_else(|_| {
                anyhow::bail!("{} is damaged: a reader of its file systems gave up", image.display())
            })
        }
    }
}

fn refused(error: ViewError) -> anyhow::Error {
    match error {
        ViewError::NotAMachine { .. } => Refusal(error.to_string()).into(),
        other => other.into(),
    }
}

//! Carries out a plan on the boot partitions.
//!
//! Whatever interrupts it, running it again from a new survey completes it: no step depends on what an earlier run did.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::plan::{Step, Update};
use crate::set::{Content, Place};
use crate::survey::hash;
use crate::volume::Volume;

/// The partitions to write to.
#[derive(Debug)]
pub struct Target<'a> {
    /// The EFI system partition; on a machine with one boot partition, that one.
    pub esp: Option<&'a mut dyn Volume>,
    /// The partition with entries and kernels, if it is another one.
    pub boot: Option<&'a mut dyn Volume>,
}

/// Why an update ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A file that was to be written cannot be read.
    #[error("reading {what}")]
    Source {
        /// The file.
        what: String,
        /// Whether something had been written before.
        touched: bool,
        /// Why.
        source: io::Error,
    },
    /// A file that was to be written is not what it should be.
    #[error(
        "{what} is not what it was when it was put into the store: the disk may be failing (`dmesg` tells); `cairn upgrade \
         --from` a store that has it whole brings a good copy"
    )]
    SourceDiffers {
        /// The file.
        what: String,
        /// Whether something had been written before.
        touched: bool,
    },
    /// The partition did not do what it should.
    #[error("{doing} /{path} on the boot partition")]
    Volume {
        /// What was being done: "writing".
        doing: &'static str,
        /// The path.
        path: String,
        /// Whether something had been written before.
        touched: bool,
        /// Why.
        source: io::Error,
    },
    /// What came back is not what was written.
    #[error(
        "/{path} on the boot partition does not read back as it was written: the disk is failing, or full of errors"
    )]
    Differs {
        /// The path.
        path: String,
    },
}

impl ApplyError {
    /// Whether anything on the partitions was changed before it. The machine boots what it booted before all the same.
    pub fn touched(&self) -> bool {
        match self {
            ApplyError::Source { touched, .. }
            | ApplyError::SourceDiffers { touched, .. }
            | ApplyError::Volume { touched, .. } => *touched,
            ApplyError::Differs { .. } => true,
        }
    }
}

/// Opens what is to be written.
pub type Open<'a> = dyn Fn(&Content) -> io::Result<Box<dyn Read>> + 'a;

impl Target<'_> {
    fn volume(&mut self, place: Place) -> io::Result<&mut dyn Volume> {
        let found: Option<&mut dyn Volume> = match (place, &mut self.esp, &mut self.boot) {
            (Place::Boot, _, Some(boot)) => Some(&mut **boot),
            (Place::Esp, Some(esp), _) => Some(&mut **esp),
            _ => None,
        };
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such partition"))
    }

    fn barrier(&mut self) -> io::Result<()> {
        // Kernels and entries before what the firmware reads first.
        if let Some(boot) = &mut self.boot {
            boot.barrier()?;
        }
        self.esp.as_mut().map_or(Ok(()), |esp| esp.barrier())
    }
}

/// Carries out all steps. `done` hears of each one that is over.
///
/// # Errors
/// See [`ApplyError`]. The partitions then hold what they held before and, perhaps, some of what is new.
pub fn apply(
    update: &Update,
    target: &mut Target<'_>,
    open: &Open<'_>,
    done: &mut dyn FnMut(&Step),
) -> Result<(), ApplyError> {
    let mut touched = false;
    for step in &update.steps {
        one(step, target, open, &mut touched)?;
        done(step);
    }
    Ok(())
}

fn one(step: &Step, target: &mut Target<'_>, open: &Open<'_>, touched: &mut bool) -> Result<(), ApplyError> {
    match step {
        Step::Create { place, path, content } => {
            write(target, *place, path, content, open, touched, |v, from| v.create(path, from, content.len()))
        }
        Step::Replace { place, path, content } => {
            write(target, *place, path, content, open, touched, |v, from| v.replace(path, from, content.len()))
        }
        Step::Keep { place, path, copy } => keep(target, *place, path, copy, touched),
        Step::Overwrite { place, path, bytes } => {
            volume(target, *place, "writing", path, touched, |v| v.overwrite(path, bytes))?;
            compare(target, *place, path, &Content::Bytes(bytes.clone()), *touched)
        }
        Step::Remove { place, path } => volume(target, *place, "removing", path, touched, |v| v.remove(path)),
        Step::Barrier => target.barrier().map_err(|source| ApplyError::Volume {
            doing: "syncing",
            path: String::new(),
            touched: *touched,
            source,
        }),
    }
}

/// The copy is for somebody who must do without what comes next, so that it is read back before that is begun.
fn keep(target: &mut Target<'_>, place: Place, path: &str, copy: &str, touched: &mut bool) -> Result<(), ApplyError> {
    let mut bytes = Vec::new();
    volume(target, place, "keeping a copy of", path, touched, |v| {
        v.open(path)?.read_to_end(&mut bytes)?;
        let len = bytes.len() as u64;
        match v.open(copy).map(drop) {
            Ok(()) => v.replace(copy, &mut bytes.as_slice(), len),
            Err(error) if error.kind() == io::ErrorKind::NotFound => v.create(copy, &mut bytes.as_slice(), len),
            Err(error) => Err(error),
        }
    })?;
    compare(target, place, copy, &Content::Bytes(bytes), *touched)
}

fn write(
    target: &mut Target<'_>,
    place: Place,
    path: &str,
    content: &Content,
    open: &Open<'_>,
    touched: &mut bool,
    how: impl FnOnce(&mut dyn Volume, &mut dyn Read) -> io::Result<()>,
) -> Result<(), ApplyError> {
    let what = match content {
        Content::Bytes(_) | Content::Signed(_) => path.to_string(),
        Content::Store(artifact) => artifact.store_path.clone(),
    };
    let before = *touched;
    let from = match open(content) {
        Ok(from) => from,
        Err(source) => return Err(ApplyError::Source { what, touched: before, source }),
    };
    let mut from = Checked { from, hasher: Sha256::new(), wanted: content.sha256(), failed: None };
    let written = volume(target, place, "writing", path, touched, |v| how(v, &mut from));
    match (written, from.failed) {
        (Err(_), Some(Failed::Differs)) => Err(ApplyError::SourceDiffers { what, touched: before }),
        (Err(ApplyError::Volume { source, .. }), Some(Failed::Read)) => {
            Err(ApplyError::Source { what, touched: before, source })
        }
        (written, _) => written.and_then(|()| compare(target, place, path, content, *touched)),
    }
}

/// What is written, as it is read: what is not what it should be ends in an error, and so never gets its name.
struct Checked<'a> {
    from: Box<dyn Read + 'a>,
    hasher: Sha256,
    wanted: [u8; 32],
    failed: Option<Failed>,
}

/// Why nothing more comes from a file that was to be written.
#[derive(Debug, Clone, Copy)]
enum Failed {
    Read,
    Differs,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.from.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failed = Some(Failed::Read);
                return Err(error);
            }
            other => other?,
        };
        self.hasher.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.hasher.clone().finalize().as_slice() != self.wanted {
            self.failed = Some(Failed::Differs);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(count)
    }
}

/// Reads back what was written, from the disk.
fn compare(
    target: &mut Target<'_>,
    place: Place,
    path: &str,
    content: &Content,
    touched: bool,
) -> Result<(), ApplyError> {
    let error = |source| ApplyError::Volume { doing: "reading back", path: path.into(), touched, source };
    let volume = target.volume(place).map_err(error)?;
    let found = hash(volume.open_on_disk(path).map_err(error)?).map_err(error)?;
    if found == content.sha256() { Ok(()) } else { Err(ApplyError::Differs { path: path.into() }) }
}

fn volume(
    target: &mut Target<'_>,
    place: Place,
    doing: &'static str,
    path: &str,
    touched: &mut bool,
    work: impl FnOnce(&mut dyn Volume) -> io::Result<()>,
) -> Result<(), ApplyError> {
    let before = *touched;
    *touched = true;
    target
        .volume(place)
        .map_err(|e| (before, e))
        .and_then(|v| work(v).map_err(|e| (true, e)))
        .map_err(|(touched, source)| ApplyError::Volume { doing, path: path.into(), touched, source })
}

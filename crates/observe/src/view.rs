//! A machine as it can be looked at without being touched: below a folder (the running machine's `/`, or one that is
//! mounted somewhere), or in an image. Whoever reads a machine is written once, against [`Files`].

mod closure;
mod ext4_names;
mod fat_files;
mod fat_volume;
mod folder;
mod image;
mod menu;
mod walk;

pub use closure::Closures;
pub use ext4_names::{ext4_file, ext4_names};
pub use fat_volume::FatVolume;
pub use folder::Folder;
pub use image::Disk;
pub(crate) use image::{Ext4Files, is_ext4, is_fat};
pub use menu::{Entry as MenuEntry, Menu};
pub use walk::{Found, walk};

use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use cairn_boot::ReadVolume;
use cairn_disk::image::ImageFileError;
use cairn_disk::{Budget, DiskError, Spent};
use cairn_root::Root;

/// What a name stands for, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A device, a socket, a pipe.
    Other,
}

/// Files that can be read. Paths are absolute in the machine, and links lead to where they lead there: none leads out.
pub trait Files: fmt::Debug {
    /// What stands at a path; `None` when there is nothing.
    ///
    /// # Errors
    /// See [`ViewError`].
    fn kind(&self, path: &str) -> Result<Option<Kind>, ViewError>;

    /// Where a symbolic link points; `None` when there is none of this name.
    ///
    /// # Errors
    /// See [`ViewError`].
    fn link(&self, path: &str) -> Result<Option<String>, ViewError>;

    /// A file's contents; `None` when there is no such file.
    ///
    /// # Errors
    /// See [`ViewError`]; also when the file has more than `most` bytes.
    fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError>;

    /// The names in a folder, sorted; `None` when there is no such folder.
    ///
    /// # Errors
    /// See [`ViewError`].
    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError>;

    /// When what stands at a path was changed, in seconds since 1970; a link has a time of its own.
    ///
    /// # Errors
    /// See [`ViewError`].
    fn modified(&self, path: &str) -> Result<Option<i64>, ViewError>;

    /// A file's contents, written piece by piece; `None` when there is no such file.
    ///
    /// # Errors
    /// See [`Files::read`]; also what writing meets.
    fn copy(&self, path: &str, most: u64, to: &mut dyn Write) -> Result<Option<()>, ViewError> {
        let Some(bytes) = self.read(path, most)? else { return Ok(None) };
        to.write_all(&bytes).map(Some).map_err(|source| ViewError::Io { path: path.into(), source })
    }

    /// What tells the folder at a path from every other one; `None` where nothing does, and where no folder can be in
    /// itself.
    ///
    /// # Errors
    /// See [`ViewError`].
    fn identity(&self, _path: &str) -> Result<Option<u64>, ViewError> {
        Ok(None)
    }

    /// A file's contents, by its path below a folder, within which no link leads anywhere; `None` when there is no such file or
    /// folder.
    ///
    /// # Errors
    /// See [`Files::read`]; also for a link on the way.
    fn read_inside(&self, folder: &str, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let mut at = folder.to_string();
        for part in path.split('/') {
            if part == ".." {
                return Err(ViewError::Outside { path: format!("{folder}/{path}") });
            }
            if part.is_empty() || part == "." {
                continue;
            }
            at = format!("{at}/{part}");
            if self.link(&at)?.is_some() {
                return Err(ViewError::Outside { path: at });
            }
        }
        self.read(&at, most)
    }

    /// What a path is called in messages.
    fn shown(&self, path: &str) -> PathBuf;

    /// How long a text may be that is parsed, which takes many times its size.
    fn most_text(&self) -> u64 {
        1 << 20
    }

    /// The account on which whoever looks at these files draws: one for a whole machine, wherever it is.
    fn budget(&self) -> Arc<Budget>;
}

/// Why something could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The file is no image that can be read.
    #[error(transparent)]
    Image(#[from] ImageFileError),
    /// A partition table or file system in an image.
    #[error("reading {}", path.display())]
    Disk {
        /// The image.
        path: PathBuf,
        /// Why.
        source: DiskError,
    },
    /// The operating system says no.
    #[error("reading {}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that nobody has made that large.
    #[error("{path} has {bytes} bytes, which is too large to be looked into")]
    TooLarge {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
    },
    /// A file that must lie where it is named, and does not.
    #[error("{path} is a link, or leads out of its folder: what a system was made from lies in it")]
    Outside {
        /// The path.
        path: String,
    },
    /// A folder that is in itself.
    #[error("{path} is a folder within itself: the file system is damaged or hostile")]
    Loop {
        /// The folder.
        path: String,
    },
    /// What would take for ever.
    #[error("looking through {}: {why}", if path.is_empty() { "/" } else { path })]
    Endless {
        /// What was looked at.
        path: String,
        /// What ran out.
        why: Spent,
    },
    /// More generations than anybody has.
    #[error(
        "{} has more than {MOST_GENERATIONS} generations, which is too many to be looked at: remove the links \
         system-N-link of the oldest there",
        path.display()
    )]
    TooManyGenerations {
        /// The folder of their links.
        path: PathBuf,
    },
    /// No file system in the image holds generations.
    #[error("{} is not a machine that Cairn has made: {why}", path.display())]
    NotAMachine {
        /// The image or folder.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
}

impl ViewError {
    /// Whether it is a refusal: nothing is broken, and somebody can do something about it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, ViewError::NotAMachine { .. } | ViewError::TooManyGenerations { .. })
    }
}

/// A machine as it is looked at.
#[derive(Debug)]
pub struct View<'a> {
    /// What it is called in messages.
    pub name: PathBuf,
    /// The root file system.
    pub root: Rc<dyn Files + 'a>,
    /// The folder that it is below; nothing for one in an image.
    pub folder: Option<Root>,
    /// The boot partitions of one in an image.
    in_image: Vec<BootVolume<'a>>,
    /// The disk of one in an image.
    pub disk: Option<&'a Disk>,
}

impl<'a> View<'a> {
    /// The boot partitions: those that can be read.
    ///
    /// # Errors
    /// What reading meets.
    pub fn boot(&self) -> Result<Vec<BootVolume<'a>>, ViewError> {
        match &self.folder {
            Some(root) => folder::boot_volumes(&Folder::new(root.clone(), self.root.budget())),
            None => Ok(self.in_image.clone()),
        }
    }

    /// Whether it is the machine that runs here.
    pub fn is_host(&self) -> bool {
        self.folder.as_ref().is_some_and(Root::is_host)
    }
}

/// A boot partition.
#[derive(Debug, Clone)]
pub struct BootVolume<'a> {
    /// What it is called: its mount point, or its partition's number.
    pub name: String,
    /// Whether its type says that it is XBOOTLDR, the partition of entries and kernels.
    pub xbootldr: bool,
    /// Its files.
    pub files: Rc<dyn Files + 'a>,
    /// The same as the boot transaction looks at it; nothing where it is only a folder.
    pub volume: Option<Rc<dyn ReadVolume + 'a>>,
}

/// Where the links of the generations are.
pub const PROFILES: &str = "/nix/var/nix/profiles";

/// A link costs whoever makes it nothing, and whoever looks at it a system. A machine that is upgraded each day for ten years
/// has fewer.
pub const MOST_GENERATIONS: usize = 4096;

/// Looks at the machine whose root is this folder.
///
/// # Errors
/// [`ViewError::NotAMachine`].
pub fn folder(root: &std::path::Path) -> Result<View<'static>, ViewError> {
    let view = any_folder(root)?;
    if view.root.kind(PROFILES)?.is_none() {
        let why = format!("there is no {PROFILES} in it");
        return Err(ViewError::NotAMachine { path: view.name, why });
    }
    Ok(view)
}

/// Looks at whatever system has this folder for its root.
///
/// # Errors
/// [`ViewError::NotAMachine`] when it is no folder; the operating system's.
pub fn any_folder(root: &std::path::Path) -> Result<View<'static>, ViewError> {
    let name = root.to_path_buf();
    let root = Root::open(root).map_err(|source| match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            ViewError::NotAMachine { path: name.clone(), why: "it is no folder".into() }
        }
        _ => ViewError::Io { path: name.clone(), source },
    })?;
    let folder = Folder::new(root.clone(), Budget::shared());
    Ok(View { name, root: Rc::new(folder), folder: Some(root), in_image: Vec::new(), disk: None })
}

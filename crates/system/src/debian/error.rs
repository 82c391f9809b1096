//! What can go wrong between a machine file and its base, in words for the person who wrote the file.

use std::io;
use std::path::PathBuf;

use cairn_process::ToolError;
use cairn_store::StoreError;

use super::secrets::Secret;
use crate::tree::NotMade;

/// Why there is no lock or no base.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value that cannot be given to apt.
    #[error("'{value}' is not {what}")]
    BadValue {
        /// Where it stands in the machine file, as a JSON pointer.
        pointer: String,
        /// The value.
        value: String,
        /// What it should be: "a package name (…)".
        what: &'static str,
    },
    /// A package that the suite does not have.
    #[error("there is no package '{name}' in {suite}{}", did_you_mean(.nearest))]
    UnknownPackage {
        /// The package.
        name: String,
        /// Where it stands in the machine file; `None` for one that every machine needs.
        pointer: Option<String>,
        /// The suite and its components.
        suite: String,
        /// Names that are near, the nearest first.
        nearest: Vec<String>,
    },
    /// A name that several packages provide and none bears.
    #[error("'{name}' is a virtual package; choose one that provides it: {}", .providers.join(", "))]
    VirtualPackage {
        /// The name.
        name: String,
        /// Where it stands in the machine file.
        pointer: Option<String>,
        /// The packages that provide it, sorted.
        providers: Vec<String>,
    },
    /// Several names that are no packages, or virtual ones.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Names(Vec<Error>),
    /// The packages cannot be installed together.
    #[error("the packages cannot be installed together; apt says:\n{detail}")]
    Unsatisfiable {
        /// apt's own words.
        detail: String,
    },
    /// More than one kernel.
    #[error(
        "two kernels, {first} and {second}: a machine has one; `source.debian.kernel` names it, and no other is among the \
         packages"
    )]
    TwoKernels {
        /// A package or release.
        first: String,
        /// Another.
        second: String,
        /// Where one of them stands in the machine file.
        pointer: Option<String>,
    },
    /// No mirror is given, and none is known.
    #[error("no Debian mirror is known on this machine; give one in the machine file as `source.debian.mirror`")]
    NoMirror,
    /// A folder whose name cannot be written in apt's configuration.
    #[error("apt cannot use the folder {}: its name has a quotation mark, a backslash or a line break", path.display())]
    BadFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The keys that sign Debian's archive are not on this machine.
    #[error(
        "{} is needed to check the archive's signatures, and is not there; `apt-get install debian-archive-keyring` \
         brings it",
        path.display()
    )]
    NoKeyring {
        /// Where the keyring should be.
        path: PathBuf,
    },
    /// The lists of packages could not be had.
    #[error("reading the package lists of {mirror}: {hint}")]
    Lists {
        /// The mirror.
        mirror: String,
        /// What to do.
        hint: &'static str,
        /// What apt said.
        source: ToolError,
    },
    /// apt's answer was not understood.
    #[error("understanding what {program} says: {detail}")]
    Answer {
        /// The program, or the file of its.
        program: String,
        /// What is odd.
        detail: String,
    },
    /// The mirror has a locked package no longer.
    #[error(
        "the mirror no longer has {}; either take newer versions with `cairn lock --update FILE`, or name a mirror that \
         keeps old ones (a snapshot) in the machine file as `source.debian.mirror`",
        some(.packages)
    )]
    Gone {
        /// The packages with their versions.
        packages: Vec<String>,
    },
    /// Packages could not be downloaded.
    #[error("downloading {} from {mirror}: {detail}", some(.packages))]
    Download {
        /// The packages with their versions.
        packages: Vec<String>,
        /// Where from.
        mirror: String,
        /// The end of what apt said.
        detail: String,
    },
    /// A file is not what the lock says.
    #[error(
        "{package} is not the file that the lock names: {what} should be {expected}, and is {found}; if the lock is \
         right, the mirror is broken; if you edited the lock, make it anew with `cairn lock --update FILE`"
    )]
    Mismatch {
        /// The package with its version.
        package: String,
        /// What differs: "its SHA-256".
        what: &'static str,
        /// As locked.
        expected: String,
        /// As it is.
        found: String,
    },
    /// An ordinary user lacks what a user namespace needs.
    #[error(
        "'{user}' has no range of subordinate ids in {file}, which are needed to install packages without being root; \
         give one with `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`"
    )]
    NoSubordinateIds {
        /// The user's name or number.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
    },
    /// The disk filled up while mmdebstrap worked.
    #[error(
        "installing the packages: {folder} has no room left; a base is unpacked there before it comes into the store, so \
         free some (`df -h {folder}`) and try again"
    )]
    NoRoom {
        /// Where the tree is unpacked.
        folder: &'static str,
    },
    /// mmdebstrap or a maintainer script failed.
    #[error("installing the packages: mmdebstrap says:\n{said}")]
    Bootstrap {
        /// The end of what it said.
        said: String,
    },
    /// Files in the tree that are secrets, and the same on every machine.
    #[error("{}", shared(.secrets))]
    Secrets {
        /// The files.
        secrets: Vec<Secret>,
        /// Where the first one's package stands in the machine file.
        pointer: Option<String>,
    },
    /// The tree that came out cannot be a base.
    #[error("making a base of the installed packages: {what}")]
    Tree {
        /// What is wrong.
        what: String,
    },
    /// The operating system refused something.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, as a gerund.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// A program is missing or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The store refused something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// Where the cause stands in the machine file, as a JSON pointer, if it stands there.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Error::BadValue { pointer, .. } => Some(pointer),
            Error::UnknownPackage { pointer, .. }
            | Error::VirtualPackage { pointer, .. }
            | Error::TwoKernels { pointer, .. }
            | Error::Secrets { pointer, .. } => pointer.as_deref(),
            Error::NoMirror | Error::Lists { .. } => Some("/source/debian"),
            _ => None,
        }
    }

    /// The errors in one that holds several, each with a place of its own.
    #[must_use]
    pub fn into_parts(self) -> Vec<Error> {
        match self {
            Error::Names(errors) => errors,
            other => vec![other],
        }
    }

    /// Makes an [`Error::Io`]; for `map_err`.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { doing, path, source }
    }
}

impl From<NotMade> for Error {
    fn from(NotMade { path, source }: NotMade) -> Error {
        Error::io("making the folder", path)(source)
    }
}

/// Every secret with its package, and what to do.
fn shared(secrets: &[Secret]) -> String {
    let package = |secret: &Secret| secret.package.clone().unwrap_or_else(|| "some package".into());
    let files: Vec<String> = secrets.iter().map(|s| format!("{} (of {})", s.path, package(s))).collect();
    let mut packages: Vec<String> = secrets.iter().filter_map(|s| s.package.clone()).collect();
    packages.sort();
    packages.dedup();
    let which = if packages.is_empty() { "the package".into() } else { packages.join(" and ") };
    format!(
        "keys or passwords were drawn while the packages were installed: {}; every machine with these packages would have \
         the same, and every user could read them in the store, so a base cannot hold them. Leave {which} out of \
         `source.debian.packages`, with what depends on it",
        some(&files)
    )
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(" or ")) }
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

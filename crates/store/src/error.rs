//! What can go wrong with a store, in words for the person who has to do something about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::path::StorePath;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Text that is not a store path.
    #[error("'{text}' is not a store path: {why} (one looks like /nix/store/<32 letters and digits>-<name>)")]
    BadPath {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Text that cannot be the name in a store path.
    #[error(
        "'{name}' cannot be a name in the store: {why} (a name has up to 211 characters out of a-z A-Z 0-9 + - . _ ? =)"
    )]
    BadName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused something.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done, as a gerund: "reading".
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// A folder that Cairn writes in is something else, or leads elsewhere.
    #[error(
        "{} cannot be used, for it must be a folder itself (a disk that is mounted may be anybody's, so no link is \
         followed there); nothing was changed. Put the folder in its place and try again",
        path.display()
    )]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What it is.
        source: io::Error,
    },
    /// A folder that may be somewhere that cannot be seen.
    #[error(
        "{} is no folder, nor a link to one on this disk; what it should hold may be on a disk that is not mounted, so \
         nothing was changed. Mount that, or put a folder in its place",
        path.display()
    )]
    NoFolder {
        /// Which.
        path: PathBuf,
    },
    /// A path that is no file of a store path, as the store has it written down.
    #[error("{} is not a file in the store", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A tree holds something that a store path cannot hold.
    #[error("{} cannot go into the store: {why}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what can be done.
        why: String,
    },
    /// A tree could not be written as a NAR.
    #[error("hashing {}", path.display())]
    Nar {
        /// The top of the tree.
        path: PathBuf,
        /// Why.
        source: nix_archive::nar::Error,
    },
    /// A content-addressed tree holds its own store path.
    #[error(
        "{path} contains its own path: a content-addressed path must not, because Nix versions disagree about its \
         hash; make it input-addressed, or leave the path out of its files"
    )]
    SelfReference {
        /// The path.
        path: StorePath,
    },
    /// A path that should be in the store is not.
    #[error("{path} is not in the store at {}{}", store.display(), needed_by(.referrer.as_ref()))]
    Missing {
        /// The path.
        path: StorePath,
        /// The store's root folder.
        store: PathBuf,
        /// The path that refers to it, if that is why it is needed.
        referrer: Option<StorePath>,
    },
    /// A path that is in the store is not what was put there.
    #[error("{}{path} is damaged: {what}; {}", if remove.is_some() { "the cached " } else { "" }, mend(.remove.as_deref()))]
    Damaged {
        /// The path.
        path: StorePath,
        /// What differs: the first file, and how.
        what: String,
        /// The file whose removal makes a cache forget the path. A machine needs its paths, damaged or not.
        remove: Option<PathBuf>,
    },
    /// A set of paths is not closed: something in it refers to something outside of it.
    #[error("{referrer} refers to {path}, which is not in the closure")]
    NotClosed {
        /// What is missing.
        path: StorePath,
        /// What refers to it.
        referrer: StorePath,
    },
    /// A signing key that cannot be read.
    #[error("{}is not a signing key: {why} (`nix-store --generate-binary-cache-key NAME SECRET PUBLIC` makes one)", in_file(.file.as_deref()))]
    BadKey {
        /// The file it came from, if it came from one.
        file: Option<PathBuf>,
        /// What is wrong. Never holds any part of the key.
        why: &'static str,
    },
    /// The database of a machine could not be used.
    #[error("{action} the Nix database {}", path.display())]
    NixDatabase {
        /// What was being done: "writing".
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// Why it did not work.
        source: rusqlite::Error,
    },
    /// Somebody else keeps the database to himself.
    #[error(
        "the Nix database {} is in use: another program has kept it locked for a minute; \
         wait until it is done (`fuser {}` says which one it is) and try again",
        path.display(),
        path.display()
    )]
    NixDatabaseBusy {
        /// The database.
        path: PathBuf,
    },
    /// A database that is newer or older than we know.
    #[error(
        "{} says that the Nix database has schema '{found}', and Cairn knows schema 10 only; nothing was changed. \
         A Nix that knows this schema can use the store, and a newer Cairn may",
        path.display()
    )]
    NixSchema {
        /// The file `schema`.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A database that no Nix has made.
    #[error(
        "the Nix database {} is not as Nix makes it: {what}; nothing was changed. If the disk is a stranger's, leave it alone; \
         if it is yours, bring back a copy of the database",
        path.display()
    )]
    NixStrange {
        /// The database.
        path: PathBuf,
        /// What is odd.
        what: String,
    },
    /// A row of the database that we do not understand.
    #[error("the Nix database {} does not make sense about {path}: {what}", file.display())]
    NixRow {
        /// The path it is about.
        path: StorePath,
        /// The database.
        file: PathBuf,
        /// What is odd.
        what: String,
    },
    /// The database knows a path with other contents.
    #[error(
        "{path} is in the Nix database with other contents (there {database}, in the store {store}); \
         `nix-store --verify --check-contents` says which one is right"
    )]
    Disagree {
        /// The path.
        path: StorePath,
        /// The hash that the database has.
        database: String,
        /// The hash of what is in the store.
        store: String,
    },
    /// Something that is to stay refers to a path that is to go.
    #[error("{path} cannot go: {referrer} refers to it")]
    StillReferenced {
        /// The path.
        path: StorePath,
        /// What needs it.
        referrer: String,
    },
    /// A generation that is not as it must be for what was asked.
    #[error("generation {number}: {why}")]
    Generation {
        /// Which.
        number: u64,
        /// What is wrong, and what can be done.
        why: String,
    },
    /// There is no room for what is to come.
    #[error(
        "there is no room in the store at {}: {} are needed at most, and {} were free; nothing was copied. \
         `cairn gc --keep N` makes room by removing old generations",
        root.display(), size(*needed), size(*free)
    )]
    Full {
        /// The store's root folder.
        root: PathBuf,
        /// What all that is missing takes when none of it is here in other paths.
        needed: u64,
        /// What was free before.
        free: u64,
    },
    /// It is not clear what is needed, so nothing is removed.
    #[error(
        "{what}; what it needs is not known, so nothing was removed. Remove that generation (or that root of garbage \
         collection) first, or repair it: `cairn upgrade --from` brings a missing path back"
    )]
    Doubtful {
        /// What is wrong.
        what: String,
    },
    /// A folder that is to be copied from holds no store.
    #[error(
        "{} holds no store: {why}; name the root of a machine's disk, of a mounted image, or a Cairn cache",
        root.display()
    )]
    NoStore {
        /// The folder.
        root: PathBuf,
        /// What is missing.
        why: String,
    },
    /// What another store has is not what it says it has.
    #[error(
        "{path} in the store at {} is damaged: {what}; nothing was copied. Repair it there, or name another store",
        root.display()
    )]
    SourceDamaged {
        /// The path.
        path: StorePath,
        /// The other store.
        root: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A machine's store belongs to root.
    #[error(
        "changing the store of the machine at {} needs root, to whom all of it belongs: \
         say the same again with sudo",
        root.display()
    )]
    NotRoot {
        /// The machine's disk.
        root: PathBuf,
    },
    /// A machine's disk that cannot be written to.
    #[error(
        "the disk of the machine at {} is mounted read-only: `mount -o remount,rw {}` makes it writable, if nothing is \
         wrong with it (`dmesg` says whether errors made it so); nothing was changed",
        root.display(),
        root.display()
    )]
    ReadOnly {
        /// The machine's disk.
        root: PathBuf,
    },
    /// A store that is not on the file system that its records are on.
    #[error(
        "{} is a file system of its own: trees are moved into it by a rename, so it must be on one file system with \
         the rest of /nix",
        store.display()
    )]
    SeparateStore {
        /// The store folder.
        store: PathBuf,
    },
    /// Somebody else works on the store in a way that excludes us.
    #[error("the store of the machine at {} is in use: {what}; wait until it is done and try again", root.display())]
    InUse {
        /// The machine's disk.
        root: PathBuf,
        /// By whom.
        what: &'static str,
    },
    /// The database could not be made.
    #[error("writing the Nix database")]
    Database(#[source] rusqlite::Error),
}

impl StoreError {
    /// Whether it is a refusal: nothing is broken, and somebody can do something about it.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            StoreError::InUse { .. }
                | StoreError::NotRoot { .. }
                | StoreError::Unusable { .. }
                | StoreError::NoFolder { .. }
        )
    }

    /// Whether a database found no room on its disk: SQLite says so with an error of its own, not with the system's.
    pub fn is_full_database(&self) -> bool {
        let (StoreError::NixDatabase { source, .. } | StoreError::Database(source)) = self else { return false };
        source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

fn mend(remove: Option<&Path>) -> String {
    match remove {
        Some(file) => {
            format!("remove {} and build again; the packages are cached, no network is needed", file.display())
        }
        None => "the disk may be failing (`dmesg` tells); `cairn upgrade --from` a store that has it whole brings a good copy".into(),
    }
}

fn needed_by(referrer: Option<&StorePath>) -> String {
    referrer.map(|r| format!(", but {r} refers to it")).unwrap_or_default()
}

fn in_file(file: Option<&Path>) -> String {
    file.map_or_else(|| "the text ".to_string(), |f| format!("{} ", f.display()))
}

impl StoreError {
    /// Makes an [`StoreError::Io`]; for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io { action, path, source }
    }

    /// The same for errors of the `nix` crate.
    pub(crate) fn errno(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(nix::Error) -> StoreError {
        let path = path.into();
        move |errno| StoreError::Io { action, path, source: errno.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_never_told_as_less() {
        let full = |needed, free| StoreError::Full { root: "/".into(), needed, free }.to_string();
        assert!(full(1, 1 << 20).contains(": 1 KiB are needed at most, and 1 MiB were free"));
        assert!(full((1 << 20) + 1, (1 << 20) - 1).contains(": 2 MiB are needed at most, and 1024 KiB were free"));
    }

    #[test]
    fn a_database_without_room_says_so_itself() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("create table t (x); pragma max_page_count = 2").unwrap();
        let full = connection.execute("insert into t values (zeroblob(100000))", []).unwrap_err();
        let other = connection.execute("insert into nothing values (1)", []).unwrap_err();
        let of = |source| StoreError::NixDatabase { action: "writing", path: "/".into(), source };
        assert!(!of(other).is_full_database() && of(full).is_full_database());
        assert!(!StoreError::NoFolder { path: "/".into() }.is_full_database());
    }
}

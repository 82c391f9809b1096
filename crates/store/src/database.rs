//! Nix's database of valid paths, schema 10, made in memory: the same closure gives the same bytes.
//!
//! Nix adds what else it wants (lock files, its reserved space, the temporary roots) when it first opens the store.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::{Connection, MAIN_DB, params};

use crate::{PathInfo, StoreError, StorePath};

/// Where the database lies below the root: the folder for [`write()`].
pub const DATABASE_DIR: &str = "nix/var/nix/db";

/// The database in there.
pub(crate) const DATABASE: &str = "db.sqlite";

/// The contents of the file `schema`. Nix refuses a line feed after the number.
pub const SCHEMA: &str = "10";

/// The tables that a Nix without content-addressed derivations uses. Without the trigger, garbage collection could not
/// delete a path that refers to itself.
pub(crate) const TABLES: &str = "
create table ValidPaths (
    id integer primary key autoincrement not null,
    path text unique not null,
    hash text not null,
    registrationTime integer not null,
    deriver text,
    narSize integer,
    ultimate integer,
    sigs text,
    ca text
);
create table Refs (
    referrer integer not null references ValidPaths (id) on delete cascade,
    reference integer not null references ValidPaths (id) on delete restrict,
    primary key (referrer, reference)
);
create index IndexReferrer on Refs (referrer);
create index IndexReference on Refs (reference);
create trigger DeleteSelfRefs before delete on ValidPaths
begin
    delete from Refs where referrer = old.id and reference = old.id;
end;
create table DerivationOutputs (
    drv integer not null references ValidPaths (id) on delete cascade,
    id text not null,
    path text not null,
    primary key (drv, id)
);
create index IndexDerivationOutputs on DerivationOutputs (path);
";

/// The contents of `db.sqlite`. The order of `infos` does not matter.
///
/// # Errors
/// [`StoreError::NotClosed`] when a path refers to one that is not among them: garbage collection would take the
/// missing reference for permission to delete. [`StoreError::Database`].
pub fn sqlite(infos: &[PathInfo]) -> Result<Vec<u8>, StoreError> {
    let infos = closed(infos)?;
    let ids: BTreeMap<&StorePath, i64> = infos.keys().copied().zip(1..).collect();
    let fill = || -> rusqlite::Result<Vec<u8>> {
        let mut db = Connection::open_in_memory()?;
        // The file format of old, which is what a Nix that opens it turns into a write-ahead log.
        db.pragma_update(None, "page_size", 4096)?;
        db.pragma_update(None, "foreign_keys", true)?;
        let all = db.transaction()?;
        all.execute_batch(TABLES)?;
        {
            let mut valid = all.prepare(
                "insert into ValidPaths (id, path, hash, registrationTime, narSize, sigs, ca) values (?, ?, ?, ?, ?, ?, ?)",
            )?;
            for (path, info) in &infos {
                let sigs = (!info.signatures.is_empty()).then(|| info.signatures.join(" "));
                let size = i64::try_from(info.nar_size).unwrap_or(i64::MAX);
                let (text, hash) = (path.to_string(), info.nar_hash_hex());
                valid.execute(params![ids[path], text, hash, info.registration_time, size, sigs, info.ca])?;
            }
            let mut refs = all.prepare("insert into Refs (referrer, reference) values (?, ?)")?;
            for (path, info) in &infos {
                for reference in &info.references {
                    refs.execute(params![ids[path], ids[reference]])?;
                }
            }
        }
        all.commit()?;
        Ok(db.serialize(MAIN_DB)?.to_vec())
    };
    fill().map_err(StoreError::Database)
}

/// Writes `db.sqlite` and `schema` into `dir` (`ROOT/nix/var/nix/db`), which is made if it is missing.
///
/// # Errors
/// As [`sqlite`], and [`StoreError::Io`].
pub fn write(dir: &Path, infos: &[PathInfo]) -> Result<(), StoreError> {
    let bytes = sqlite(infos)?;
    fs::create_dir_all(dir).map_err(StoreError::io("making", dir))?;
    for (name, bytes) in [("db.sqlite", bytes.as_slice()), ("schema", SCHEMA.as_bytes())] {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(StoreError::io("writing", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(StoreError::io("writing", &path))?;
    }
    Ok(())
}

/// The same closure as `nix-store --load-db` reads it (and as NixOS images have it in `/nix-path-registration`).
/// The format has no room for signatures and content addresses.
///
/// # Errors
/// [`StoreError::NotClosed`].
pub fn registration(infos: &[PathInfo]) -> Result<String, StoreError> {
    let mut text = String::new();
    for (path, info) in closed(infos)? {
        let hash = info.nar_hash_hex();
        let hash = hash.trim_start_matches("sha256:");
        // The empty line would be the deriver. Writing to a string cannot fail.
        let _ = writeln!(text, "{path}\n{hash}\n{}\n\n{}", info.nar_size, info.references.len());
        for reference in &info.references {
            let _ = writeln!(text, "{reference}");
        }
    }
    Ok(text)
}

/// What a registration file says of a path. The texts are checked to be store paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered<'t> {
    /// The path.
    pub path: &'t str,
    /// The size of its contents (of its NAR) in bytes.
    pub nar_size: u64,
    /// What it refers to, itself included where it does.
    pub references: Vec<&'t str>,
}

/// Reads what [`registration`] writes, path by path: path, hash, size, deriver or nothing, a count, and so many references.
/// `None` for what is anything else, or names what is no store path; after that nothing comes.
pub fn registered(text: &str) -> impl Iterator<Item = Option<Registered<'_>>> {
    let mut lines = text.lines();
    let mut failed = false;
    std::iter::from_fn(move || {
        let path = lines.next().filter(|_| !failed)?;
        let known = |path: &str| StorePath::from_absolute(path).is_ok();
        let mut next = || {
            let _hash = lines.next()?;
            let nar_size = lines.next()?.parse().ok()?;
            let _deriver = lines.next()?;
            let count: usize = lines.next()?.parse().ok()?;
            // Names of that length also hold what is read to little more than the file's own size.
            let references: Vec<&str> = lines.by_ref().take(count).take_while(|path| known(path)).collect();
            (known(path) && references.len() == count).then_some(Registered { path, nar_size, references })
        };
        let found = next();
        failed = found.is_none();
        Some(found)
    })
}

/// The paths in order, each once, all references among them.
fn closed(infos: &[PathInfo]) -> Result<BTreeMap<&StorePath, &PathInfo>, StoreError> {
    let map: BTreeMap<&StorePath, &PathInfo> = infos.iter().map(|i| (&i.path, i)).collect();
    for info in infos {
        if let Some(path) = info.references.iter().find(|r| !map.contains_key(r)) {
            return Err(StoreError::NotClosed { path: path.clone(), referrer: info.path.clone() });
        }
    }
    Ok(map)
}

//! Work on the database of a machine that lives: a real Nix may have it open, may have added tables of its own, and may
//! have turned it into one with a write-ahead log. What is there is kept; the journal stays as it was found.
//!
//! A change is one transaction that takes the writer's place at once, waits for others, and is on the disk when the
//! call returns. Making a whole database, as an image needs it, is the business of [`crate::database`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_root::{Folder, Root};
use nix::fcntl::Flock;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};

use crate::database::{DATABASE, DATABASE_DIR, SCHEMA, TABLES};
use crate::folders::{own, own_or_new};
use crate::info::from_hex;
use crate::local::open_root;
use crate::nix_files::{self, big_lock, check_schema, copy_quietly};
use crate::nix_schema::{self, Budget};
use crate::{PathInfo, StoreError, StorePath};

/// How long others may keep the database to themselves.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open database.
#[derive(Debug)]
pub struct NixDb {
    db: Connection,
    /// Where it is, for messages.
    file: PathBuf,
    budget: Budget,
    /// Keeps a newer Nix from changing the schema meanwhile.
    _big_lock: Option<Flock<File>>,
    /// The copy that is read, where the original must stay as it is.
    _copy: Option<tempfile::TempDir>,
}

/// Which paths are valid, and what they refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Each valid path with its references, itself among them if it names itself.
    pub paths: BTreeMap<StorePath, BTreeSet<StorePath>>,
    /// Paths to which rows refer whose own path is none that we know how to spell (a newer Nix may know more). They must
    /// be taken for alive.
    pub held: BTreeSet<StorePath>,
}

impl NixDb {
    /// Opens the database below `root` to change it; makes it when there is none.
    ///
    /// # Errors
    /// [`StoreError::NixSchema`] when it is of another kind than we know, [`StoreError::NixStrange`] when it is none of Nix's
    /// making, [`StoreError::Unusable`] when its folder is something else, a link say; [`StoreError::NixDatabase`],
    /// [`StoreError::NixDatabaseBusy`], [`StoreError::Io`].
    pub fn open(root: &Path) -> Result<NixDb, StoreError> {
        NixDb::open_in(&open_root(root)?)
    }

    /// The same below a root that is open already.
    ///
    /// # Errors
    /// As [`NixDb::open`].
    pub fn open_in(disk: &Root) -> Result<NixDb, StoreError> {
        let dir = own_or_new(disk, DATABASE_DIR)?;
        let big_lock = big_lock(&dir)?;
        check_schema(&dir)?;
        let budget = Budget::of(nix_files::check(&dir, nix_files::largest(disk))?);
        let file = dir.shown(DATABASE);
        let new = is_missing(&dir, DATABASE)?;
        let open = |file: &Path| {
            let mut db = connect(file)?;
            nix_schema::guard(&mut db, &budget)?;
            db.busy_timeout(PATIENCE)?;
            // Also with a rollback journal, whose removal is what commits.
            db.pragma_update(None, "synchronous", "extra")?;
            db.pragma_update(None, "foreign_keys", true)?;
            if new {
                let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                // Another process may have been quicker.
                let there = "select count(*) from sqlite_master where name = 'ValidPaths'";
                if all.query_row(there, [], |row| row.get::<_, i64>(0))? == 0 {
                    all.execute_batch(TABLES)?;
                }
                all.commit()?;
            }
            let strange = nix_schema::strange(&db)?;
            Ok((db, strange))
        };
        let (db, strange) = open(&file).map_err(failed("opening", &file))?;
        if let Some(what) = strange {
            return Err(nix_files::strange(&dir, what));
        }
        if new {
            let opened = dir.open_to_change(DATABASE);
            let made = opened.and_then(|f| f.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)));
            made.map_err(StoreError::io("making", &file))?;
            dir.sync().map_err(StoreError::io("syncing", dir.path()))?;
        }
        // Last: Nix refuses a schema without a database, and mends the other way round.
        if is_missing(&dir, "schema")? {
            let written = dir.write_durably("schema", SCHEMA.as_bytes(), 0o644);
            written.map_err(StoreError::io("writing", dir.shown("schema")))?;
        }
        Ok(NixDb { db, file, budget, _big_lock: big_lock, _copy: None })
    }

    /// Opens the database below `root` to read it; nothing when there is none. Not a byte below `root` is changed, so
    /// it may be a disk that was not unmounted, a medium, or the machine itself at work.
    ///
    /// # Errors
    /// As [`NixDb::open`].
    pub fn read(root: &Path) -> Result<Option<NixDb>, StoreError> {
        NixDb::look(&open_root(root)?)
    }

    /// The same below a root that is open already.
    ///
    /// # Errors
    /// As [`NixDb::open`].
    pub fn look(disk: &Root) -> Result<Option<NixDb>, StoreError> {
        let Some(dir) = own(disk, DATABASE_DIR)? else { return Ok(None) };
        if is_missing(&dir, DATABASE)? {
            return Ok(None);
        }
        check_schema(&dir)?;
        let budget = Budget::of(nix_files::check(&dir, nix_files::largest(disk))?);
        let file = dir.shown(DATABASE);
        // SQLite would make files beside one with a log, and roll back what an unfinished journal says.
        let copy = copy_quietly(&dir, nix_files::largest(disk))?;
        let read = |file: &Path| {
            let mut db = Connection::open(file)?;
            nix_schema::guard(&mut db, &budget)?;
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            db.busy_timeout(PATIENCE)?;
            let strange = nix_schema::strange(&db)?;
            db.pragma_update(None, "query_only", true)?;
            Ok((db, strange))
        };
        let (db, strange) = read(&copy.path().join(DATABASE)).map_err(failed("reading", &file))?;
        match strange {
            Some(what) => Err(nix_files::strange(&dir, what)),
            None => Ok(Some(NixDb { db, file, budget, _big_lock: None, _copy: Some(copy) })),
        }
    }

    /// Makes paths valid, all or none. A path that is valid already keeps its row: signatures, content address, time; it gets
    /// the references that it lacks. When this returns, the change is on the disk; the trees must have been before.
    ///
    /// Gives the number of paths that were not valid before.
    ///
    /// # Errors
    /// [`StoreError::NotClosed`] when a reference is neither among `infos` nor valid, [`StoreError::Disagree`] when the
    /// database knows a path with another hash, and as [`NixDb::open`].
    pub fn register(&mut self, infos: &[PathInfo], time: i64) -> Result<usize, StoreError> {
        let file = self.file.clone();
        self.budget.renew();
        let given: BTreeMap<&StorePath, &PathInfo> = infos.iter().map(|i| (&i.path, i)).collect();
        let fill = |db: &mut Connection| -> rusqlite::Result<Result<usize, StoreError>> {
            let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut ids: BTreeMap<StorePath, i64> = BTreeMap::new();
            let mut new = 0;
            {
                let mut known = all.prepare("select id, hash from ValidPaths where path = ?")?;
                let mut insert = all.prepare(
                    "insert into ValidPaths (path, hash, registrationTime, narSize, sigs, ca) values (?, ?, ?, ?, ?, ?)",
                )?;
                for (path, info) in &given {
                    let row: Option<(i64, String)> =
                        known.query_row([path.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                    if let Some((id, hash)) = row {
                        if parse_hash(&hash) != Some(info.nar_hash) {
                            let (path, store) = ((*path).clone(), info.nar_hash_hex());
                            return Ok(Err(StoreError::Disagree { path, database: hash, store }));
                        }
                        ids.insert((*path).clone(), id);
                        continue;
                    }
                    let sigs = (!info.signatures.is_empty()).then(|| info.signatures.join(" "));
                    let size = i64::try_from(info.nar_size).unwrap_or(i64::MAX);
                    insert.execute(params![path.to_string(), info.nar_hash_hex(), time, size, sigs, info.ca])?;
                    ids.insert((*path).clone(), all.last_insert_rowid());
                    new += 1;
                }
                let mut refer = all.prepare("insert or ignore into Refs (referrer, reference) values (?, ?)")?;
                for info in given.values() {
                    for reference in &info.references {
                        let id = match ids.get(reference) {
                            Some(id) => *id,
                            None => {
                                let row: Option<i64> =
                                    known.query_row([reference.to_string()], |row| row.get(0)).optional()?;
                                let Some(id) = row else {
                                    let (path, referrer) = (reference.clone(), info.path.clone());
                                    return Ok(Err(StoreError::NotClosed { path, referrer }));
                                };
                                ids.insert(reference.clone(), id);
                                id
                            }
                        };
                        refer.execute([ids[&info.path], id])?;
                    }
                }
            }
            all.commit()?;
            Ok(Ok(new))
        };
        fill(&mut self.db).map_err(failed("writing", file))?
    }

    /// Makes paths invalid, all or none; those that are not valid do not matter. When this returns, the change is on the
    /// disk, and the trees may go. Gives the number of paths that were valid.
    ///
    /// # Errors
    /// [`StoreError::StillReferenced`] when a path that would stay refers to one of them, and as [`NixDb::open`].
    pub fn unregister<'a>(&mut self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<usize, StoreError> {
        let file = self.file.clone();
        self.budget.renew();
        let clear = |db: &mut Connection| -> rusqlite::Result<Result<usize, StoreError>> {
            let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut ids = Vec::new();
            {
                let mut find = all.prepare("select id from ValidPaths where path = ?")?;
                let mut forget = all.prepare("delete from Refs where referrer = ?")?;
                for path in paths {
                    let row: Option<i64> = find.query_row([path.to_string()], |row| row.get(0)).optional()?;
                    if let Some(id) = row {
                        forget.execute([id])?;
                        ids.push((id, path));
                    }
                }
                let mut others = all.prepare(
                    "select path from Refs join ValidPaths on id = referrer where reference = ? order by path limit 1",
                )?;
                for (id, path) in &ids {
                    let row: Option<String> = others.query_row([id], |row| row.get(0)).optional()?;
                    if let Some(referrer) = row {
                        return Ok(Err(StoreError::StillReferenced { path: (*path).clone(), referrer }));
                    }
                }
                let mut delete = all.prepare("delete from ValidPaths where id = ?")?;
                for (id, _) in &ids {
                    delete.execute([id])?;
                }
            }
            all.commit()?;
            Ok(Ok(ids.len()))
        };
        clear(&mut self.db).map_err(failed("writing", file))?
    }

    /// All valid paths, with what they refer to.
    ///
    /// # Errors
    /// [`StoreError::NixDatabase`], [`StoreError::NixDatabaseBusy`].
    pub fn references(&self) -> Result<References, StoreError> {
        self.budget.renew();
        let read = || -> rusqlite::Result<References> {
            // One transaction: the two tables as they were at one moment.
            let all = self.db.unchecked_transaction()?;
            let mut found = References::default();
            let mut ids: BTreeMap<i64, Option<StorePath>> = BTreeMap::new();
            let mut statement = all.prepare("select id, path from ValidPaths")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let path = StorePath::from_absolute(&row.get::<_, String>(1)?).ok();
                if let Some(path) = &path {
                    found.paths.insert(path.clone(), BTreeSet::new());
                }
                ids.insert(row.get(0)?, path);
            }
            let mut statement = all.prepare("select referrer, reference from Refs")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let side = |index| Ok::<_, rusqlite::Error>(ids.get(&row.get::<_, i64>(index)?).cloned().flatten());
                match (side(0)?, side(1)?) {
                    (Some(referrer), Some(reference)) => {
                        found.paths.entry(referrer).or_default().insert(reference);
                    }
                    (None, Some(reference)) => {
                        found.held.insert(reference);
                    }
                    (_, None) => {}
                }
            }
            Ok(found)
        };
        read().map_err(failed("reading", &self.file))
    }

    /// What the database says about a path; nothing when it is not valid. A size of 0 means that it is not known.
    ///
    /// # Errors
    /// [`StoreError::NixRow`] when it says something that we do not understand, and as [`NixDb::references`].
    pub fn info(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        self.budget.renew();
        let odd = |what: String| StoreError::NixRow { path: path.clone(), file: self.file.clone(), what };
        let read = || -> rusqlite::Result<Option<(Valid, Vec<String>)>> {
            let all = self.db.unchecked_transaction()?;
            let mut statement = all.prepare_cached(
                "select id, hash, registrationTime, narSize, sigs, ca from ValidPaths where path = ?",
            )?;
            let Some(valid) = statement.query_row([path.to_string()], Valid::read).optional()? else { return Ok(None) };
            let mut statement = all.prepare_cached(
                "select path from Refs join ValidPaths on id = reference where referrer = ? order by 1",
            )?;
            let references = statement.query_map([valid.id], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(Some((valid, references)))
        };
        let Some((valid, references)) = read().map_err(failed("reading", &self.file))? else { return Ok(None) };
        let nar_hash = parse_hash(&valid.hash).ok_or_else(|| odd(format!("its hash is '{}'", valid.hash)))?;
        let references: Result<BTreeSet<StorePath>, StoreError> =
            references.iter().map(|r| StorePath::from_absolute(r).map_err(|e| odd(e.to_string()))).collect();
        let size = valid.size.unwrap_or(0);
        let nar_size = u64::try_from(size).map_err(|_| odd(format!("its size is {size}")))?;
        let mut signatures: Vec<String> =
            valid.sigs.unwrap_or_default().split_ascii_whitespace().map(String::from).collect();
        signatures.sort_unstable();
        Ok(Some(PathInfo {
            path: path.clone(),
            nar_hash,
            nar_size,
            references: references?,
            ca: valid.ca.filter(|ca| !ca.is_empty()),
            signatures,
            registration_time: valid.time,
        }))
    }
}

/// A row of `ValidPaths`.
struct Valid {
    id: i64,
    hash: String,
    time: i64,
    size: Option<i64>,
    sigs: Option<String>,
    ca: Option<String>,
}

impl Valid {
    fn read(row: &Row<'_>) -> rusqlite::Result<Valid> {
        Ok(Valid {
            id: row.get(0)?,
            hash: row.get(1)?,
            time: row.get(2)?,
            size: row.get(3)?,
            sigs: row.get(4)?,
            ca: row.get(5)?,
        })
    }
}

/// `sha256:` and base 16, as every Nix writes it, or base 32, as it may stand in an old database.
fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:")?;
    if digits.len() == 64 {
        return from_hex(digits);
    }
    nix_derivation::nixbase32::decode(digits.as_bytes()).ok()?.try_into().ok()
}

fn is_missing(dir: &Folder, name: &str) -> Result<bool, StoreError> {
    Ok(dir.metadata(name).map_err(StoreError::io("reading", dir.shown(name)))?.is_none())
}

/// SQLite's door to a database that is to be changed: made when it is missing; no link is followed.
fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Connection::open_with_flags(file, flags)
}

/// Says which database, and what to do when it is somebody else's just now.
fn failed(action: &'static str, file: impl Into<PathBuf>) -> impl FnOnce(rusqlite::Error) -> StoreError {
    let path = file.into();
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::NixDatabaseBusy { path },
        Some(ErrorCode::OperationInterrupted) => {
            let what = "to read it takes longer than anything of its size can, so it may lead into itself".to_string();
            StoreError::NixStrange { path, what }
        }
        _ => StoreError::NixDatabase { action, path, source },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_failed_is_told_by_what_can_be_done() {
        let told = |code| {
            let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            failed("reading", "/db.sqlite")(source)
        };
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_BUSY_SNAPSHOT] {
            assert!(matches!(told(code), StoreError::NixDatabaseBusy { path } if path == Path::new("/db.sqlite")));
        }
        let error = told(ffi::SQLITE_INTERRUPT);
        assert!(matches!(&error, StoreError::NixStrange { .. }) && error.to_string().contains("lead into itself"));
        assert!(matches!(told(ffi::SQLITE_CORRUPT), StoreError::NixDatabase { action: "reading", .. }));
    }

    #[test]
    fn a_database_is_made_and_none_is_opened_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let file = dir.join(DATABASE);
        connect(&file).unwrap().execute_batch("create table t (a)").unwrap();
        std::os::unix::fs::symlink(DATABASE, dir.join("link")).unwrap();
        assert_eq!(connect(&dir.join("link")).unwrap_err().sqlite_error_code(), Some(ErrorCode::CannotOpen));
    }
}

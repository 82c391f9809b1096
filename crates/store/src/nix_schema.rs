//! Whether a database is one that Nix makes. One on a stranger's disk may hold views that never end, triggers that change what
//! they like in the midst of our changes, and columns and indexes that compute; none of these is Nix's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

/// The triggers that versions of Nix make.
const TRIGGERS: [&str; 3] = [
    "create trigger deleteselfrefs before delete on validpaths begin delete from refs where referrer = old.id and \
     reference = old.id; end",
    "create trigger deleteselfrefsviarealisations before delete on validpaths begin delete from realisationsrefs where \
     realisationreference in ( select id from realisations where outputpath = old.id ); end",
    "create trigger deleteselfrefsviarealisations before delete on validpaths begin delete from realisationsrefs where \
     realisationreference = ( select id from realisations where outputpath = old.id ); end",
];

/// The columns that we read and write.
const COLUMNS: [(&str, &[&str]); 2] = [
    ("ValidPaths", &["id", "path", "hash", "registrationTime", "narSize", "sigs", "ca"]),
    ("Refs", &["referrer", "reference"]),
];

/// No Nix makes a table with any of these words in its text.
const ODD_WORDS: [&str; 6] = ["check", "generated", "collate", "virtual", "default", "as"];

/// Nix has about twenty; every version to come will do with this.
const MOST_NAMES: usize = 500;

/// No value in a row, and no text of a table, is longer.
const LONGEST: i32 = 1 << 20;

/// How much SQLite may do for one request, so that a tree of pages that leads into itself comes to an end.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    most: u64,
    left: Arc<AtomicU64>,
}

impl Budget {
    /// A step of the budget, in operations of SQLite's machine.
    const STEP: i32 = 10_000;

    /// Plenty for a database of this many bytes: a row has more bytes than going over it takes operations.
    pub(crate) fn of(bytes: u64) -> Budget {
        let most = 5_000 + bytes.saturating_mul(4) / Budget::STEP.unsigned_abs() as u64;
        Budget { most, left: Arc::new(AtomicU64::new(most)) }
    }

    /// Another request begins.
    pub(crate) fn renew(&self) {
        self.left.store(self.most, Ordering::Relaxed);
    }
}

/// Makes a connection one that believes nothing of what is in its file.
pub(crate) fn guard(db: &mut Connection, budget: &Budget) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
    db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let left = budget.left.clone();
    let over = move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
    db.progress_handler(Budget::STEP, Some(over))?;
    db.pragma_update(None, "cell_size_check", true)
}

/// What in a database is not as Nix makes it.
pub(crate) fn strange(db: &Connection) -> rusqlite::Result<Option<String>> {
    let mut statement = db.prepare("select type, name, sql from sqlite_master")?;
    let mut rows = statement.query([])?;
    let mut tables = Vec::new();
    let mut names = 0;
    while let Some(row) = rows.next()? {
        names += 1;
        if names > MOST_NAMES {
            return Ok(Some(format!("it has more than {MOST_NAMES} tables and indexes")));
        }
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let words = words(&row.get::<_, Option<String>>(2)?.unwrap_or_default());
        let shown = name.escape_debug();
        match kind.as_str() {
            "table" => {
                // In a quoted name as well: Nix makes none of these.
                let mut words = words.iter().flat_map(|word| word.split(|c: char| !is_letter(c)));
                if let Some(word) = words.find(|word| ODD_WORDS.contains(word)) {
                    return Ok(Some(format!("its table {shown} has the word {word} in its text")));
                }
                tables.push(name);
            }
            "index" => {
                let computed = "select count(*) from pragma_index_xinfo(?) where cid = -2";
                if words.iter().any(|word| word == "where")
                    || db.query_row(computed, [&name], |row| row.get::<_, i64>(0))? > 0
                {
                    return Ok(Some(format!("its index {shown} computes something")));
                }
            }
            "trigger" if TRIGGERS.iter().any(|trigger| crate::nix_schema::words(trigger) == words) => {}
            _ => return Ok(Some(format!("it has the {} {shown}", kind.escape_debug()))),
        }
    }
    for (table, columns) in COLUMNS {
        if !tables.iter().any(|name| name == table) {
            return Ok(Some(format!("it has no table {table}")));
        }
        let mut statement = db.prepare("select name from pragma_table_xinfo(?) where hidden = 0")?;
        let there: Vec<String> = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
        if let Some(column) = columns.iter().find(|column| !there.iter().any(|name| name == *column)) {
            return Ok(Some(format!("its table {table} has no column {column}")));
        }
    }
    Ok(None)
}

/// The words and signs of a statement in small letters, as SQLite tells them apart: without comments, what is quoted as one
/// word with its quotes (a comment's sign in there begins none). SQLite itself keeps neither `if not exists` nor the semicolon
/// at the end.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        // What comes after a sign, and where it ends; without an end it goes to the last letter.
        let until = |skip: usize, end: &str| rest[skip..].find(end).map_or(rest.len(), |at| skip + at + end.len());
        let length = match first {
            '-' if rest.starts_with("--") => until(2, "\n"),
            '/' if rest.starts_with("/*") => until(2, "*/"),
            // A doubled quote makes two words of one, which is the same to those who compare.
            '"' | '\'' | '`' => until(1, &first.to_string()),
            '[' => until(1, "]"),
            _ if is_letter(first) => rest.find(|c: char| !is_letter(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        let is_comment = word.starts_with("--") || word.starts_with("/*");
        if !first.is_whitespace() && !is_comment {
            words.push(word.to_lowercase());
        }
        rest = after;
    }
    words
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::TABLES;

    /// As Nix 2.8 to 2.30 make them.
    const REALISATIONS: &str = "
create table if not exists Realisations (
    id integer primary key autoincrement not null,
    drvPath text not null,
    outputName text not null, -- symbolic output id, usually \"out\"
    outputPath integer not null,
    signatures text, -- space-separated list
    foreign key (outputPath) references ValidPaths(id) on delete cascade
);
create index if not exists IndexRealisations on Realisations(drvPath, outputName);
create table if not exists RealisationsRefs (referrer integer not null, realisationReference integer);
create trigger if not exists DeleteSelfRefsViaRealisations before delete on ValidPaths
  begin
    delete from RealisationsRefs where realisationReference in (
      select id from Realisations where outputPath = old.id
    );
  end;
";

    fn of(sql: &str) -> Option<String> {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(sql).unwrap();
        strange(&db).unwrap()
    }

    #[test]
    fn what_nix_makes_is_nothing_strange() {
        assert_eq!(of(TABLES), None);
        assert_eq!(of(&format!("{TABLES}{REALISATIONS}")), None);
        // One of its tables was made anew and got the old one's name, in quotes.
        let renamed = REALISATIONS.replacen("exists Realisations (", "exists Realisations2 (", 1);
        let renamed = renamed.replacen(");\n", ");\nalter table Realisations2 rename to Realisations;\n", 1);
        assert!(renamed.contains("exists Realisations2 (") && renamed.contains("rename to"));
        assert_eq!(of(&format!("{TABLES}{renamed}")), None);
        // A database that has come a long way.
        let old = TABLES.replace("    sigs text,\n    ca text\n", "    sigs text\n");
        assert_eq!(of(&format!("{old}; alter table ValidPaths add column ca text")), None);
    }

    #[test]
    fn a_statement_is_words_and_signs_without_comments() {
        for (sql, expected) in [
            ("A / b\t- c", &["a", "/", "b", "-", "c"][..]),
            ("a--x\nb/*y\n*/c /* d", &["a", "b", "c"][..]),
            ("\"a--\" [b*/] `C d` 'e'", &["\"a--\"", "[b*/]", "`c d`", "'e'"][..]),
            ("a--x", &["a"][..]),
            ("'x", &["'x"][..]),
            ("a_1ü.B;", &["a_1ü", ".", "b", ";"][..]),
        ] {
            assert_eq!(words(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_computes_or_acts_is_none_of_nix_s() {
        let more = |sql: &str| of(&format!("{TABLES}{sql}")).unwrap_or_default();
        assert_eq!(more("create view v as select 1"), "it has the view v");
        let trigger = "create trigger t after insert on ValidPaths begin delete from Refs; end";
        assert_eq!(more(trigger), "it has the trigger t");
        let changed = "drop trigger DeleteSelfRefs; create trigger DeleteSelfRefs before delete on ValidPaths begin delete \
                       from Refs; end";
        assert_eq!(more(changed), "it has the trigger DeleteSelfRefs");
        assert_eq!(more("create index i on Refs(referrer + 1)"), "its index i computes something");
        assert_eq!(more("create index i on Refs(referrer) where referrer > 1"), "its index i computes something");
        // What looks like a comment and is none, and what looks like a name's end and is none.
        for name in ["\"i--\"", "[i--]", "`i--`", "'i--'", "\"i/*\"", "\"a\"\"--\"", "/* -- */ i"] {
            for filter in [" where referrer > 1", "where(referrer > 1)", "/**/where/**/referrer > 1"] {
                let found = more(&format!("create index {name} on Refs(referrer){filter}"));
                assert!(found.ends_with("computes something"), "{name} {filter}: {found}");
            }
            let found = more(&format!("create table {name} (a, b default(1))"));
            assert!(found.ends_with("has the word default in its text"), "{name}: {found}");
            let found = more(&format!("create table {name} (a, b as(a + 1))"));
            assert!(found.ends_with("has the word as in its text"), "{name}: {found}");
        }
        assert_eq!(more("create table \"t--\" (a); create index \"i--\" on \"t--\"(a) -- where\n"), "");
        let check = "create table t (a check (a > randomblob(10)))";
        assert_eq!(more(check), "its table t has the word check in its text");
        let column = "alter table Refs add column c generated always as (referrer) virtual";
        assert_eq!(more(column), "its table Refs has the word generated in its text");
        assert_eq!(of("create table Refs (referrer, reference)").unwrap(), "it has no table ValidPaths");
        let short = TABLES.replace("    ca text\n", "    cb text\n");
        assert_eq!(of(&short).unwrap(), "its table ValidPaths has no column ca");
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLES).unwrap();
        let own: u32 = db.query_row("select count(*) from sqlite_master", [], |row| row.get(0)).unwrap();
        let own = usize::try_from(own).unwrap();
        let many = |count: usize| -> String { (own..count).map(|n| format!("create table t{n} (a);")).collect() };
        assert_eq!(more(&many(MOST_NAMES)), "");
        assert_eq!(more(&many(MOST_NAMES + 1)), "it has more than 500 tables and indexes");
        // Words that only look odd.
        assert_eq!(more("create table t (as_of, my_default, checked) -- as\n"), "");
        assert_eq!(more("create table t (a /* default */, -- virtual\n b)"), "");
        assert_eq!(more("analyze"), "");
    }

    #[test]
    fn no_value_is_longer_than_nix_s() {
        let mut db = Connection::open_in_memory().unwrap();
        guard(&mut db, &Budget::of(0)).unwrap();
        let length = |bytes: u32| db.query_row("select length(zeroblob(?))", [bytes], |row| row.get::<_, u32>(0));
        assert_eq!(length(1_000_000).unwrap(), 1_000_000);
        assert_eq!(length(1_100_000).unwrap_err().sqlite_error_code(), Some(rusqlite::ErrorCode::TooBig));
    }

    #[test]
    fn no_request_goes_on_for_ever() {
        let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n";
        let mut db = Connection::open_in_memory().unwrap();
        // The least that any database gets would take seconds.
        let budget = Budget { most: 20, left: Arc::default() };
        budget.renew();
        guard(&mut db, &budget).unwrap();
        for _ in 0..2 {
            let error = db.query_row(endless, [], |_| Ok(())).unwrap_err();
            assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
            budget.renew();
            let much = endless.replace("from n)", "from n where i < 2000)");
            assert_eq!(db.query_row(&much, [], |row| row.get::<_, u32>(0)).unwrap(), 2_000);
        }
    }

    #[test]
    fn a_request_may_do_more_in_a_larger_database() {
        let most = [0, 2_500, 100_000_000, u64::MAX].map(|bytes| Budget::of(bytes).most);
        assert_eq!(most, [5_000, 5_001, 45_000, 5_000 + u64::MAX / 10_000]);
    }
}

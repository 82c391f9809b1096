//! What a guest does to a boot partition, one system call a line: `rename a.tmp a`, `fsync f`, `syncfs`.
//!
//! The text goes into the guest as it is and is what a report quotes.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

use super::random::Random;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `create HANDLE PATH CONTENT`: opens with `O_CREAT|O_TRUNC` and writes; the handle stays open.
    Create(String, String, Content),
    /// `open HANDLE PATH`: for reading and writing.
    Open(String, String),
    /// `hold HANDLE PATH`: for reading, if it is there.
    Hold(String, String),
    /// `pwrite HANDLE OFFSET CONTENT`
    Write(String, u64, Content),
    /// `reserve HANDLE SIZE`: `fallocate` with `FALLOC_FL_KEEP_SIZE`.
    Reserve(String, i64),
    /// `writeout HANDLE`: `sync_file_range`, the file's data and neither its inode nor a flush.
    Writeout(String),
    /// `mount OPTIONS`: mounts it again with these, after unmounting.
    Mount(String),
    /// `fsync HANDLE`
    Fsync(String),
    /// `close HANDLE`
    Close(String),
    /// `fsyncdir PATH`: opens a folder and calls fsync.
    FsyncDir(String),
    /// `syncfs`
    Syncfs,
    /// `rename FROM TO`
    Rename(String, String),
    /// `exchange A B`: `renameat2` with `RENAME_EXCHANGE`.
    Exchange(String, String),
    /// `unlink PATH`
    Unlink(String),
    /// `remove PATH`: unlink, if it is there.
    Remove(String),
    /// `mkdir PATH`
    Mkdir(String),
    /// `rmdir PATH`
    Rmdir(String),
    /// `mark NAME`: a write beyond the file system, which says in the log how far this has come.
    Mark(String),
    /// `hasty never|metadata|all`: what the kernel writes by itself after each step from here on.
    Hasty(Hasty),
}

/// What the kernel writes back by itself: it may do so at any time, so a sequence must be right with any of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hasty {
    /// Nothing before it is told to.
    Never,
    /// The FAT and the folders, but not the files' data, nor their size and first cluster.
    Metadata,
    /// Everything; no flush.
    All,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// `@SEED:SIZE`: random bytes.
    Random(u64, usize),
    /// A text, with `\n` for the end of a line.
    Text(String),
}

impl Content {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Content::Text(text) => text.clone().into_bytes(),
            Content::Random(seed, size) => {
                let mut random = Random::new(*seed);
                let mut bytes = Vec::with_capacity(size + 8);
                while bytes.len() < *size {
                    bytes.extend(random.draw().to_le_bytes());
                }
                bytes.truncate(*size);
                bytes
            }
        }
    }

    fn parse(text: &str) -> Result<Content> {
        Ok(match text.strip_prefix('@').and_then(|text| text.split_once(':')) {
            Some((seed, size)) => Content::Random(seed.parse()?, size.parse()?),
            None => Content::Text(text.replace("\\n", "\n")),
        })
    }
}

/// Reads a script; empty lines and lines with `#` are left out.
pub fn parse(text: &str) -> Result<Vec<Step>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.parse().with_context(|| format!("'{line}'"))).collect()
}

impl std::str::FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Step> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<String> = rest.split(' ').filter(|w| !w.is_empty()).map(String::from).collect();
        let word = |n: usize| words.get(n).cloned().context("a word is missing");
        let content = || Content::parse(rest.splitn(3, ' ').nth(2).context("the content is missing")?);
        let most = match verb {
            "create" | "pwrite" => usize::MAX,
            "rename" | "exchange" | "open" | "hold" | "reserve" => 2,
            "syncfs" => 0,
            _ => 1,
        };
        ensure!(words.len() <= most, "too many words");
        Ok(match verb {
            "create" => Step::Create(word(0)?, word(1)?, content()?),
            "open" => Step::Open(word(0)?, word(1)?),
            "hold" => Step::Hold(word(0)?, word(1)?),
            "pwrite" => Step::Write(word(0)?, word(1)?.parse()?, content()?),
            "reserve" => Step::Reserve(word(0)?, word(1)?.parse()?),
            "writeout" => Step::Writeout(word(0)?),
            "mount" => Step::Mount(word(0)?),
            "fsync" => Step::Fsync(word(0)?),
            "close" => Step::Close(word(0)?),
            "fsyncdir" => Step::FsyncDir(word(0)?),
            "syncfs" => Step::Syncfs,
            "rename" => Step::Rename(word(0)?, word(1)?),
            "exchange" => Step::Exchange(word(0)?, word(1)?),
            "unlink" => Step::Unlink(word(0)?),
            "remove" => Step::Remove(word(0)?),
            "mkdir" => Step::Mkdir(word(0)?),
            "rmdir" => Step::Rmdir(word(0)?),
            "mark" => Step::Mark(word(0)?),
            "hasty" => Step::Hasty(match word(0)?.as_str() {
                "never" => Hasty::Never,
                "metadata" => Hasty::Metadata,
                "all" => Hasty::All,
                other => bail!("the kernel is never hasty with '{other}'"),
            }),
            other => bail!("no such step as '{other}'"),
        })
    }
}

impl fmt::Display for Hasty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hasty::Never => "never",
            Hasty::Metadata => "metadata",
            Hasty::All => "all",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read() {
        let text =
            "# new\ncreate f a.tmp @1:5000\nfsync f\n\nrename a.tmp a\npwrite f 512 a b\\nc\nsyncfs\nhasty all\n";
        let steps = parse(text).unwrap();
        assert_eq!(steps.len(), 6);
        assert_eq!(steps[0], Step::Create("f".into(), "a.tmp".into(), Content::Random(1, 5000)));
        assert_eq!(steps[3], Step::Write("f".into(), 512, Content::Text("a b\nc".into())));
        assert_eq!(steps[5], Step::Hasty(Hasty::All));
        for bad in ["rename a", "delete a", "rename a b c", "hasty sometimes", "create f a", "syncfs now"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn random_contents_are_always_the_same() {
        assert_eq!(Content::Random(7, 13).bytes(), Content::Random(7, 13).bytes());
        assert_eq!(Content::Random(7, 13).bytes().len(), 13);
        assert_ne!(Content::Random(7, 13).bytes(), Content::Random(8, 13).bytes());
    }
}

//! What strace has written down of an operation, as the steps that the proved cases are written in.
//!
//! - An open with `O_CREAT` is `create` of nothing, one for writing is `open`, one for reading only is `hold`; handles are called
//!   by the path that they were opened at. One that fails opens nothing, and a folder that cannot be made is there.
//! - `fsync` of a folder is `fsyncdir`: the folder is opened for that, and closed. `writeout` is `sync_file_range` of all, waited
//!   for, and `reserve` is `fallocate` that keeps the length.
//! - Writes that follow each other are one.
//! - What is opened as a place only (`O_PATH`) holds the file as well as any other descriptor, so none may be open when
//!   something is done.
//! - Any other call below the folder is refused here, unless it only looks.

use std::collections::BTreeMap;
use std::path::Path;

use qemu_tests::replay::script::{Content, Step};

use crate::proved::{any, ended};

/// Calls that only look.
const LOOKS: [&str; 9] =
    ["statx", "newfstatat", "fstat", "fstatfs", "statfs", "readlink", "read", "getdents64", "fcntl"];

/// The calls below a folder from when the process looked for the one name in it to when it looked for the other.
pub fn between<'a>(lines: &'a str, folder: &Path, begin: &str, end: &str) -> Vec<&'a str> {
    let looks = |line: &str, name: &str| line.contains(&format!("\"{}\"", folder.join(name).display()));
    // With what ends a path, so that it is no other folder's beginning.
    let below = |line: &str| ["/", ">", "\""].iter().any(|end| line.contains(&format!("{}{end}", folder.display())));
    let rest = lines.lines().skip_while(|line| !looks(line, begin)).skip(1);
    let own: Vec<&str> = rest.take_while(|line| !looks(line, end)).collect();
    assert!(lines.lines().any(|line| looks(line, end)), "the process came to its end");
    own.into_iter().filter(|line| below(line)).collect()
}

/// What is open.
#[derive(Debug, PartialEq)]
enum Open {
    Place,
    Folder(String),
    /// A file, by the path that it was opened at, and how much of it was written.
    File(String, u64),
}

/// The steps that calls below a folder are.
pub fn steps(lines: &[&str], folder: &Path) -> Vec<Step> {
    let mut recorded = Recorded { top: folder.display().to_string(), open: BTreeMap::new(), steps: Vec::new() };
    for line in lines {
        recorded.call(line).unwrap_or_else(|| panic!("no step is: {line}"));
    }
    ended(recorded.steps)
}

struct Recorded {
    top: String,
    open: BTreeMap<u32, Open>,
    steps: Vec<Step>,
}

impl Recorded {
    /// `None` for what is no step.
    fn call(&mut self, line: &str) -> Option<()> {
        let (_thread, call) = line.split_once(' ')?;
        let (name, rest) = call.trim_start().split_once('(')?;
        let (given, result) = rest.rsplit_once(" = ")?;
        let given: Vec<&str> = given.trim_end().strip_suffix(')')?.split(", ").collect();
        let failed = result.starts_with("-1 ");
        match name {
            _ if LOOKS.contains(&name) => {}
            "openat" | "openat2" if failed => {}
            "openat" | "openat2" => self.opened(&given, result)?,
            "mkdirat" if result.contains("EEXIST") => {}
            // Nothing else may fail, least of all a sync.
            _ if failed => return None,
            "mkdirat" => self.push(Step::Mkdir(self.named(given[0], given[1])?)),
            "unlinkat" if given[2] == "0" => self.push(Step::Unlink(self.named(given[0], given[1])?)),
            "renameat" => {
                self.push(Step::Rename(self.named(given[0], given[1])?, self.named(given[2], given[3])?));
            }
            "close" => match self.open.remove(&descriptor(given[0])?)? {
                Open::File(path, _) => self.push(Step::Close(path)),
                Open::Place | Open::Folder(_) => {}
            },
            "syncfs" => self.push(Step::Syncfs),
            "fsync" => match self.open.get(&descriptor(given[0])?) {
                Some(Open::File(path, _)) => self.push(Step::Fsync(path.clone())),
                Some(Open::Folder(path)) => self.push(Step::FsyncDir(path.clone())),
                // The partition's own is open before.
                None if path(given[0])? == self.top => self.push(Step::FsyncDir(".".into())),
                _ => return None,
            },
            "fallocate" if given[1..3] == ["FALLOC_FL_KEEP_SIZE", "0"] => {
                self.push(Step::Reserve(self.file(given[0])?.0, given[3].parse().ok()?));
            }
            "sync_file_range" if given[1..] == ["0", "0", WRITTEN] => {
                self.push(Step::Writeout(self.file(given[0])?.0));
            }
            "write" => self.wrote(given[0], None, result)?,
            "pwrite64" => self.wrote(given[0], Some(given.last()?.parse().ok()?), result)?,
            _ => return None,
        }
        Some(())
    }

    fn push(&mut self, step: Step) {
        assert!(!self.open.values().any(|open| *open == Open::Place), "{step:?} while something is held by its place");
        self.steps.push(step);
    }

    fn opened(&mut self, given: &[&str], result: &str) -> Option<()> {
        let flags: Vec<&str> = given[2].trim_start_matches("{flags=").split('|').collect();
        let (number, path) = (descriptor(result)?, self.relative(path(result)?)?);
        let open = match () {
            () if flags.contains(&"O_PATH") => Open::Place,
            () if flags.contains(&"O_DIRECTORY") => Open::Folder(path),
            () => {
                // The place that it was opened by is still open.
                self.steps.push(match () {
                    () if flags.contains(&"O_CREAT") => Step::Create(path.clone(), path.clone(), any(0)),
                    () if flags.contains(&"O_RDWR") => Step::Open(path.clone(), path.clone()),
                    () if flags.contains(&"O_RDONLY") => Step::Hold(path.clone(), path.clone()),
                    () => return None,
                });
                Open::File(path, 0)
            }
        };
        assert_eq!(self.open.insert(number, open), None, "the descriptor was free");
        Some(())
    }

    fn wrote(&mut self, file: &str, at: Option<u64>, result: &str) -> Option<()> {
        let count: u64 = result.parse().ok()?;
        let (path, end) = self.file(file)?;
        let from = at.unwrap_or(end);
        if at.is_none() {
            self.open.insert(descriptor(file)?, Open::File(path.clone(), end + count));
        }
        if let Some(Step::Write(last, begin, Content::Random(_, size))) = self.steps.last_mut()
            && *last == path
            && *begin + *size as u64 == from
        {
            *size += usize::try_from(count).ok()?;
            return Some(());
        }
        self.push(Step::Write(path, from, any(usize::try_from(count).ok()?)));
        Some(())
    }

    fn file(&self, given: &str) -> Option<(String, u64)> {
        match self.open.get(&descriptor(given)?)? {
            Open::File(path, written) => Some((path.clone(), *written)),
            _ => None,
        }
    }

    /// A name in an open folder.
    fn named(&self, folder: &str, name: &str) -> Option<String> {
        self.relative(&format!("{}/{}", path(folder)?, name.trim_matches('"')))
    }

    fn relative(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(&self.top)?;
        Some(if rest.is_empty() { ".".into() } else { rest.trim_start_matches('/').into() })
    }
}

const WRITTEN: &str = "SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WRITE|SYNC_FILE_RANGE_WAIT_AFTER";

/// `5</folder/name>`
fn descriptor(text: &str) -> Option<u32> {
    text.split_once('<')?.0.parse().ok()
}

fn path(text: &str) -> Option<&str> {
    Some(text.split_once('<')?.1.rsplit_once('>')?.0)
}

#[test]
fn what_is_held_or_not_known_is_seen() {
    let top = Path::new("/x");
    let place = "7 openat2(3</x>, \"a\", {flags=O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_PATH, resolve=0}, 24) = 5</x/a>";
    let open = "7 openat(AT_FDCWD</>, \"/proc/self/fd/5\", O_RDONLY|O_NONBLOCK|O_CLOEXEC) = 6</x/a>";
    let (close, unlink) = ("7 close(5</x/a>) = 0", "7 unlinkat(3</x>, \"a\", 0) = 0");
    let held = Step::Hold("a".into(), "a".into());
    assert_eq!(steps(&[place, open, close, unlink], top), [held, Step::Unlink("a".into())]);
    let refused = |lines: &[&str]| std::panic::catch_unwind(|| steps(lines, top)).is_err();
    assert!(refused(&[place, open, unlink, close]), "a place is held while its name goes");
    assert!(refused(&[place, open, close, "7 fdatasync(6</x/a>) = 0"]), "no case has such a call");
    assert!(refused(&["7 syncfs(3</x>) = -1 EIO (Input/output error)"]), "a sync that fails is none");
}

//! Files that somebody's text names, read knowing what they are: a regular file, and no longer than it may be. A device, a
//! pipe or a folder under such a name ends at once with a word that says so.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use cairn_layout::human;
use nix::fcntl::OFlag;

/// The longest machine, hardware or lock file: a hundred times what anybody writes by hand.
pub const TEXT: u64 = 16 << 20;
/// The longest file with the hash of a password.
pub const HASH: u64 = 64 << 10;
/// The longest file that a machine file puts under /etc. They are in memory together, and in every system.
pub const SOURCE: u64 = 256 << 20;
/// The longest file that a machine file puts on the boot partition.
pub const BOOT_FILE: u64 = 1 << 30;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Something else than a file.
    #[error("it is {0}, and not a file")]
    NotAFile(&'static str),
    /// Too long.
    #[error("it has more than {}, the most that is read", human(*.0))]
    TooLong(u64),
    /// The system's word.
    #[error("{}", words(.0))]
    Io(io::Error),
}

impl Unread {
    /// Whether there is nothing under the name.
    pub fn is_missing(&self) -> bool {
        matches!(self, Unread::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The system's words without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// Reads a file that the person at the terminal names, in an argument or in a machine file of their own. Links lead
/// wherever they lead: whoever can write the file can read what it names.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    // Before it is opened: to open some devices does something.
    is_file(&path.metadata().map_err(Unread::Io)?)?;
    let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(Unread::Io)?;
    contents(file, most)
}

/// Whether [`read`] could read a file, without reading it.
pub fn look(path: &Path, most: u64) -> Result<(), Unread> {
    let metadata = path.metadata().map_err(Unread::Io)?;
    is_file(&metadata)?;
    if metadata.len() > most {
        return Err(Unread::TooLong(most));
    }
    let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path).map(drop).map_err(Unread::Io)
}

/// As [`read`], for an argument that is looked at once: it may also be a pipe that a shell has made (`/dev/stdin`, `<(...)`). A pipe
/// with a name of its own is none of these, and whoever writes into it may never come.
pub fn read_argument(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    let made_by_a_shell = || nix::sys::statfs::statfs(path).is_ok_and(|of| of.filesystem_type().0 == PIPES);
    if !path.metadata().map_err(Unread::Io)?.file_type().is_fifo() || !made_by_a_shell() {
        return read(path, most);
    }
    let pipe = File::open(path).map_err(Unread::Io)?;
    if pipe.metadata().map_err(Unread::Io)?.file_type().is_fifo() { whole(pipe, most) } else { contents(pipe, most) }
}

/// The kernel's file system of pipes (`PIPEFS_MAGIC` in linux/magic.h).
const PIPES: nix::libc::__fsword_t = 0x5049_5045;

fn contents(file: File, most: u64) -> Result<Vec<u8>, Unread> {
    let metadata = file.metadata().map_err(Unread::Io)?;
    is_file(&metadata)?;
    if metadata.len() > most {
        return Err(Unread::TooLong(most));
    }
    whole(file, most)
}

/// All that comes: some files have more in them than they say.
fn whole(file: File, most: u64) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if bytes.len() as u64 > most { Err(Unread::TooLong(most)) } else { Ok(bytes) }
}

fn is_file(metadata: &Metadata) -> Result<(), Unread> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(Unread::NotAFile(what))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn told(result: Result<Vec<u8>, Unread>) -> String {
        result.map_or_else(|error| error.to_string(), |bytes| format!("{} bytes", bytes.len()))
    }

    #[test]
    fn a_pipe_that_a_shell_has_made_is_read_as_an_argument_and_as_nothing_else() {
        use std::io::Write;
        use std::os::fd::AsRawFd;

        let (read_end, mut write_end) = std::io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", read_end.as_raw_fd());
        let path = Path::new(&path);
        assert_eq!(told(read(path, TEXT)), "it is a named pipe, and not a file");
        write_end.write_all(b"12345").unwrap();
        drop(write_end);
        assert_eq!(told(read_argument(path, TEXT)), "5 bytes");
        let (read_end, mut write_end) = std::io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", read_end.as_raw_fd());
        write_end.write_all(b"12345").unwrap();
        assert_eq!(told(read_argument(Path::new(&path), 4)), "it has more than 4 bytes, the most that is read");
        // Nobody writes into this one.
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("pipe");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(told(read_argument(&fifo, TEXT)), "it is a named pipe, and not a file");
        assert_eq!(told(read_argument(Path::new("/dev/zero"), TEXT)), "it is a device, and not a file");
    }

    #[test]
    fn only_files_of_some_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        symlink("gone", at("lost")).unwrap();
        std::fs::write(at("file"), "12345").unwrap();
        File::create(at("huge")).unwrap().set_len(1 << 40).unwrap();
        for (name, words) in [
            ("pipe", "it is a named pipe, and not a file"),
            ("zero", "it is a device, and not a file"),
            ("huge", "it has more than 16M, the most that is read"),
            (".", "it is a folder, and not a file"),
            ("gone", "no such file or directory"),
            ("file", "5 bytes"),
        ] {
            assert_eq!(told(read(&at(name), TEXT)), words, "{name}");
        }
        assert_eq!(told(read(&at("socket"), TEXT)), "it is a socket, and not a file");
        assert!(read(&at("lost"), TEXT).unwrap_err().is_missing());
        assert_eq!(told(read(&at("file"), 4)), "it has more than 4 bytes, the most that is read");
        // Its length is 0 by its own word.
        assert!(read(Path::new("/proc/self/status"), 4).is_err());
    }
}

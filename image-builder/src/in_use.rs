//! Who else has a file open for writing: a machine that keeps its changes, a loop device, any other program.
//!
//! The kernel answers that itself: a read lease is given only for a file that nobody can write to. Where it gives none (a network
//! file system, another user's file), QEMU's own locks and what `/proc` shows must do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// QEMU locks a byte for each thing that it may do with an image; this is the first of them, and writing is the next.
const QEMU_MAY_READ: i64 = 100;
/// Writing, writing what changes nothing, resizing.
const QEMU_MAY_WRITE: (i64, i64) = (QEMU_MAY_READ + 1, 3);

/// `F_SETSIG` of Linux, which the libc crate lacks.
const F_SETSIG: i32 = 10;

/// Says who can write to a file just now; `None` when nobody can, or nobody that could be seen.
///
/// # Errors
/// When the file cannot be opened for reading.
pub fn writer(path: &Path) -> io::Result<Option<String>> {
    let quietly = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(quietly.bits()).open(path)?;
    if is_locked(&file, libc::F_WRLCK, QEMU_MAY_WRITE) {
        return Ok(Some(holder(&file).unwrap_or_else(|| "a running machine".into())));
    }
    match lease(&file) {
        Lease::Given => Ok(None),
        Lease::SomebodyWrites => Ok(Some(holder(&file).unwrap_or_else(|| "another program".into()))),
        // Programs that mean to be alone with a file lock it as a whole.
        Lease::Unknown if is_locked(&file, libc::F_RDLCK, (0, 0)) => {
            Ok(Some(holder(&file).unwrap_or_else(|| "another program".into())))
        }
        Lease::Unknown => Ok(holder(&file)),
    }
}

/// Whether somebody has a lock on this range that this one of ours would have to wait for.
fn is_locked(file: &File, kind: i32, (start, len): (i64, i64)) -> bool {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).is_ok() && i32::from(lock.l_type) != libc::F_UNLCK
}

enum Lease {
    Given,
    SomebodyWrites,
    Unknown,
}

/// Asks for a read lease, and gives it back at once.
fn lease(file: &File) -> Lease {
    let fd = file.as_raw_fd();
    let ask = |command, argument: i32| {
        // SAFETY: the descriptor is open for as long as the borrowed file, and no memory is passed.
        #[expect(unsafe_code, reason = "neither std nor nix has leases")]
        let result = unsafe { libc::fcntl(fd, command, argument) };
        Errno::result(result)
    };
    // Whoever opens the file in the moment of the lease makes the kernel send a signal, and the usual one would end this process.
    if ask(F_SETSIG, libc::SIGURG).is_err() {
        return Lease::Unknown;
    }
    match ask(libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(_) => {
            let _ = ask(libc::F_SETLEASE, libc::F_UNLCK);
            Lease::Given
        }
        Err(Errno::EAGAIN) => Lease::SomebodyWrites,
        Err(_) => Lease::Unknown,
    }
}

/// Finds a loop device or a process that has the file open for writing, as far as this user may see them.
fn holder(file: &File) -> Option<String> {
    let wanted = file.metadata().ok()?;
    let same = |path: &Path| path.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (wanted.dev(), wanted.ino()));
    loop_device(&same).or_else(|| process(&same))
}

fn loop_device(same: &dyn Fn(&Path) -> bool) -> Option<String> {
    for entry in Path::new("/sys/block").read_dir().ok()?.flatten() {
        let folder = entry.path();
        let line = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let backing = line("loop/backing_file");
        if backing.is_empty() || line("ro").trim() == "1" || !same(Path::new(backing.trim_end_matches('\n'))) {
            continue;
        }
        return Some(format!("the loop device /dev/{}", entry.file_name().to_string_lossy()));
    }
    None
}

fn process(same: &dyn Fn(&Path) -> bool) -> Option<String> {
    let own = std::process::id();
    for entry in Path::new("/proc").read_dir().ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(descriptors) = entry.path().join("fd").read_dir() else { continue };
        let writes = |fd: std::fs::DirEntry| {
            same(&fd.path()) && for_writing(&entry.path().join("fdinfo").join(fd.file_name())).unwrap_or(true)
        };
        if pid != own && descriptors.flatten().any(writes) {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(match name.trim() {
                qemu if qemu.starts_with("qemu-") => format!("a running machine ({qemu}, process {pid})"),
                name => format!("another program ({name}, process {pid})"),
            });
        }
    }
    None
}

/// What the kernel says of a descriptor: `flags:` in octal.
fn for_writing(info: &Path) -> Option<bool> {
    let text = std::fs::read_to_string(info).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
    Some(flags & libc::O_ACCMODE != libc::O_RDONLY)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use cairn_process::Tool;

    use super::*;

    fn file() -> tempfile::NamedTempFile {
        // Not in memory: every file system that images are on gives leases.
        let file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.as_file().set_len(4096).unwrap();
        file
    }

    #[test]
    fn a_file_that_is_only_read_is_in_nobody_s_use() {
        let path = file().into_temp_path();
        assert_eq!(writer(&path).unwrap(), None);
        let _reader = File::open(&path).unwrap();
        assert_eq!(writer(&path).unwrap(), None);
    }

    #[test]
    fn a_program_that_can_write_is_found_and_named() {
        let path = file().into_temp_path();
        let script = "exec 3>>\"$1\"; echo ready; read -r line";
        let tool = Tool::new("sh", "dash", "hold a file").args(["-c", script, "sh"]).arg(path.as_os_str());
        let mut running = tool.start(Stdio::piped(), Stdio::piped()).unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(&mut running.take_stdout().unwrap(), &mut ready).unwrap();
        let said = writer(&path).unwrap().unwrap();
        assert_eq!(said, format!("another program (sh, process {})", running.id()));
        running.kill();
        assert_eq!(writer(&path).unwrap(), None);
    }

    #[test]
    fn qemu_s_lock_is_known() {
        let path = file().into_temp_path();
        // A descriptor that cannot write, so that the lock alone tells.
        let holder = File::open(&path).unwrap();
        let lock = |byte| libc::flock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: byte,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&holder, FcntlArg::F_OFD_SETLK(&lock(QEMU_MAY_READ))).unwrap();
        assert_eq!(writer(&path).unwrap(), None);
        fcntl(&holder, FcntlArg::F_OFD_SETLK(&lock(QEMU_MAY_READ + 1))).unwrap();
        assert_eq!(writer(&path).unwrap().as_deref(), Some("a running machine"));
    }
}

//! The inside of the recording: the first program of a guest. It loads what vfat needs, runs each script on the disk
//! that has its number as serial number, and switches the machine off.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{AT_FDCWD, FallocateFlags, RenameFlags, fallocate, renameat2};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::reboot::{RebootMode, reboot};

use super::script::{self, Hasty, Step};

/// The kernel's command line names the sector that marks are written to.
pub const MARK_SECTOR: &str = "replay.mark=";
/// What the guest says when all went well; anything else is a failure.
pub const WELL: &str = "replay: all scripts done";

/// A disk's serial number, before the number of its script. (A name might be too long: there is room for 20 letters.)
pub const SERIAL: &str = "replay-";
/// What the guest says before each script, with its name.
pub const BEGIN: &str = "replay: script ";
/// How a boot partition is mounted on a machine of Cairn's.
const OPTIONS: &str = "umask=0077,errors=continue";
/// What it says when one has failed, with the reason.
pub const FAILED: &str = "replay: failed: ";

/// Does all of it; never comes back.
pub fn main() {
    match all() {
        Ok(()) => println!("{WELL}"),
        Err(error) => println!("replay: {error:#}"),
    }
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn all() -> Result<()> {
    let none = None::<&str>;
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        std::fs::create_dir_all(place)?;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), none).with_context(|| format!("mounting {place}"))?;
    }
    // Written back is what the scripts say, when they say so.
    std::fs::write("/proc/sys/vm/dirty_writeback_centisecs", "0")?;
    for module in sorted("/modules")? {
        let file = File::open(&module)?;
        finit_module(&file, &CString::default(), ModuleInitFlags::empty())
            .with_context(|| format!("loading {}", module.display()))?;
    }
    let line = std::fs::read_to_string("/proc/cmdline")?;
    let mark =
        line.split_whitespace().find_map(|word| word.strip_prefix(MARK_SECTOR)).context("no sector for marks")?;
    let mark: u64 = mark.parse()?;
    for script in sorted("/scripts")? {
        let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (number, name) = name.split_once('.').context("a script without a number")?;
        println!("{BEGIN}{name}");
        if let Err(error) = run(number, &script::parse(&std::fs::read_to_string(&script)?)?, mark) {
            println!("{FAILED}{error:#}");
        }
    }
    Ok(())
}

fn sorted(folder: &str) -> Result<Vec<PathBuf>> {
    let mut names = std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn device(serial: &str) -> Result<PathBuf> {
    for disk in sorted("/sys/block")? {
        if std::fs::read_to_string(disk.join("serial")).is_ok_and(|s| s.trim() == serial) {
            return Ok(Path::new("/dev").join(disk.file_name().unwrap_or_default()));
        }
    }
    bail!("no disk has the serial number {serial}")
}

fn run(number: &str, steps: &[Step], mark: u64) -> Result<()> {
    let device = device(&format!("{SERIAL}{number}"))?;
    std::fs::create_dir_all("/boot")?;
    mount(Some(&device), "/boot", Some("vfat"), MsFlags::empty(), Some(OPTIONS)).context("mounting")?;
    let mut boot = Boot {
        raw: OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&device)?,
        whole: OpenOptions::new().read(true).open(&device)?,
        device,
        handles: HashMap::new(),
        mark,
        hasty: Hasty::Never,
    };
    let one = |(n, step): (usize, &Step)| boot.step(step).with_context(|| format!("step {}, {step:?}", n + 1));
    let done = steps.iter().enumerate().try_for_each(one);
    drop(boot);
    umount2("/boot", MntFlags::empty()).context("unmounting")?;
    done
}

struct Boot {
    raw: File,
    whole: File,
    device: PathBuf,
    handles: HashMap<String, File>,
    mark: u64,
    hasty: Hasty,
}

#[repr(align(4096))]
struct Aligned([u8; 4096]);

impl Boot {
    fn step(&mut self, step: &Step) -> Result<()> {
        let at = |path: &String| Path::new("/boot").join(path);
        match step {
            Step::Create(handle, path, content) => {
                let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(at(path))?;
                file.write_all_at(&content.bytes(), 0)?;
                self.handles.insert(handle.clone(), file);
            }
            Step::Open(handle, path) => {
                let file = OpenOptions::new().read(true).write(true).open(at(path))?;
                self.handles.insert(handle.clone(), file);
            }
            Step::Hold(handle, path) => match File::open(at(path)) {
                Ok(file) => drop(self.handles.insert(handle.clone(), file)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            },
            Step::Write(handle, offset, content) => self.handle(handle)?.write_all_at(&content.bytes(), *offset)?,
            Step::Reserve(handle, size) => {
                fallocate(self.handle(handle)?, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, *size)?;
            }
            Step::Writeout(handle) => write_back(self.handle(handle)?)?,
            Step::Mount(options) => {
                self.handles.clear();
                umount2("/boot", MntFlags::empty())?;
                mount(Some(&self.device), "/boot", Some("vfat"), MsFlags::empty(), Some(options.as_str()))?;
            }
            Step::Fsync(handle) => self.handle(handle)?.sync_all()?,
            Step::Close(handle) => drop(self.handles.remove(handle)),
            Step::FsyncDir(path) => File::open(at(path))?.sync_all()?,
            Step::Syncfs => syncfs()?,
            Step::Rename(from, to) => std::fs::rename(at(from), at(to))?,
            Step::Exchange(a, b) => renameat2(AT_FDCWD, &at(a), AT_FDCWD, &at(b), RenameFlags::RENAME_EXCHANGE)?,
            Step::Unlink(path) => std::fs::remove_file(at(path))?,
            Step::Remove(path) => match std::fs::remove_file(at(path)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            },
            Step::Mkdir(path) => std::fs::create_dir(at(path))?,
            Step::Rmdir(path) => std::fs::remove_dir(at(path))?,
            Step::Mark(name) => self.write_mark(name)?,
            Step::Hasty(hasty) => self.hasty = *hasty,
        }
        match self.hasty {
            Hasty::Never => Ok(()),
            Hasty::All => syncfs(),
            Hasty::Metadata => write_back(&self.whole),
        }
    }

    fn handle(&self, handle: &str) -> Result<&File> {
        self.handles.get(handle).with_context(|| format!("'{handle}' is not open"))
    }

    /// Past the cache, so that it takes nothing of the file system with it.
    fn write_mark(&self, name: &str) -> Result<()> {
        let mut buffer = Box::new(Aligned([0; 4096]));
        ensure!(name.len() < 512, "a mark is shorter than a sector");
        buffer.0[..name.len()].copy_from_slice(name.as_bytes());
        Ok(self.raw.write_all_at(&buffer.0, self.mark * 512)?)
    }
}

fn syncfs() -> Result<()> {
    Ok(nix::unistd::syncfs(File::open("/boot")?)?)
}

/// Writes the dirty pages of a file, or of a device: the FAT and the folders. No inode, no flush.
#[allow(unsafe_code)]
fn write_back(file: &File) -> Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes numbers only, and the descriptor is open.
    let done = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    ensure!(done == 0, std::io::Error::last_os_error());
    Ok(())
}

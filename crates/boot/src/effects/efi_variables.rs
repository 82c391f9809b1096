//! The firmware's variables, as Linux shows them: a file for each, four bytes of attributes in front.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::firmware::{Change, Firmware, LoaderVariable, utf16};

/// Where they are, below the root of a machine that runs.
pub const EFI_VARIABLES: &str = "sys/firmware/efi/efivars";

/// Whose the firmware's own variables are.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Whose those of boot loaders are (<https://systemd.io/BOOT_LOADER_INTERFACE>).
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Kept without power, there at boot and at run time.
const ATTRIBUTES: u32 = 7;
/// `FS_IMMUTABLE_FL`: the kernel sets it on variables that it does not know, so that `rm -rf` does no harm.
const IMMUTABLE: nix::libc::c_long = 0x10;

mod ioctl {
    #![allow(missing_docs, reason = "as in linux/fs.h")]
    nix::ioctl_read!(get_flags, b'f', 1, nix::libc::c_long);
    nix::ioctl_write_ptr!(set_flags, b'f', 2, nix::libc::c_long);
}

/// Reads what matters here. `None` where the machine was not started by UEFI, or its variables are not to be seen.
///
/// # Errors
/// The system's.
pub fn read_firmware(folder: &Path) -> io::Result<Option<Firmware>> {
    let names = match fs::read_dir(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut firmware = Firmware::default();
    let mut any = false;
    for name in names {
        let Ok(name) = name?.file_name().into_string() else { continue };
        any = true;
        let read = || value(&folder.join(&name));
        if let Some(variable) = LoaderVariable::ALL.into_iter().find(|v| name == format!("{}-{LOADER}", v.name())) {
            firmware.set_loader(variable, &read()?);
        }
        let Some(global) = name.strip_suffix(GLOBAL).and_then(|name| name.strip_suffix('-')) else { continue };
        if global == "BootOrder" {
            firmware.set_order(&read()?);
        } else if let Some(number) = global.strip_prefix("Boot").and_then(number) {
            firmware.entries.insert(number, read()?);
        }
    }
    // The folder is there without anything where the file system is not mounted.
    Ok(any.then_some(firmware))
}

/// Four hexadecimal digits.
fn number(digits: &str) -> Option<u16> {
    let plain = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    plain.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// A variable without its attributes.
fn value(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        // Gone meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(bytes.split_off(bytes.len().min(4)))
}

/// Changes a variable.
///
/// # Errors
/// The system's; the firmware may have no room, or refuse.
pub fn change_firmware(folder: &Path, change: &Change) -> io::Result<()> {
    let global = |name: String| folder.join(format!("{name}-{GLOBAL}"));
    let of_loader = |variable: LoaderVariable| folder.join(format!("{}-{LOADER}", variable.name()));
    match change {
        Change::Entry(number, bytes) => write(&global(format!("Boot{number:04X}")), bytes),
        Change::Order(order) => {
            let bytes: Vec<u8> = order.iter().flat_map(|n| n.to_le_bytes()).collect();
            let path = global("BootOrder".into());
            // The firmware has no variable without contents.
            if bytes.is_empty() { remove(&path) } else { write(&path, &bytes) }
        }
        Change::Remove(number) => remove(&global(format!("Boot{number:04X}"))),
        Change::Forget(variable) => remove(&of_loader(*variable)),
        Change::Once(entry) => write(&of_loader(LoaderVariable::OneShot), &utf16(entry)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    unlock(path)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let all = [&ATTRIBUTES.to_le_bytes()[..], bytes].concat();
    // One write replaces all of a variable.
    match file.write(&all)? {
        count if count == all.len() => {}
        _ => return Err(io::ErrorKind::WriteZero.into()),
    }
    // In a folder that only stands for the firmware's.
    if file.metadata()?.len() > all.len() as u64 { file.set_len(all.len() as u64) } else { Ok(()) }
}

fn remove(path: &Path) -> io::Result<()> {
    unlock(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Takes the kernel's lock off a variable.
fn unlock(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut flags: nix::libc::c_long = 0;
    // SAFETY: the descriptor is open, and the kernel writes a number to where `flags` is.
    #[expect(unsafe_code, reason = "nix has no wrapper of this ioctl")]
    let read = unsafe { ioctl::get_flags(file.as_raw_fd(), &raw mut flags) };
    if read.is_err() || flags & IMMUTABLE == 0 {
        // A file system without such flags has no such lock.
        return Ok(());
    }
    flags &= !IMMUTABLE;
    // SAFETY: the descriptor is open, and the kernel reads a number from where `flags` is.
    #[expect(unsafe_code, reason = "nix has no wrapper of this ioctl")]
    unsafe { ioctl::set_flags(file.as_raw_fd(), &raw const flags) }?;
    Ok(())
}

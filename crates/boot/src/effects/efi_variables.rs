//! The firmware's variables, as Linux shows them: a file for each, four bytes of attributes in front.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use cairn_root::{Folder, Root};
use nix::sys::statfs::{FsType, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::obstacle::Obstacle;
use crate::firmware::{Change, Firmware, LoaderVariable, utf16};

/// Where they are, below the root of a machine that runs.
pub const EFI_VARIABLES: &str = "sys/firmware/efi/efivars";
/// It is there where UEFI has started the machine.
const EFI: &str = "sys/firmware/efi";

/// Whose the firmware's own variables are.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Whose those of boot loaders are (<https://systemd.io/BOOT_LOADER_INTERFACE>).
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Whose the lists are of what may be started.
const IMAGES: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
/// Kept without power, there at boot and at run time.
const ATTRIBUTES: u32 = 7;
/// `FS_IMMUTABLE_FL`: the kernel sets it on variables that it does not know, so that `rm -rf` does no harm.
const IMMUTABLE: nix::libc::c_long = 0x10;

mod ioctl {
    #![allow(missing_docs, reason = "as in linux/fs.h")]
    nix::ioctl_read!(get_flags, b'f', 1, nix::libc::c_long);
    nix::ioctl_write_ptr!(set_flags, b'f', 2, nix::libc::c_long);
}

/// Longer variables no firmware has room for.
const MOST: u64 = 1 << 20;

/// `EFIVARFS_MAGIC`: the file system in which Linux shows them.
const EFIVARFS: FsType = FsType(0xde5e_81e4);

/// Where a machine's variables are; nothing when they are not to be seen there. They belong to the computer that runs, so on
/// a machine that does not run they are none of its own: `Err` with where they were found instead.
///
/// # Errors
/// The system's.
pub fn firmware_folder(machine: &Root) -> io::Result<Option<Result<Folder, PathBuf>>> {
    let found = |machine: &Root| match machine.own(EFI_VARIABLES) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    };
    // Somebody who works on a disk from a rescue system often mounts that system's /sys below it.
    let Some(folder) = found(&machine.with_mounts())? else { return Ok(None) };
    if fstatfs(&folder)?.filesystem_type() == EFIVARFS && !machine.is_host() {
        return Ok(Some(Err(folder.path().to_path_buf())));
    }
    Ok(found(machine)?.map(Ok))
}

/// What keeps the firmware's variables of a machine that runs from being seen or changed, as far as it can be told without a try.
pub fn obstacle(machine: &Root) -> Option<Obstacle> {
    let seen = |path: &str| matches!(machine.with_mounts().metadata(path), Ok(Some(_)));
    let Ok(Some(Ok(folder))) = firmware_folder(machine) else {
        return Some(if seen(EFI) { Obstacle::NotMounted } else { Obstacle::NotUefi });
    };
    // The folder is there without anything where the file system is not mounted.
    if folder.names("").is_ok_and(|names| names.is_none_or(|names| names.is_empty())) {
        return Some(Obstacle::NotMounted);
    }
    let flags = fstatvfs(&folder).map(|system| system.flags());
    flags.is_ok_and(|flags| flags.contains(FsFlags::ST_RDONLY)).then_some(Obstacle::ReadOnly)
}

/// Reads what matters here. `None` where the machine was not started by UEFI, or its variables are not to be seen.
///
/// # Errors
/// The system's.
pub fn read_firmware(folder: &Folder) -> io::Result<Option<Firmware>> {
    let mut firmware = Firmware::default();
    let mut any = false;
    for name in folder.names("")?.unwrap_or_default() {
        let Ok(name) = name.into_string() else { continue };
        any = true;
        let read = || value(folder, &name);
        if let Some(variable) = LoaderVariable::ALL.into_iter().find(|v| name == format!("{}-{LOADER}", v.name())) {
            firmware.set_loader(variable, &read()?);
        }
        if name == format!("db-{IMAGES}") {
            firmware.known = read()?;
        }
        let Some(global) = name.strip_suffix(GLOBAL).and_then(|name| name.strip_suffix('-')) else { continue };
        if global == "SecureBoot" {
            firmware.secure_boot = read()? == [1];
        } else if global == "BootOrder" {
            firmware.set_order(&read()?);
        } else if global == "BootNext" {
            firmware.set_next(&read()?);
        } else if let Some(number) = global.strip_prefix("Boot").and_then(number) {
            // Linux shows one that was made and never written, because there was no room: it is none.
            let bytes = read()?;
            if !bytes.is_empty() {
                firmware.entries.insert(number, bytes);
            }
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

/// A variable without its attributes; nothing of one that is gone meanwhile.
fn value(folder: &Folder, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = folder.read(name, MOST)?.unwrap_or_default();
    Ok(bytes.split_off(bytes.len().min(4)))
}

/// Changes a variable.
///
/// # Errors
/// The system's; the firmware may have no room, or refuse.
pub fn change_firmware(folder: &Folder, change: &Change) -> io::Result<()> {
    let global = |name: String| format!("{name}-{GLOBAL}");
    let of_loader = |variable: LoaderVariable| format!("{}-{LOADER}", variable.name());
    match change {
        Change::Entry(number, bytes) => write(folder, &global(format!("Boot{number:04X}")), bytes),
        Change::Order(order) => {
            let bytes: Vec<u8> = order.iter().flat_map(|n| n.to_le_bytes()).collect();
            let name = global("BootOrder".into());
            // The firmware has no variable without contents.
            if bytes.is_empty() { remove(folder, &name) } else { write(folder, &name, &bytes) }
        }
        Change::Remove(number) => remove(folder, &global(format!("Boot{number:04X}"))),
        Change::Next(Some(number)) => write(folder, &global("BootNext".into()), &number.to_le_bytes()),
        Change::Next(None) => remove(folder, &global("BootNext".into())),
        Change::Forget(variable) => remove(folder, &of_loader(*variable)),
        Change::Once(entry) => write(folder, &of_loader(LoaderVariable::OneShot), &utf16(entry)),
    }
}

fn write(folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    unlock(folder, name)?;
    let (mut file, new) = match folder.open_to_change(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => (folder.create_bare(name)?, true),
        other => (other?, false),
    };
    let all = [&ATTRIBUTES.to_le_bytes()[..], bytes].concat();
    // One write replaces all of a variable: the kernel takes it whole or not at all.
    if let Err(error) = file.write_all(&all) {
        if new {
            // Linux would go on to show a variable that the firmware does not have.
            drop(file);
            let _ = folder.remove_file(name);
        }
        return Err(error);
    }
    // In a folder that only stands for the firmware's.
    if file.metadata()?.len() > all.len() as u64 { file.set_len(all.len() as u64) } else { Ok(()) }
}

fn remove(folder: &Folder, name: &str) -> io::Result<()> {
    unlock(folder, name)?;
    folder.remove_file(name)
}

/// Takes the kernel's lock off a variable.
fn unlock(folder: &Folder, name: &str) -> io::Result<()> {
    let file = match folder.open_file(name) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
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

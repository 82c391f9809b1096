//! The firmware's variables in a folder, written by us and read by efibootmgr, and the other way round.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use cairn_boot::Installation;
use cairn_boot::effects::{change_firmware, firmware_folder, read_firmware};
use cairn_boot::firmware::{BootEntry, Change, Firmware, LoadOption, LoaderVariable, Signature, changes};
use cairn_root::{Folder, Root};
use uuid::Uuid;

fn installation() -> Installation {
    Installation::of_seed(Uuid::from_bytes([9; 16]))
}

fn ours() -> LoadOption {
    LoadOption {
        description: BootEntry::description(installation()),
        partition: 2,
        start: 4096,
        sectors: 1_048_576,
        signature: Signature::Gpt(Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788)),
        file: "EFI/systemd/systemd-bootx64.efi".into(),
    }
}

fn open(folder: &Path) -> Folder {
    Root::open(folder).unwrap().top()
}

/// Brings the folder up to date.
fn update(folder: &Path, wanted: Option<&LoadOption>) -> Vec<Change> {
    let folder = &open(folder);
    let firmware = read_firmware(folder).unwrap().unwrap_or_default();
    let changes = changes(&BootEntry { installation: installation(), wanted }, &firmware);
    for change in &changes {
        change_firmware(folder, change).unwrap();
    }
    changes
}

/// What efibootmgr says of a folder, or does there.
#[expect(clippy::disallowed_methods, reason = "another program's word is asked for")]
fn efibootmgr(folder: &Path, args: &[&str]) -> Option<String> {
    // It puts names behind it without a slash between.
    let output = Command::new("efibootmgr").args(args).env("EFIVARFS_PATH", format!("{}/", folder.display())).output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            cairn_testkit::skip(format_args!("efibootmgr (of that package): {error}"));
            None
        }
    }
}

#[test]
fn efibootmgr_reads_our_entry_as_it_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(update(folder.path(), Some(&ours())).len(), 2);
    assert_eq!(update(folder.path(), Some(&ours())), []);
    let Some(text) = efibootmgr(folder.path(), &["-v"]) else { return };
    assert!(text.contains("BootOrder: 0000\n"), "{text}");
    let entry = format!(
        "Boot0000* Cairn ({})\tHD(2,GPT,12345678-9abc-def0-1122-334455667788,0x1000,0x100000)/File(\\EFI\\systemd\\systemd-bootx64.efi)",
        installation().mark()
    );
    assert!(text.contains(&entry), "{text}");
}

#[test]
fn what_efibootmgr_does_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    update(folder.path(), Some(&ours()));
    let theirs = LoadOption { description: "Other".into(), file: "EFI/other.efi".into(), ..ours() };
    change_firmware(&open(folder.path()), &Change::Entry(0x1f, theirs.to_bytes())).unwrap();
    // Another comes first, and ours is switched off: somebody's wish.
    if efibootmgr(folder.path(), &["-o", "001F,0000"]).is_none() {
        return;
    }
    efibootmgr(folder.path(), &["-A", "-b", "0000"]);
    assert_eq!(update(folder.path(), Some(&ours())), []);
    // Ours is deleted: made again, for the machine file says so.
    efibootmgr(folder.path(), &["-B", "-b", "0000"]);
    // In a plain folder it leaves the end of a longer order behind.
    efibootmgr(folder.path(), &["-O"]);
    efibootmgr(folder.path(), &["-o", "001F"]);
    assert_eq!(update(folder.path(), Some(&ours())).len(), 2);
    assert!(efibootmgr(folder.path(), &[]).unwrap().contains("BootOrder: 0000,001F\n"));
    update(folder.path(), None);
    let text = efibootmgr(folder.path(), &[]).unwrap();
    assert!(text.contains("BootOrder: 001F\n") && !text.contains("Cairn"), "{text}");
}

#[test]
fn variables_of_systemd_boot_are_read_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
    let text: Vec<u8> = "cairn-x-1.conf\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&path, [&[7, 0, 0, 0][..], &text].concat()).unwrap();
    fs::write(folder.path().join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"), [6, 0, 0, 0, 0]).unwrap();
    fs::write(folder.path().join("BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c"), [7, 0, 0, 0, 1, 0]).unwrap();
    let firmware = read_firmware(&open(folder.path())).unwrap().unwrap();
    assert_eq!(firmware.set, [(LoaderVariable::Default, "cairn-x-1.conf".to_string())].into());
    assert!(firmware.entries.is_empty() && firmware.order.is_empty());
    assert_eq!(firmware.next, Some(1));
    for _ in 0..2 {
        change_firmware(&open(folder.path()), &Change::Forget(LoaderVariable::Default)).unwrap();
    }
    change_firmware(&open(folder.path()), &Change::Next(Some(0x2a0b))).unwrap();
    let firmware = read_firmware(&open(folder.path())).unwrap().unwrap();
    assert_eq!(firmware, Firmware { next: Some(0x2a0b), ..Firmware::default() });
    for _ in 0..2 {
        change_firmware(&open(folder.path()), &Change::Next(None)).unwrap();
    }
    assert_eq!(read_firmware(&open(folder.path())).unwrap(), Some(Firmware::default()));
}

#[test]
fn an_entry_s_number_has_four_digits_in_capitals() {
    let folder = tempfile::tempdir().unwrap();
    let global = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    for digits in ["0001", "00AB", "00ab", "001", "00001", "+001", "000G", ""] {
        let name = folder.path().join(format!("Boot{digits}-{global}"));
        fs::write(name, [&7_u32.to_le_bytes()[..], digits.as_bytes()].concat()).unwrap();
    }
    let found = read_firmware(&open(folder.path())).unwrap().unwrap().entries;
    let found: Vec<(u16, &[u8])> = found.iter().map(|(number, bytes)| (*number, &bytes[..])).collect();
    assert_eq!(found, [(1, &b"0001"[..]), (0xab, b"00AB")]);
}

/// Linux locks each variable that it does not know; only root can, so only root can see this.
#[test]
fn a_locked_variable_is_changed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    update(folder.path(), Some(&ours()));
    let lock = || {
        let mut names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.all(|name| chattr("+i", &name))
    };
    if !lock() {
        return;
    }
    let other = LoadOption { file: "EFI/other.efi".into(), ..ours() };
    let changes = update(folder.path(), Some(&other));
    // What Linux does not lock is changed in its place; the lock is not put back.
    assert!(!changes.is_empty());
    assert!(efibootmgr(folder.path(), &["--verbose"]).is_none_or(|said| said.contains("other.efi")));
    assert!(lock());
    update(folder.path(), None);
    let left = read_firmware(&open(folder.path())).unwrap();
    assert!(left.is_none_or(|firmware| firmware.entries.is_empty()));
}

/// Sets flags of a file; only root can, and not everywhere.
#[expect(clippy::disallowed_methods, reason = "another program sets the flags")]
fn chattr(flags: &str, path: &Path) -> bool {
    let done = Command::new("chattr").arg(flags).arg(path).output().unwrap().status.success();
    if !done {
        cairn_testkit::without_object(format_args!("no file can be given {flags} in {}", path.display()));
    }
    done
}

/// Of what is set on a variable only the lock is taken off.
#[test]
#[expect(clippy::disallowed_methods, reason = "another program reads the flags")]
fn of_a_locked_variable_s_flags_only_the_lock_goes() {
    let in_memory = Path::new("/dev/shm");
    let folders = [tempfile::tempdir().ok(), in_memory.is_dir().then(|| tempfile::tempdir_in(in_memory).unwrap())];
    for folder in folders.into_iter().flatten() {
        change_firmware(&open(folder.path()), &Change::Once("x.conf".into())).unwrap();
        let variable = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        for flags in ["+i", "+id"] {
            if !chattr(flags, &variable) {
                continue;
            }
            change_firmware(&open(folder.path()), &Change::Once("y.conf".into())).unwrap();
            let said = String::from_utf8(Command::new("lsattr").arg(&variable).output().unwrap().stdout).unwrap();
            let set = said.split_whitespace().next().unwrap();
            assert!(set.contains('d') == flags.contains('d') && !set.contains('i'), "{said}");
        }
    }
}

#[test]
fn a_variable_that_may_not_be_changed_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    change_firmware(&open(folder.path()), &Change::Once("x.conf".into())).unwrap();
    let variable = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    if chattr("+a", &variable) {
        let error = change_firmware(&open(folder.path()), &Change::Once("y.conf".into())).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        assert!(chattr("-a", &variable));
    }
}

#[test]
fn without_uefi_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read_firmware(&open(folder.path())).unwrap(), None);
    let machine = Root::open(folder.path()).unwrap();
    assert!(firmware_folder(&machine).unwrap().is_none());
    fs::create_dir_all(folder.path().join("sys/firmware")).unwrap();
    assert!(firmware_folder(&machine).unwrap().is_none());
}

#[test]
fn variables_lead_nowhere_else() {
    let (folder, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(victim.path().join("file"), "as it was").unwrap();
    let variable = "LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    symlink(victim.path().join("file"), folder.path().join(variable)).unwrap();
    assert!(read_firmware(&open(folder.path())).is_err());
    for change in [Change::Once("x.conf".into()), Change::Forget(LoaderVariable::OneShot)] {
        assert!(change_firmware(&open(folder.path()), &change).is_err());
        assert!(folder.path().join(variable).is_symlink());
    }
    fs::create_dir_all(folder.path().join("sys/firmware/efi")).unwrap();
    symlink(victim.path(), folder.path().join("sys/firmware/efi/efivars")).unwrap();
    assert!(firmware_folder(&Root::open(folder.path()).unwrap()).is_err());
    assert_eq!(fs::read_to_string(victim.path().join("file")).unwrap(), "as it was");
}

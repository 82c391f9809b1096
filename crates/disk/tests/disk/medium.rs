//! The medium, looked at with other people's programs.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use cairn_disk::fat::FatFile;
use cairn_disk::medium::{Medium, SPARE, TAG};
use cairn_disk::{FileTarget, Target};

const EPOCH: i64 = 1_750_000_000;

fn medium(payload: &File) -> Medium<'_> {
    Medium {
        label: "CAIRN",
        epoch: EPOCH,
        boot_sector: [0x11; 512],
        core: (0..150_001_u32).map(|n| n as u8).collect(),
        cd_files: vec![("GRUB.CFG".into(), b"configfile /x\n".to_vec()), ("LOOPBACK.CFG".into(), b"#\n".to_vec())],
        esp: vec![FatFile::from_bytes("EFI/BOOT/BOOTX64.EFI", vec![7; 100_000]), FatFile::from_bytes("linux", vec![8; 9 << 20])],
        payload,
        lengths: (3 << 20, 4096),
        root_hash: std::array::from_fn(|n| n as u8),
        spare: vec![FatFile::from_bytes("README.TXT", "answers go here\n")],
    }
}

/// A medium in a file.
fn made() -> tempfile::NamedTempFile {
    let mut payload = tempfile::tempfile().unwrap();
    payload.write_all(&vec![0x5a; (3 << 20) + 4096]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let medium = medium(&payload);
    let target = FileTarget::new(file.reopen().unwrap(), "medium", medium.bytes()).unwrap();
    medium.write(&target).unwrap();
    target.sync().unwrap();
    file
}

/// What a program says, and whether it is content.
fn said(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new(program).args(arguments).output() {
        Ok(out) => Some((out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())),
        Err(_) => {
            cairn_testkit::skip(&format!("needs {program}"));
            None
        }
    }
}

#[test]
fn it_is_a_cd_and_a_disk_for_others() {
    let file = made();
    let path = file.path().to_str().unwrap();
    if let Some((well, text)) = said("sgdisk", &["-v", path]) {
        assert!(well && text.contains("No problems found"), "{text}");
    }
    if let Some((_, text)) = said("xorriso", &["-indev", path, "-report_el_torito", "plain", "-find", "/"]) {
        assert!(text.contains("El Torito boot img :   2  UEFI"), "{text}");
        assert!(text.contains("El Torito boot img :   1  BIOS"), "{text}");
        assert!(text.to_lowercase().contains("/boot/grub/loopback.cfg"), "{text}");
        assert!(!text.contains("FAILURE") && !text.contains("SORRY"), "{text}");
    }
    if let Some((_, text)) = said("blkid", &["-p", "-o", "export", path]) {
        assert!(text.contains("LABEL=CAIRN") && text.contains("TYPE=iso9660") && text.contains("PTTYPE=gpt"), "{text}");
    }
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes[TAG as usize..].starts_with(b"CAIRN MEDIUM 1\nroot-hash 000102030405"));
    let table: serde_json::Value = match said("sfdisk", &["-J", path]) {
        Some((true, text)) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    };
    let parts = table["partitiontable"]["partitions"].as_array().unwrap().clone();
    assert_eq!(parts.len(), 3);
    for number in [0, 2] {
        let (start, size) = (parts[number]["start"].as_u64().unwrap(), parts[number]["size"].as_u64().unwrap());
        let range = usize::try_from(start * 512).unwrap()..usize::try_from((start + size) * 512).unwrap();
        let volume = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(volume.path(), &bytes[range]).unwrap();
        if let Some((well, text)) = said("fsck.fat", &["-n", volume.path().to_str().unwrap()]) {
            assert!(well, "{text}");
        }
    }
    assert_eq!(parts[2]["size"].as_u64(), Some(SPARE / 512));
}

#[test]
fn a_disk_of_large_sectors_finds_the_same_partitions() {
    let file = made();
    let path = file.path().to_str().unwrap();
    let table = |size: &str| match said("sfdisk", &["-J", "--sector-size", size, path]) {
        Some((true, text)) => serde_json::from_str::<serde_json::Value>(&text).unwrap()["partitiontable"].clone(),
        other => panic!("{other:?}"),
    };
    let places = |table: &serde_json::Value, size: u64| -> Vec<(u64, u64, String)> {
        let number = |value: &serde_json::Value| value.as_u64().unwrap() * size;
        let parts = table["partitions"].as_array().unwrap().iter();
        parts.map(|p| (number(&p["start"]), number(&p["size"]), p["uuid"].to_string())).collect()
    };
    let (small, large) = (table("512"), table("4096"));
    assert_eq!(places(&small, 512), places(&large, 4096));
    assert_eq!(small["id"], large["id"]);
}

#[test]
fn the_same_contents_give_the_same_bytes() {
    let [one, other] = [made(), made()].map(|file| std::fs::read(file.path()).unwrap());
    assert!(one == other);
}

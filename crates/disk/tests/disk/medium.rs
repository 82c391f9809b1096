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
    let Some(parts) = parts(path) else { return };
    assert_eq!(parts.len(), 3);
    for number in [0, 2] {
        let (start, len, _) = &parts[number];
        let range = usize::try_from(*start).unwrap()..usize::try_from(start + len).unwrap();
        let volume = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(volume.path(), &bytes[range]).unwrap();
        if let Some((well, text)) = said("fsck.fat", &["-n", volume.path().to_str().unwrap()]) {
            assert!(well, "{text}");
        }
    }
    assert_eq!(parts[2].1, SPARE);
}

/// What sfdisk sees: begin and length in bytes, and the identifier.
fn parts(path: &str) -> Option<Vec<(u64, u64, String)>> {
    let (well, text) = said("sfdisk", &["-d", path])?;
    assert!(well, "{text}");
    let value = |line: &str, key: &str| {
        line.split(key).nth(1).unwrap().trim_start().split(',').next().unwrap().trim().to_string()
    };
    let size: u64 = text.lines().find_map(|line| line.strip_prefix("sector-size: ")).map_or(512, |n| n.parse().unwrap());
    let number = |line: &str, key: &str| value(line, key).parse::<u64>().unwrap() * size;
    let lines = text.lines().filter(|line| line.contains("start="));
    Some(lines.map(|line| (number(line, "start="), number(line, " size="), value(line, "uuid="))).collect())
}

#[test]
fn a_disk_of_large_sectors_has_the_same_partitions() {
    if !nix::unistd::geteuid().is_root() {
        cairn_testkit::skip("needs root");
        return;
    }
    let file = made();
    let Some((well, node)) = said("losetup", &["--find", "--show", "-b", "4096", file.path().to_str().unwrap()]) else {
        return;
    };
    assert!(well, "{node}");
    let large = parts(node.trim());
    said("losetup", &["-d", node.trim()]);
    assert_eq!(large, parts(file.path().to_str().unwrap()));
}

#[test]
fn the_same_contents_give_the_same_bytes() {
    let [one, other] = [made(), made()].map(|file| std::fs::read(file.path()).unwrap());
    assert!(one == other);
}

#[test]
fn what_has_no_room_is_refused() {
    let payload = tempfile::tempfile().unwrap();
    let target = cairn_disk::MemoryTarget::new(1 << 20, 0);
    let long = medium(&payload);
    assert!(matches!(long.write(&target), Err(cairn_disk::DiskError::TooSmall { what: "the target", .. })));
    let core = Medium { core: vec![0; 500 << 10], ..medium(&payload) };
    assert!(matches!(core.write(&target), Err(cairn_disk::DiskError::TooSmall { .. })));
    let menu = Medium { cd_files: vec![("GRUB.CFG".into(), vec![0; 2049])], ..medium(&payload) };
    assert!(matches!(menu.write(&target), Err(cairn_disk::DiskError::TooSmall { .. })));
}

//! Windows beside a machine: what is said of it at the question for the disk, from what was recorded of a computer, and from file systems
//! that other people's programs make.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cairn_disk::{FileSource, Source};
use cairn_installer::disks::Device;
use cairn_installer::install::{Windows, describe};
use cairn_installer::questions::{Answers, Next, Seen, SeenDisk, Topic};
use cairn_layout::Needs;
use cairn_layout::onto::{DiskThere, Mode, Wish, onto};
use cairn_machine::model::{Disk, NamedLayout};
use cairn_process::Tool;
use uuid::Uuid;

use crate::probe::Probe;

fn probe(name: &str) -> (Vec<Device>, Device, DiskThere) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/install/probes/{name}.probe"));
    let probe = Probe::parse(&fs::read_to_string(path).unwrap());
    let disk = probe.devices[0].clone();
    let there = describe(&probe.devices, &disk, probe.table(&disk)).unwrap();
    (probe.devices, disk, there)
}

/// What is said where the disk is asked for.
fn notes(devices: &[Device], disk: &Device, there: &DiskThere, source: Option<&dyn Source>) -> Vec<String> {
    let disk = SeenDisk::of(devices, disk, Some(there.clone()), source);
    let seen = Seen { disks: vec![disk], ..Seen::default() };
    let mut answers = Answers::default();
    loop {
        let Next::Ask(question) = answers.next(&seen) else { panic!("no disk is asked for") };
        if question.topic == Topic::Disk {
            return question.notes;
        }
        let usual = match question.topic {
            Topic::Language => "C.UTF-8",
            Topic::Keyboard => "us",
            _ => "UTC",
        };
        answers.give(question.topic, usual.into(), &seen).unwrap();
    }
}

#[test]
fn bitlocker_is_told_from_what_was_recorded() {
    for (name, told) in [
        ("win10-bitlocker", Some("partition 3 is encrypted")),
        ("own-win11-bitlocker-recovery", Some("partition")),
        ("own-gaps", None),
        ("ubuntu-and-free-space", None),
        ("own-empty", None),
    ] {
        let (devices, disk, there) = probe(name);
        let said = notes(&devices, &disk, &there, None);
        match told {
            Some(words) => {
                assert_eq!(said.len(), 1, "{name}: {said:?}");
                for words in [words, "BitLocker", "recovery key at hand", "Secure Boot", "manage-bde"] {
                    assert!(said[0].contains(words), "{name}: {said:?}");
                }
            }
            // What nobody could look at nothing is said of.
            None => assert!(said.is_empty(), "{name}: {said:?}"),
        }
    }
}

fn run(program: &str, package: &'static str, args: &[&str]) {
    let said = Tool::new(program, package, "make what Windows makes").args(args.iter().copied()).output();
    said.unwrap_or_else(|why| panic!("{why} (see scripts/setup)"));
}

/// Puts a file into a partition of a disk.
fn put(disk: &File, there: &DiskThere, number: u32, image: &Path) {
    let one = there.partitions.iter().find(|one| one.number == number).unwrap();
    disk.write_all_at(&fs::read(image).unwrap(), one.first.offset(there.sector)).unwrap();
}

/// A disk as other people's programs make it: so large a file on its EFI system partition, and Windows so.
fn made(folder: &Path, there: &DiskThere, on_esp: u64, hiberfil: &[u8]) -> FileSource {
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let (esp, ntfs, file) = (folder.join("esp"), folder.join("ntfs"), folder.join("file"));
    let number = |format: &str| there.partitions.iter().find(|one| one.format.as_deref() == Some(format)).unwrap();
    let bytes = |format: &str| number(format).sectors.bytes(there.sector);
    File::create(&esp).unwrap().set_len(bytes("vfat")).unwrap();
    run("mkfs.vfat", "dosfstools", &["-F", "32", "-s", "1", &text(&esp)]);
    File::create(&file).unwrap().set_len(on_esp).unwrap();
    run("mcopy", "mtools", &["-i", &text(&esp), &text(&file), "::taken"]);
    // Its size is not that of the partition: what is behind it nobody reads.
    File::create(&ntfs).unwrap().set_len(16 << 20).unwrap();
    run("mkntfs", "ntfs-3g", &["-q", "-F", "-s", "512", "-p", "0", "-H", "0", "-S", "0", &text(&ntfs)]);
    fs::write(&file, [hiberfil, &[0; 8192]].concat()).unwrap();
    for name in ["Windows", "hiberfil.sys"] {
        run("ntfscp", "ntfs-3g", &["-q", &text(&ntfs), &text(&file), name]);
    }
    let disk = File::options().read(true).write(true).create(true).truncate(true).open(folder.join("disk")).unwrap();
    disk.set_len(there.bytes).unwrap();
    put(&disk, there, number("vfat").number, &esp);
    put(&disk, there, number("ntfs").number, &ntfs);
    FileSource::new(disk).unwrap()
}

#[test]
fn who_sleeps_and_how_much_is_free_is_read_from_the_disk() {
    let (devices, disk, mut there) = probe("own-win11-shrunk");
    // One that is not encrypted.
    there.partitions[2].format = Some("ntfs".into());
    there.partitions[3].format = None;
    let folder = tempfile::tempdir().unwrap();
    let with = |on_esp: u64, hiberfil: &[u8]| {
        let source = made(folder.path(), &there, on_esp, hiberfil);
        let said = notes(&devices, &disk, &there, Some(&source));
        (said, source)
    };
    let (said, source) = with(80 << 20, b"hibr");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("is not shut down: it sleeps") && said[0].contains("shutdown /s /t 0"), "{said:?}");
    assert!(said[1].contains("is too small to be shared"), "{said:?}");
    // The same on the last page, of what stays; of what goes nobody needs to know.
    let found = || Windows::on(&there, Some(&source)).unwrap();
    let planned = |mode| {
        let wish = Wish { mode, ..Wish::default() };
        onto(&Disk::of_layout(NamedLayout::Uefi), Uuid::from_u128(1), &Needs::default(), &there, &wish).unwrap()
    };
    assert_eq!(found().that_stays(&planned(Mode::Free)).words(), found().words());
    assert!(found().that_stays(&planned(Mode::Whole)).words().is_empty());
    let (said, _) = with(1 << 20, b"");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("free. Two generations of a machine need about 64M, so it can be shared"), "{said:?}");
}

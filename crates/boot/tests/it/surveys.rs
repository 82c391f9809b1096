//! What is looked at on a boot partition, and what is not.

use std::fs;

use crate::common::*;
use cairn_boot::effects::Mounted;
use cairn_boot::*;

const ROOMY: u64 = 10 << 20;

fn entry(name: &str) -> String {
    format!("loader/entries/cairn-{}-{name}.conf", installation().mark())
}

fn paths(present: &Present) -> Vec<&str> {
    present.files.keys().map(|(_, path)| path.as_str()).collect()
}

#[test]
fn only_what_is_ours_is_looked_at() {
    let mut machine = Machine::new(ROOMY);
    machine.volume.files.insert("loader/entries/other.conf".into(), b"title other\n".to_vec());
    machine.volume.files.insert("EFI/BOOT/other.efi".into(), b"x".to_vec());
    machine.update().unwrap();
    let present = machine.survey().unwrap();
    assert!(!paths(&present).iter().any(|path| path.contains("other")), "{:?}", paths(&present));
    assert_eq!(present.files.len() + 2, machine.volume.files.len());
}

#[test]
fn a_text_that_is_too_long_is_no_entry() {
    for (len, counts) in [(1 << 20, 1), ((1 << 20) + 1, 0)] {
        let mut machine = Machine::new(ROOMY);
        let name = entry("1-0123456789abcdef+3");
        let parsed = EntryName::parse(installation(), name.rsplit_once('/').unwrap().1);
        machine.volume.files.insert(name, vec![b'#'; len]);
        let found = machine.survey().unwrap().entries;
        assert_eq!(found.len(), counts, "{len}");
        assert!(parsed.is_some());
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_what_is_in_the_way() {
    let mut machine = Machine::new(ROOMY);
    machine.volume.files.insert("loader".into(), b"x".to_vec());
    let present = machine.survey().unwrap();
    assert_eq!(paths(&present), ["loader"]);
}

#[test]
fn nothing_beside_a_file_in_the_way_is_taken_for_one() {
    let mut machine = Machine::new(ROOMY);
    // Folders on the way to it, and files beside these.
    for path in ["file", "EFI/file", "EFI/BOOT"] {
        machine.volume.files.insert(path.into(), b"x".to_vec());
    }
    let present = machine.survey().unwrap();
    assert_eq!(paths(&present), ["EFI/BOOT"]);
}

#[test]
fn a_partition_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    let whole = machine.survey().unwrap();
    machine.volume.stop = Stop::Dead(machine.volume.calls.get() + 1);
    assert_eq!(machine.survey().unwrap_err().raw_os_error(), Some(5));
    // One folder only: what is in it is not taken for missing. A file that cannot be read is there.
    machine.volume.calls.set(0);
    machine.volume.stop = Stop::Never;
    machine.survey().unwrap();
    for at in 1..=machine.volume.calls.get() {
        machine.volume.calls.set(0);
        machine.volume.stop = Stop::Broken(at);
        match machine.survey() {
            Ok(present) => assert_eq!(paths(&present), paths(&whole), "{at}"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(5), "{at}"),
        }
    }
}

#[test]
fn what_the_loader_has_just_read_is_not_read_again() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    let whole = machine.survey().unwrap();
    let running = machine.generations[0].clone();
    let kernel = paths(&whole).into_iter().find(|path| path.ends_with("-linux")).unwrap().to_string();
    // Other bytes, and another length.
    let damaged = |machine: &mut Machine, change: &dyn Fn(&mut Vec<u8>)| {
        change(machine.volume.files.get_mut(&kernel).unwrap());
        let both = Partitions { esp: Some(&machine.volume), boot: None };
        let loaded = Loaded::of(installation(), &running);
        survey_of_running(both, installation(), &[], &loaded).unwrap().files[&(Place::Esp, kernel.clone())]
    };
    let is = whole.files[&(Place::Esp, kernel.clone())];
    assert_eq!(damaged(&mut machine, &|bytes| bytes[0] ^= 1), is);
    assert_ne!(machine.survey().unwrap().files[&(Place::Esp, kernel.clone())], is);
    assert_ne!(damaged(&mut machine, &|bytes| bytes.truncate(1)), is);
}

#[test]
fn where_capitals_make_a_difference_a_name_in_capitals_is_another_s() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("loader/entries")).unwrap();
    let (small, large) = (entry("1-0123456789abcdef"), entry("1-0123456789ABCDEF"));
    fs::write(folder.path().join(&large), "x").unwrap();
    let volume = Mounted::open(folder.path()).unwrap();
    let look = || survey(Partitions { esp: Some(&volume), boot: None }, installation(), &[]).unwrap();
    assert!(!paths(&look()).contains(&small.as_str()), "{:?}", look().files);
    fs::write(folder.path().join(&small), "y").unwrap();
    assert!(paths(&look()).contains(&small.as_str()));
    assert!(format!("{:?}", Partitions { esp: Some(&volume), boot: None }).contains("Partitions"));
}

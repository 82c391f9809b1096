//! What an update writes and removes, without anything going wrong.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::common::*;
use cairn_boot::*;

const ROOMY: u64 = 10 << 20;

fn numbers(menu: &[String]) -> Vec<(u64, Option<Counter>)> {
    menu.iter().map(|n| EntryName::parse(installation(), n).unwrap()).map(|e| (e.number, e.counter)).collect()
}

#[test]
fn a_new_machine_has_a_loader_a_kernel_an_initrd_and_a_plain_entry() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    assert_eq!(numbers(&machine.menu()), [(1, None)]);
    let paths: Vec<&str> = machine.volume.files.keys().map(String::as_str).collect();
    for path in ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi", "loader/entries.srel", "loader/loader.conf"]
    {
        assert!(paths.contains(&path), "{paths:?}");
    }
    assert_eq!(paths.len(), 7, "{paths:?}");
    assert_eq!(machine.volume.files["loader/loader.conf"].len(), SECTOR);
    assert_eq!(machine.plan().unwrap().steps, [], "a second update has nothing to do");
}

#[test]
fn a_new_generation_is_tried_first_and_writes_only_what_is_new() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k1", "i2"));
    let update = machine.update().unwrap();
    assert_eq!(numbers(&machine.menu()), [(2, Some(Counter { left: 3, done: 0 })), (1, None)]);
    let entry = machine.volume.files.iter().find(|(path, _)| path.contains("-2-")).unwrap().1.clone();
    assert_eq!(update.written, 15_000 + entry.len() as u64);
    let text = String::from_utf8(entry).unwrap();
    assert!(text.contains(" cairn.generation=2 cairn.trial\n"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("linux "), "{text}");
}

#[test]
fn a_counter_that_has_begun_goes_on() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k1", "i1"));
    machine.update().unwrap();
    let old = machine.menu()[0].clone();
    let bytes = machine.volume.files.remove(&format!("loader/entries/{old}")).unwrap();
    machine.volume.files.insert(format!("loader/entries/{}", old.replace("+3", "+1-2")), bytes);
    assert_eq!(machine.plan().unwrap().steps, []);
}

#[test]
fn what_booted_well_gets_a_plain_entry_beside_the_counted_one_which_goes_last() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k1", "i1"));
    machine.update().unwrap();
    machine.record.booted_well(2);
    let update = machine.update().unwrap();
    assert!(matches!(update.steps.first(), Some(Step::Create { .. })), "{:?}", update.steps);
    assert!(matches!(update.steps[update.steps.len() - 2], Step::Remove { .. }), "{:?}", update.steps);
    assert_eq!(numbers(&machine.menu()), [(2, None), (1, None)]);
}

#[test]
fn a_choice_comes_first_without_a_default_in_the_loader_s_settings() {
    let mut machine = Machine::new(ROOMY);
    for number in 2..=4 {
        machine.add(generation(number, "k1", "i1"));
        machine.record.booted_well(number);
    }
    machine.update().unwrap();
    machine.record.want(2);
    machine.update().unwrap();
    assert_eq!(numbers(&machine.menu()).iter().map(|(n, _)| *n).collect::<Vec<_>>(), [2, 4, 3, 1]);
    machine.add(generation(5, "k1", "i1"));
    machine.update().unwrap();
    assert_eq!(numbers(&machine.menu()).iter().map(|(n, _)| *n).collect::<Vec<_>>(), [5, 2, 4, 3, 1]);
    let conf = String::from_utf8_lossy(&machine.volume.files["loader/loader.conf"]).into_owned();
    assert!(!conf.contains("default"), "{conf}");
}

#[test]
fn a_trial_that_is_wanted_again_never_stands_beside_its_used_up_counter() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k1", "i1"));
    machine.update().unwrap();
    let old = machine.menu()[0].clone();
    let bytes = machine.volume.files.remove(&format!("loader/entries/{old}")).unwrap();
    machine.volume.files.insert(format!("loader/entries/{}", old.replace("+3", "+0-3")), bytes);
    machine.record.failed(2);
    machine.update().unwrap();
    // Neither what is tried first nor anything with tries left: it has become another entry, at the end of the menu.
    assert_eq!(numbers(&machine.menu())[0], (1, None));
    machine.record.want(2);
    machine.update().unwrap();
    assert_eq!(numbers(&machine.menu()), [(2, Some(Counter { left: 3, done: 0 })), (1, None)]);
}

#[test]
fn generations_beyond_the_limit_lose_entry_and_files_and_those_that_matter_stay() {
    let mut machine = Machine::new(ROOMY);
    machine.boot.generations = 2;
    machine.update().unwrap();
    for number in 2..=6 {
        machine.add(generation(number, &format!("k{number}"), &format!("i{number}")));
        machine.record.booted_well(number);
        machine.booted = Some(3);
        machine.update().unwrap();
    }
    let mut there: Vec<u64> = numbers(&machine.menu()).iter().map(|(n, _)| *n).collect();
    there.sort_unstable();
    assert_eq!(there, [3, 5, 6], "two, and the one that runs");
    // What goes with the next one: entries, on the disk, before anything that they name.
    machine.booted = Some(6);
    machine.add(generation(7, "k7", "i7"));
    machine.record.booted_well(7);
    let steps = machine.plan().unwrap().steps;
    let removed = |step: &Step, prefix: &str| matches!(step, Step::Remove { path, .. } if path.starts_with(prefix));
    let last_entry = steps.iter().rposition(|step| removed(step, "loader/entries/")).unwrap();
    let first_file = steps.iter().position(|step| removed(step, "cairn/")).unwrap();
    assert!(last_entry < first_file && steps[last_entry..first_file].contains(&Step::Barrier), "{steps:?}");
}

#[test]
fn foreign_files_are_never_touched() {
    let mut machine = Machine::new(ROOMY);
    let other = "loader/entries/cairn-01234567-1-aaaaaaaa.conf";
    for path in [other, "loader/entries/debian.conf", "EFI/debian/grubx64.efi", "cairn/01234567/x-linux", "cairn.txt"] {
        machine.volume.files.insert(path.into(), path.as_bytes().to_vec());
    }
    let before = machine.volume.files.clone();
    machine.update().unwrap();
    machine.boot.generations = 1;
    machine.add(generation(2, "k2", "i2"));
    machine.record.booted_well(2);
    machine.update().unwrap();
    assert!(before.iter().all(|(path, bytes)| machine.volume.files.get(path) == Some(bytes)));
}

#[test]
fn damage_is_found_and_healed() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    let whole = machine.volume.files.clone();
    for path in whole.keys() {
        for damage in [vec![], b"garbage".to_vec(), {
            let mut b = whole[path].clone();
            b[5] ^= 1;
            b
        }] {
            machine.volume.files.insert(path.clone(), damage);
            let update = machine.update().unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(!update.steps.is_empty(), "{path}");
            assert_eq!(machine.volume.files[path], whole[path], "{path}");
        }
    }
}

#[test]
fn the_loader_s_program_is_replaced_and_the_old_one_kept() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    for version in ["loader-2", "loader-3"] {
        let old = store_bytes(&machine.program);
        machine.program = artifact(version, 9100);
        machine.update().unwrap();
        for path in ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"] {
            assert_eq!(machine.volume.files[path], store_bytes(&machine.program));
        }
        assert_eq!(machine.volume.files[&installation().previous_program()], old);
        assert_eq!(machine.plan().unwrap().steps, []);
    }
    // Once for both names; and of one that is empty, or gone, there is nothing to keep.
    let kept = |machine: &Machine| {
        let steps = machine.plan().unwrap().steps;
        steps.iter().filter(|step| matches!(step, Step::Keep { .. })).count()
    };
    machine.program = artifact("loader-4", 9200);
    assert_eq!(kept(&machine), 1);
    for path in ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"] {
        machine.volume.files.insert(path.into(), Vec::new());
    }
    assert_eq!(kept(&machine), 0);
}

#[test]
fn what_a_power_cut_left_unfinished_goes_unless_it_may_be_a_second_name() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    let kernel = machine.volume.files.keys().find(|p| p.ends_with("-linux")).unwrap().clone();
    let whole = machine.volume.files[&kernel].clone();
    machine.volume.files.insert(format!("{kernel}.new"), whole[..500].to_vec());
    machine.update().unwrap();
    assert!(!machine.volume.files.contains_key(&format!("{kernel}.new")));
    machine.volume.files.insert(format!("{kernel}.new"), whole);
    assert_eq!(machine.plan().unwrap().steps, []);
    // What is empty shares nothing.
    machine.volume.files.insert(format!("{kernel}.new"), Vec::new());
    machine.volume.files.insert(format!("{kernel}-1.new"), Vec::new());
    machine.update().unwrap();
    assert!(!machine.volume.files.keys().any(|path| path.ends_with(".new")), "{:?}", machine.volume.files.keys());
}

/// Whoever replaces a file removes what is left beside it, when the time has come; nobody else's left-over waits for that.
#[test]
fn what_is_left_beside_a_program_goes_with_its_replacement_and_all_else_by_itself() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    let kernel = machine.volume.files.keys().find(|p| p.ends_with("-linux")).unwrap().clone();
    let (of_kernel, of_program) = (format!("{kernel}.new"), "EFI/BOOT/BOOTX64.EFI.new".to_string());
    for path in [&of_kernel, &of_program] {
        machine.volume.files.insert(path.clone(), b"cut off".to_vec());
    }
    machine.program = artifact("loader-2", 9100);
    let steps = machine.plan().unwrap().steps;
    let removed = |name: &String| steps.iter().any(|step| matches!(step, Step::Remove { path, .. } if path == name));
    assert!(removed(&of_kernel) && !removed(&of_program), "{steps:?}");
    machine.update().unwrap();
    assert!(!machine.volume.files.keys().any(|path| path.ends_with(".new")), "{:?}", machine.volume.files.keys());
}

#[test]
fn an_entry_that_was_cut_off_is_written_anew_before_the_counted_one_goes() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k1", "i1"));
    machine.update().unwrap();
    machine.record.booted_well(2);
    // The power went while the plain entry was made: its name is there, and nothing in it.
    let plain = machine.plan().unwrap().steps.iter().find_map(|step| match step {
        Step::Create { path, .. } => Some(path.clone()),
        _ => None,
    });
    machine.volume.files.insert(plain.clone().unwrap(), Vec::new());
    let update = machine.update().unwrap();
    let at = |wanted: &dyn Fn(&Step) -> bool| update.steps.iter().position(wanted).unwrap();
    let made = at(&|step| matches!(step, Step::Create { path, .. } if Some(path) == plain.as_ref()));
    let gone = at(&|step| matches!(step, Step::Remove { path, .. } if path.contains("+3.conf")));
    assert!(made < gone, "{:?}", update.steps);
    assert_eq!(numbers(&machine.menu()), [(2, None), (1, None)]);
    assert_eq!(update.healed, [plain.unwrap()]);
}

#[test]
fn nothing_is_removed_while_something_is_in_doubt() {
    let mut machine = Machine::new(ROOMY);
    machine.boot.generations = 1;
    machine.update().unwrap();
    machine.add(generation(2, "k2", "i2"));
    machine.record.booted_well(2);
    machine.may_remove = false;
    let update = machine.update().unwrap();
    assert!(!update.steps.iter().any(|s| matches!(s, Step::Remove { .. })), "{:?}", update.steps);
}

#[test]
fn what_stands_in_the_way_is_named() {
    let mut machine = Machine::new(ROOMY);
    machine.volume.directories.insert("EFI/BOOT/bootx64.efi".into());
    assert_eq!(machine.plan(), Err(PlanError::DirectoryInTheWay("EFI/BOOT/bootx64.efi".into())));
    let mut machine = Machine::new(ROOMY);
    machine.volume.files.insert("EFI/BOOT".into(), b"x".to_vec());
    assert!(matches!(machine.plan(), Err(PlanError::InTheWay(..))), "{:?}", machine.plan());
    let mut machine = Machine::new(ROOMY);
    machine.volume.files.insert("efi/boot/bootx64.efi".into(), store_bytes(&machine.program));
    machine.update().unwrap();
    let same: Vec<&String> =
        machine.volume.files.keys().filter(|p| p.eq_ignore_ascii_case("EFI/BOOT/BOOTX64.EFI")).collect();
    assert_eq!(same.len(), 1, "FAT does not tell capitals: {same:?}");
}

#[test]
fn a_hundred_generations_share_what_is_the_same() {
    let mut machine = Machine::new(ROOMY);
    machine.boot.generations = 100;
    for number in 2..=100 {
        machine.add(generation(number, "k1", "i1"));
        machine.record.booted_well(number);
    }
    machine.update().unwrap();
    assert_eq!(machine.menu().len(), 100);
    machine.add(generation(101, "k1", "i1"));
    let update = machine.update().unwrap();
    assert!(update.written < 1000, "{}", update.written);
    assert_eq!(machine.menu().len(), 100);
}

#[test]
fn files_of_the_machine_file_come_and_go_and_never_replace_somebody_else_s() {
    let path = "EFI/tools/shell.efi";
    let file = |text: &str| BootFile {
        place: Place::Esp,
        path: path.into(),
        content: Content::Bytes(text.into()),
        role: Role::Own,
    };
    let mut machine = Machine::new(ROOMY);
    machine.files = vec![file("one")];
    machine.update().unwrap();
    machine.record.files.insert(path.into(), String::new());
    machine.files = vec![file("two")];
    machine.update().unwrap();
    assert_eq!(machine.volume.files[path], b"two");
    machine.files.clear();
    machine.update().unwrap();
    assert!(!machine.volume.files.contains_key(path));

    let mut machine = Machine::new(ROOMY);
    machine.volume.files.insert(path.into(), b"theirs".to_vec());
    machine.files = vec![file("one")];
    assert_eq!(machine.plan(), Err(PlanError::Foreign(path.into())));
}

/// What other systems, and people, leave on a boot partition.
fn strangers() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for n in 0..100 {
        files.insert(format!("loader/entries/other-{n}.conf"), format!("title {n}\nlinux /vmlinuz-{n}\n").into_bytes());
        files.insert(format!("EFI/Microsoft/Boot/file-{n}.efi"), vec![0; 100]);
        files.insert(format!("photo-{n}.jpg"), vec![7; 5000]);
    }
    // Entries that no loader can make sense of, some with names that are nearly ours.
    let mark = installation().mark();
    for name in [
        "empty.conf".into(),
        "cairn-.conf".into(),
        format!("cairn-{mark}.conf"),
        format!("cairn-{mark}x-1-00000000.conf"),
        "cairn-01234567-1-00000000+x.conf".into(),
        "cairn-01234567-99999999999999999999-00000000.conf".into(),
        format!("not-cairn-{mark}-1-00000000.conf"),
    ] {
        files.insert(format!("loader/entries/{name}"), b"\0\xff\xfelinux\n\n".to_vec());
    }
    files
}

#[test]
fn three_hundred_foreign_files_and_broken_entries_of_others_stay_as_they_are() {
    let mut machine = Machine::new(ROOMY);
    let strangers = strangers();
    assert!(strangers.len() > 300);
    machine.volume.files.extend(strangers.clone());
    machine.update().unwrap();
    for number in 2..=4 {
        machine.add(generation(number, &format!("k{number}"), &format!("i{number}")));
        machine.record.booted_well(number);
        machine.boot.generations = 1;
        machine.update().unwrap();
    }
    assert!(strangers.iter().all(|(path, bytes)| machine.volume.files.get(path) == Some(bytes)));
    let ours = machine.volume.files.keys().filter(|path| !strangers.contains_key(*path)).count();
    assert_eq!(ours, 7, "loader twice, its two files, a kernel, an initrd, an entry");
    assert_eq!(machine.plan().unwrap().steps, []);
}

#[test]
fn broken_entries_under_our_own_mark_go_and_count_for_nothing() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    let whole = machine.volume.files.clone();
    let mark = installation().mark();
    for name in
        ["x-00000000.conf", "1-0000.conf", "99999999999999999999-0.conf", "1-00000000+x.conf", "1-0.conf.bak", ""]
    {
        machine.volume.files.insert(format!("loader/entries/cairn-{mark}-{name}"), b"\0\xff\n\nlinux".to_vec());
    }
    machine.update().unwrap();
    assert_eq!(machine.volume.files, whole);
}

#[test]
fn names_that_differ_in_capitals_only_are_the_same_file() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    // Another system has written the same partition, and gave all names back in capitals.
    let files = std::mem::take(&mut machine.volume.files);
    machine.volume.files = files.into_iter().map(|(path, bytes)| (path.to_uppercase(), bytes)).collect();
    let before = machine.volume.files.clone();
    let steps = machine.plan().unwrap().steps;
    assert!(!steps.iter().any(|step| matches!(step, Step::Create { .. })), "{steps:?}");
    machine.update().unwrap();
    assert_eq!(machine.volume.files, before);
    // And one that is damaged under such a name is mended, without a twin.
    let kernel = machine.volume.files.keys().find(|path| path.ends_with("-LINUX")).unwrap().clone();
    machine.volume.files.insert(kernel.clone(), b"damaged".to_vec());
    machine.update().unwrap();
    let twins: Vec<_> = machine.volume.files.keys().filter(|path| path.eq_ignore_ascii_case(&kernel)).collect();
    assert_eq!(twins.len(), 1, "{twins:?}");
    assert_eq!(machine.volume.files[twins[0]], store_bytes(&artifact("k1", 20_000)));
}

#[test]
fn a_directory_where_any_of_our_files_belongs_is_named() {
    let mut whole = Machine::new(ROOMY);
    whole.update().unwrap();
    for path in whole.volume.files.keys() {
        let mut machine = Machine::new(ROOMY);
        machine.volume.directories.insert(path.clone());
        let before = machine.volume.clone();
        assert_eq!(machine.plan(), Err(PlanError::DirectoryInTheWay(path.clone())));
        assert_eq!((machine.volume.files, machine.volume.directories), (before.files, before.directories));
    }
}

#[test]
fn a_kernel_that_is_damaged_in_the_store_or_cannot_be_read_never_gets_its_name() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
    }
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k2", "i2"));
    let before = machine.volume.files.clone();
    let plan = machine.plan().unwrap();
    let mut with = |damage: fn(Vec<u8>) -> Box<dyn std::io::Read>| {
        let open = move |content: &Content| -> std::io::Result<Box<dyn std::io::Read>> {
            match content {
                Content::Store(artifact) if artifact.store_path.ends_with("k2") => Ok(damage(store_bytes(artifact))),
                other => open(other),
            }
        };
        let mut target = Target { esp: Some(&mut machine.volume), boot: None };
        let error = apply(&plan, &mut target, &open, &mut |_| ()).unwrap_err();
        machine.volume.files.retain(|path, _| !path.ends_with("-initrd") || before.contains_key(path));
        assert_eq!(machine.volume.files, before);
        error.to_string()
    };
    let flipped = with(|mut bytes| {
        bytes[100] ^= 1;
        Box::new(std::io::Cursor::new(bytes))
    });
    assert!(flipped.starts_with("/nix/store/k2 is not what it was when it was put into the store"), "{flipped}");
    let short = with(|bytes| Box::new(std::io::Cursor::new(bytes[..500].to_vec())));
    assert_eq!(short, flipped);
    assert_eq!(with(|_| Box::new(Broken)), "reading /nix/store/k2");
}

#[test]
fn a_used_up_counter_goes_before_the_same_entry_gets_tries_again() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k1", "i1"));
    machine.update().unwrap();
    let old = machine.menu()[0].clone();
    let used_up = format!("loader/entries/{}", old.replace("+3", "+0-3"));
    let bytes = machine.volume.files.remove(&format!("loader/entries/{old}")).unwrap();
    machine.volume.files.insert(used_up.clone(), bytes);
    // `cairn rollback 2`: it has failed, and is wanted all the same, with nothing written in between.
    machine.record.failed(2);
    machine.record.want(2);
    let steps = machine.plan().unwrap().steps;
    let at = |wanted: &dyn Fn(&Step) -> bool| steps.iter().position(wanted).expect("no such step");
    let gone = at(&|step| matches!(step, Step::Remove { path, .. } if *path == used_up));
    let new = at(&|step| matches!(step, Step::Create { path, .. } if path.ends_with("+3.conf")));
    assert!(gone < new && steps[gone..new].contains(&Step::Barrier), "{steps:?}");
    machine.update().unwrap();
    assert_eq!(numbers(&machine.menu()), [(2, Some(Counter { left: 3, done: 0 })), (1, None)]);
}

#[test]
fn another_text_has_its_own_tries() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k1", "i1"));
    machine.update().unwrap();
    let old = machine.menu()[0].clone();
    let bytes = machine.volume.files.remove(&format!("loader/entries/{old}")).unwrap();
    machine.volume.files.insert(format!("loader/entries/{}", old.replace("+3", "+1-2")), bytes);
    machine.generations[1].bootspec.kernel_params.push("debug".into());
    machine.update().unwrap();
    assert_eq!(numbers(&machine.menu()), [(2, Some(Counter { left: 3, done: 0 })), (1, None)]);
}

#[test]
fn a_sector_of_another_length_is_not_overwritten_in_place() {
    for len in [0, 300, 511, 513, 1024] {
        let mut machine = Machine::new(ROOMY);
        machine.update().unwrap();
        machine.volume.files.insert("loader/loader.conf".into(), vec![b'#'; len]);
        let update = machine.plan().unwrap();
        assert!(!update.steps.iter().any(|step| matches!(step, Step::Overwrite { .. })), "{len}: {:?}", update.steps);
        assert_eq!(update.healed, ["loader/loader.conf"], "{len}");
        machine.update().unwrap();
        assert_eq!(machine.volume.files["loader/loader.conf"].len(), SECTOR);
    }
}

#[test]
fn a_source_may_be_interrupted_and_whether_something_was_changed_is_told() {
    let mut machine = Machine::new(ROOMY);
    let plan = machine.plan().unwrap();
    let calls = std::cell::Cell::new(0);
    let failing = |at: usize| {
        let calls = &calls;
        move |content: &Content| -> io::Result<Box<dyn Read>> {
            calls.set(calls.get() + 1);
            if calls.get() == at { Err(io::Error::from_raw_os_error(5)) } else { open(content) }
        }
    };
    for (at, touched) in [(1, false), (2, true)] {
        calls.set(0);
        let mut volume = machine.volume.clone();
        let mut target = Target { esp: Some(&mut volume), boot: None };
        let error = apply(&plan, &mut target, &failing(at), &mut |_| ()).unwrap_err();
        assert_eq!((error.touched(), volume.files.is_empty()), (touched, !touched), "{error}");
    }
    let mut target = Target { esp: Some(&mut machine.volume), boot: None };
    apply(&plan, &mut target, &halting, &mut |_| ()).unwrap();
    assert_eq!(machine.plan().unwrap().steps, []);
}

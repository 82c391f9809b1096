//! A boot partition that other systems start from too: what is theirs keeps every byte, at installation and in every update after it.

use crate::common::programs::{OWN_GRUB, chain, starts};
use crate::common::*;
use cairn_boot::*;

const FALLBACK: &str = "EFI/BOOT/BOOTX64.EFI";
const THEIRS: [&str; 5] = [
    "EFI/Boot/bootx64.efi",
    "EFI/Microsoft/Boot/bootmgfw.efi",
    "EFI/debian/shimx64.efi",
    "EFI/debian/grubx64.efi",
    "EFI/Ubuntu/grubx64.efi",
];

fn others() -> Vec<(String, Vec<u8>)> {
    THEIRS.map(|path| (path.to_string(), format!("the bytes of {path}").into_bytes())).to_vec()
}

/// A machine on a partition with these files.
fn machine(there: impl IntoIterator<Item = (String, Vec<u8>)>) -> Machine {
    let mut machine = Machine { shared: true, ..Machine::new(10 << 20) };
    machine.volume.files.extend(there);
    machine
}

fn has(machine: &Machine, part: &str) -> bool {
    machine.volume.files.keys().any(|path| path.contains(part))
}

#[test]
fn what_is_others_stays_through_installation_and_upgrades() {
    let mut machine = machine(others());
    for number in 2..6 {
        machine.update().unwrap();
        assert_eq!(machine.update().unwrap().steps, [], "a second update has nothing to do");
        for (path, bytes) in others() {
            assert_eq!(machine.volume.files.get(&path), Some(&bytes), "{path}");
        }
        machine.record.booted_well(number - 1);
        machine.add(generation(number, &format!("k{number}"), "i"));
        machine.program = artifact(&format!("loader {number}"), 9000 + number);
    }
    let own = installation().systemd_boot_program();
    assert!(machine.volume.files.contains_key(&own) && !has(&machine, "EFI/systemd"));
    assert!(!machine.volume.files.contains_key(FALLBACK));
}

#[test]
fn the_menu_starts_the_others_and_forgets_those_that_are_gone() {
    let mut machine = machine(others());
    machine.update().unwrap();
    let entries = |machine: &Machine| {
        let entry = |(path, bytes): (&String, &Vec<u8>)| {
            path.contains("-x-other-").then(|| String::from_utf8(bytes.clone()).unwrap())
        };
        machine.volume.files.iter().filter_map(entry).collect::<Vec<_>>()
    };
    let debian = "title Debian\nsort-key cairn-x\nefi /EFI/debian/shimx64.efi\n";
    let ubuntu = "title Ubuntu\nsort-key cairn-x\nefi /EFI/ubuntu/grubx64.efi\n";
    assert_eq!(entries(&machine), [debian, ubuntu]);
    machine.volume.files.retain(|path, _| !path.starts_with("EFI/debian"));
    machine.update().unwrap();
    assert_eq!(entries(&machine), [ubuntu]);
    machine.boot.other_systems = false;
    machine.update().unwrap();
    assert!(entries(&machine).is_empty());
}

#[test]
fn grub_looks_for_the_others_on_their_partition() {
    let machine = machine(others());
    let program = LoaderProgram::Grub { efi: Some(b"grub".to_vec()) };
    let set = machine.menu_with(&program, None, None, |menu| {
        let fixed = menu.fixed_paths().unwrap();
        let there = survey(Partitions { esp: Some(&machine.volume), boot: None }, installation(), &fixed).unwrap();
        menu.plan(&there).unwrap().0
    });
    let menu = set.files.iter().find(|file| file.path.contains("/menu-")).unwrap();
    let Content::Bytes(menu) = &menu.content else { panic!("a menu of the store") };
    let menu = String::from_utf8(menu.clone()).unwrap();
    assert!(menu.contains("search --no-floppy --file --set=root --hint \"$root\" '/EFI/debian/shimx64.efi'"), "{menu}");
    assert!(menu.contains("menuentry 'Ubuntu' --id 'extra-other.ubuntu'"), "{menu}");
    assert!(set.files.iter().all(|file| file.path != FALLBACK));
}

#[test]
fn what_the_firmware_finds_by_itself_is_taken_where_nobody_has_it_and_kept_up_to_date() {
    let mut machine = machine([]);
    machine.update().unwrap();
    for (name, len) in [("a newer one", 9100), ("the newest", 9200)] {
        machine.program = artifact(name, len);
        machine.update().unwrap();
        let of = |path: &str| machine.volume.files.get(path).cloned();
        assert_eq!(of(FALLBACK), Some(store_bytes(&machine.program)));
        assert_eq!(of(&installation().systemd_boot_program()), of(FALLBACK));
    }
    // Another system comes and takes it: from then on it is that one's.
    machine.volume.files.insert(FALLBACK.into(), b"windows".to_vec());
    machine.program = artifact("another", 9300);
    machine.update().unwrap();
    assert_eq!(machine.volume.files.get(FALLBACK).unwrap(), b"windows");
    assert_eq!(machine.volume.files.get(&installation().systemd_boot_program()), Some(&store_bytes(&machine.program)));
}

#[test]
fn settings_of_another_systemd_boot_are_refused_and_ours_are_not_taken_for_them() {
    let settings = ("loader/loader.conf".to_string(), b"default debian*\n".to_vec());
    let mut other = machine([settings.clone()]);
    assert_eq!(other.plan().unwrap_err(), PlanError::OtherSettings);
    assert!(other.update().unwrap_err().contains("take GRUB"));
    assert_eq!(other.volume.files.get(&settings.0), Some(&settings.1));
    // Where nobody else starts from the partition they are a file like any.
    let mut own = Machine { shared: false, ..machine([settings]) };
    own.update().unwrap();
    own.shared = true;
    own.boot.timeout = 7;
    own.update().unwrap();
}

/// Every Debian has the same shim: whose it is, what it starts says.
#[test]
fn a_shim_that_starts_another_loader_is_another_system_s() {
    let signed = |version| Some(chain(version, false));
    let LoaderProgram::Shim(ours) = chain(1, false) else { unreachable!() };
    let (shim, loader) = (store_bytes(&ours.shim), store_bytes(&ours.loader));
    let fallback = [FALLBACK, REMOVABLE_SECOND, REMOVABLE_KEYS];
    for (theirs, taken) in [
        (vec![(FALLBACK, shim.clone()), (REMOVABLE_SECOND, b"their grub".to_vec())], true),
        (vec![(FALLBACK, shim.clone())], true),
        (vec![(REMOVABLE_SECOND, b"their grub".to_vec())], true),
        (vec![(FALLBACK, shim.clone()), ("EFI/BOOT/fbx64.efi", b"their fallback".to_vec())], true),
        (vec![(FALLBACK, b"windows".to_vec())], true),
        (vec![(FALLBACK, shim.clone()), (REMOVABLE_SECOND, loader.clone())], false),
        // What a power cut has left of ours.
        (vec![(REMOVABLE_SECOND, Vec::new())], false),
        (vec![], false),
    ] {
        let theirs: Vec<(String, Vec<u8>)> =
            theirs.into_iter().map(|(path, bytes)| (path.to_string(), bytes)).collect();
        let mut machine = Machine { loader: signed(1), ..machine(theirs.clone()) };
        for version in [1, 2] {
            machine.loader = signed(version);
            machine.update().unwrap();
            assert_eq!(machine.update().unwrap().steps, [], "a second update has nothing to do");
            let own = installation().shim_program();
            assert!(starts(&machine.volume, &own, false).is_ok(), "{version}");
            if taken {
                let there: Vec<_> =
                    fallback.iter().filter_map(|path| machine.volume.files.get_key_value(*path)).collect();
                let before: Vec<_> = theirs.iter().filter(|(path, _)| fallback.contains(&&**path)).collect();
                assert_eq!(there.len(), before.len());
                assert!(before.iter().all(|(path, bytes)| machine.volume.files.get(path) == Some(bytes)), "{theirs:?}");
            } else {
                assert_eq!(starts(&machine.volume, FALLBACK, false), starts(&machine.volume, &own, false));
            }
        }
        // And without shim again: what is theirs stays, what was ours goes.
        machine.loader = None;
        machine.update().unwrap();
        assert_eq!(
            has(&machine, "EFI/BOOT/grubx64.efi"),
            taken && theirs.iter().any(|(path, _)| path == REMOVABLE_SECOND)
        );
        assert!(!has(&machine, "shimx64.efi") && !has(&machine, "mmx64.efi"));
    }
}

/// Debian's signed GRUB reads one script, and where Debian itself starts from the partition it is Debian's.
#[test]
fn the_script_of_another_system_s_signed_grub_is_not_replaced() {
    let theirs = (SIGNED_GRUB_READS.to_string(), b"search.fs_uuid 1234 root\n".to_vec());
    let mut debian = Machine { loader: Some(chain(1, true)), ..machine([theirs.clone()]) };
    let told = debian.update().unwrap_err();
    assert!(told.contains("loader: systemd-boot"), "{told}");
    assert_eq!(debian.volume.files, [theirs.clone()].into());
    // Nor is it removed when ours, elsewhere, is not wanted.
    debian.loader = None;
    debian.update().unwrap();
    assert_eq!(debian.volume.files.get(&theirs.0), Some(&theirs.1));
    // Ours is known by what it says: it is changed, and goes.
    let mut own = Machine { loader: Some(chain(1, true)), ..machine([]) };
    own.update().unwrap();
    let script = own.volume.files[SIGNED_GRUB_READS].clone();
    assert_eq!(script.len(), SECTOR);
    own.volume.files.get_mut(SIGNED_GRUB_READS).unwrap()[..3].copy_from_slice(b"# x");
    own.update().unwrap();
    assert_eq!(own.volume.files[SIGNED_GRUB_READS], script);
    own.loader = Some(LoaderProgram::Grub { efi: Some(OWN_GRUB.to_vec()) });
    own.update().unwrap();
    assert!(!has(&own, "EFI/debian"));
}

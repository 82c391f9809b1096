//! Images of generations: what is in them, what another's program says of their signature, and stubs that lie.

use std::fs;

use crate::common::signed::{bytes, image, images, loader, program, stub};
use crate::common::*;
use cairn_boot::*;
use qemu_tests::Cmd;

/// The sections of a program: name, address, and contents as they are in memory.
fn sections(program: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let half = |at: usize| usize::from(u16::from_le_bytes(program[at..at + 2].try_into().unwrap()));
    let word = |at: usize| u32::from_le_bytes(program[at..at + 4].try_into().unwrap());
    let header = word(0x3c) as usize;
    let table = header + 24 + half(header + 20);
    let one = |line: usize| {
        let name = String::from_utf8_lossy(&program[line..line + 8]).trim_end_matches('\0').to_string();
        let (len, from, room) = (word(line + 8) as usize, word(line + 20) as usize, word(line + 16) as usize);
        assert!(from + room <= program.len() && len <= room, "{name}");
        (name, word(line + 12), program[from..from + len].to_vec())
    };
    (0..half(header + 6)).map(|n| one(table + n * 40)).collect()
}

#[test]
fn an_image_has_kernel_and_initrd_and_a_command_line_for_either_time() {
    let mut generation = generation(7, "k1", "i1");
    generation.device_tree = Some(artifact("tree", 72));
    let whole = bytes(Unsigned::image(&stub(), &generation, None).unwrap().pieces());
    let found = sections(&whole);
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    let wanted =
        [".text", ".osrel", ".uname", ".cmdline", ".dtb", ".initrd", ".linux", ".profile", ".profile", ".cmdline"];
    assert_eq!(names, wanted);
    let text = |n: usize| String::from_utf8(found[n].2.clone()).unwrap();
    assert_eq!(text(3), "init=/nix/store/00000007-system/init root=UUID=1 quiet cairn.generation=7");
    assert_eq!(text(9), format!("{} cairn.trial", text(3)));
    assert_eq!(text(1), "ID=cairn\nPRETTY_NAME=\"hello\"\nVERSION_ID=7\n");
    assert_eq!(found[5].2, store_bytes(generation.initrd.as_ref().unwrap()));
    assert_eq!(found[6].2, store_bytes(&generation.kernel));
    // In memory they follow each other, each at a page of its own.
    for pair in found.windows(2) {
        let [(_, before, contents), (_, after, _)] = pair else { unreachable!() };
        assert_eq!(*after, (before + u32::try_from(contents.len()).unwrap()).next_multiple_of(4096));
    }
}

#[test]
fn what_is_signed_follows_from_what_is_in_it() {
    let id = |stub: &[u8], generation: &Generation| Unsigned::image(stub, generation, None).unwrap().id();
    let one = generation(1, "k1", "i1");
    let first = id(&stub(), &one);
    assert_eq!(first, id(&stub(), &one.clone()));
    // What the menu says of it is not in it.
    assert_eq!(first, id(&stub(), &Generation { name: "other".into(), date: "2027-01-01".into(), ..one.clone() }));
    let others = [
        id(&program(b"another .profile"), &one),
        id(&stub(), &generation(2, "k1", "i1")),
        id(&stub(), &generation(1, "k2", "i1")),
        id(&stub(), &generation(1, "k1", "i2")),
        id(&stub(), &Generation { initrd: None, ..one.clone() }),
    ];
    assert!(others.iter().all(|other| *other != first));
}

#[test]
fn entries_lead_to_images_and_say_what_is_on_trial() {
    let mut machine = Machine { own_keys: true, ..Machine::new(10 << 20) };
    machine.add(generation(2, "k1", "i1"));
    machine.update().unwrap();
    let entry = |number: u64| {
        let name = machine.menu().into_iter().find(|name| name.contains(&format!("-{number}-"))).unwrap();
        let text = String::from_utf8(machine.volume.files[&format!("loader/entries/{name}")].clone()).unwrap();
        (name, text)
    };
    let ((good, good_text), (trial, trial_text)) = (entry(1), entry(2));
    assert!(!good.contains('+') && !good_text.contains("options"), "{good_text}");
    assert!(trial.ends_with("+3.conf") && trial_text.contains("\noptions @1\n"), "{trial}: {trial_text}");
    assert_eq!(machine.menu(), [trial, good]);
    for (text, number) in [(good_text, 1), (trial_text, 2)] {
        let path = text.lines().find_map(|line| line.strip_prefix("efi /")).unwrap();
        assert!(path.starts_with(&installation().folder()) && path.ends_with("-image.efi"), "{path}");
        assert_eq!(machine.volume.files[path], bytes(&image(&generation(number, "k1", "i1")).pieces));
        assert!(!text.contains("linux"), "{text}");
    }
    let conf = String::from_utf8(machine.volume.files["loader/loader.conf"].clone()).unwrap();
    assert!(conf.contains("\nsecure-boot-enroll if-safe\n"), "{conf}");
    let kernels = machine.volume.files.keys().filter(|path| path.ends_with("-linux") || path.ends_with("-initrd"));
    assert_eq!(kernels.count(), 0);
    for (path, contents) in images(&machine.generations).enrolled {
        assert_eq!(machine.volume.files[path], contents);
    }
    // A generation that nobody has signed has no entry, and no set is without it.
    let without = Images { generations: Default::default(), enrolled: Vec::new() };
    let error = machine.menu_of(|menu| Menu { images: Some(&without), ..*menu }.boot_set(&Present::default()));
    assert!(matches!(error, Err(SetError::NotSigned(1))));

    machine.own_keys = false;
    machine.update().unwrap();
    assert!(machine.volume.files.keys().all(|path| !path.contains("loader/keys") && !path.ends_with(".efi.new")));
    assert!(!machine.volume.files.keys().any(|path| path.ends_with("-image.efi")));
}

#[test]
fn keys_of_another_system_stay() {
    let mut machine = Machine { own_keys: true, ..Machine::new(10 << 20) };
    machine.volume.files.insert(ENROLLED[0].into(), b"somebody else's".into());
    assert_eq!(machine.plan(), Err(PlanError::Foreign(ENROLLED[0].into())));
}

/// Keys that openssl draws; nothing where there is none, or no sbsigntool.
fn keys() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let request = ["req", "-new", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=mine", "-keyout"];
    let drawn = Cmd::new("openssl").args(request).arg(at("key")).arg("-out").arg(at("crt")).ok();
    let there = Cmd::new("sbverify").arg("--version").ok();
    match drawn.and(there) {
        Ok(_) => Some(folder),
        Err(why) => {
            cairn_testkit::skip(format!("`apt-get install openssl sbsigntool` brings what signs: {why:#}"));
            None
        }
    }
}

#[test]
fn others_find_the_signature_and_what_was_changed_behind_it() {
    let Some(folder) = keys() else { return };
    let at = |name: &str| folder.path().join(name);
    let mut generation = generation(1, "k1", "i1");
    // Neither ends where a section does.
    generation.kernel = artifact("odd", 20_001);
    let programs = [
        Unsigned::image(&stub(), &generation, None).unwrap(),
        Unsigned::program(program(b"a loader")).unwrap(),
        Unsigned::program([program(b"a loader"), vec![7; 13]].concat()).unwrap(),
    ];
    for unsigned in programs {
        fs::write(at("image"), bytes(unsigned.pieces())).unwrap();
        let sign = Cmd::new("sbsign").arg("--key").arg(at("key")).arg("--cert").arg(at("crt")).arg("--detached");
        sign.arg("--output").arg(at("signature")).arg(at("image")).ok().unwrap();
        let signed = unsigned.signed(&fs::read(at("signature")).unwrap());
        let whole = bytes(&signed.pieces);
        assert_eq!(whole.len() as u64, signed.size);
        let verify = |bytes: &[u8]| {
            fs::write(at("signed"), bytes).unwrap();
            Cmd::new("sbverify").arg("--cert").arg(at("crt")).arg(at("signed")).ok()
        };
        verify(&whole).unwrap();
        for place in [0x200, whole.len() / 3, usize::try_from(signed.size).unwrap() - 2000] {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            verify(&changed).unwrap_err();
        }
        // What is signed is not signed again.
        assert_eq!(Unsigned::program(whole.clone()).unwrap_err(), ImageError::NoProgram);
    }
}

#[test]
fn a_stub_that_lies_makes_no_image() {
    let generation = generation(1, "k1", "i1");
    let make = |stub: &[u8]| Unsigned::image(stub, &generation, None);
    let whole = stub();
    for len in 0..whole.len() {
        let _ = make(&whole[..len]);
        let _ = Unsigned::program(whole[..len].to_vec());
    }
    assert_eq!(make(&program(b"an old one")), Err(ImageError::NoProfiles));
    for at in 0..1024 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            for many in [1, 2, 4] {
                let mut other = whole.clone();
                other[at..(at + many).min(1024)].fill(value);
                if let Ok(made) = make(&other) {
                    // Whatever it says, there is no more than was asked for.
                    let size: u64 = made.pieces().iter().map(Piece::len).sum();
                    assert!(size < 8 << 20, "{at} {value}: {size}");
                }
            }
        }
    }
    // No room between the table and what comes first.
    let mut crowded = whole.clone();
    crowded[0x80 + 24 + 240 + 20..][..4].copy_from_slice(&512_u32.to_le_bytes());
    assert_eq!(make(&crowded), Err(ImageError::NoRoom(8)));
    let huge = Generation { kernel: Artifact { size: 3 << 30, ..generation.kernel.clone() }, ..generation.clone() };
    assert_eq!(Unsigned::image(&whole, &huge, None), Err(ImageError::TooLarge));
    assert!(loader(&artifact("loader", 9000)).size > 9000);
}

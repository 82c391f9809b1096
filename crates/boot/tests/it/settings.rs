//! What a machine file says of the menu stands in the loader's own files: each setting, each extra entry, the memory test, and
//! how often a new generation is tried.

use crate::common::*;
use bootloader_templates::grub::EnvBlock;
use cairn_boot::*;
use cairn_machine::model::{self, Boot, BootEntry, ConsoleMode};

const ROOMY: u64 = 10 << 20;

/// A machine with one of the loaders and the memory test, brought up to date as often as is asked for.
struct Menued {
    machine: Machine,
    program: LoaderProgram,
    memtest: MemtestPrograms,
}

impl Menued {
    fn new(program: LoaderProgram) -> Menued {
        let memtest = MemtestPrograms { bios: Some(artifact("bios", 100)), efi: Some(artifact("efi", 200)) };
        Menued { machine: Machine::new(ROOMY), program, memtest }
    }

    fn systemd_boot() -> Menued {
        Menued::new(LoaderProgram::SystemdBoot(artifact("loader", 9000)))
    }

    fn grub() -> Menued {
        Menued::new(LoaderProgram::Grub { efi: None })
    }

    fn update(&mut self) {
        let machine = &self.machine;
        let update = machine.menu_with(&self.program, Some(&self.memtest), None, |menu| {
            let fixed = menu.fixed_paths().unwrap();
            let volume = Partitions { esp: Some(&machine.volume), boot: None };
            menu.plan(&survey(volume, installation(), &fixed).unwrap()).unwrap().1
        });
        let mut target = Target { esp: Some(&mut self.machine.volume), boot: None };
        apply(&update, &mut target, &open, &mut |_| ()).unwrap();
    }

    /// The one file whose path has this in it.
    fn file(&self, part: &str) -> String {
        let found: Vec<_> = self.machine.volume.files.iter().filter(|(path, _)| path.contains(part)).collect();
        assert_eq!(found.len(), 1, "{part}: {:?}", self.machine.volume.files.keys());
        String::from_utf8(found[0].1.clone()).unwrap()
    }

    /// GRUB's menu, which is named by what is in it.
    fn menu(&self) -> String {
        let mut files = self.machine.volume.files.iter();
        let (_, bytes) = files.find(|(path, _)| path.contains("/menu-") && path.ends_with(".cfg")).unwrap();
        String::from_utf8(bytes.clone()).unwrap()
    }

    fn block(&self) -> EnvBlock {
        EnvBlock::parse(self.file("/grubenv").as_bytes()).unwrap()
    }

    fn set_block(&mut self, block: &EnvBlock) {
        let path = self.machine.volume.files.keys().find(|path| path.ends_with("/grubenv")).unwrap().clone();
        self.machine.volume.files.insert(path, block.to_bytes().unwrap().to_vec());
    }
}

#[test]
fn each_setting_is_in_systemd_boot_s_own_file() {
    let lines = |boot: Boot| {
        let mut menued = Menued::systemd_boot();
        menued.machine.boot = boot;
        menued.update();
        let text = menued.file("loader/loader.conf");
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_string).collect::<Vec<_>>()
    };
    let plain = Boot {
        timeout: 7,
        editor: false,
        other_systems: false,
        firmware_setup: false,
        console_mode: None,
        ..Boot::default()
    };
    assert_eq!(lines(plain.clone()), ["timeout 7", "editor no", "auto-entries no", "auto-firmware no"]);
    let one = |change: &dyn Fn(&mut Boot)| {
        let mut boot = plain.clone();
        change(&mut boot);
        lines(boot)
    };
    assert_eq!(one(&|b| b.editor = true)[1], "editor yes");
    assert_eq!(one(&|b| b.other_systems = true)[2], "auto-entries yes");
    assert_eq!(one(&|b| b.firmware_setup = true)[3], "auto-firmware yes");
    assert_eq!(one(&|b| b.menu = model::Menu::Hidden)[0], "timeout menu-hidden");
    assert_eq!(one(&|b| b.menu = model::Menu::Wait)[0], "timeout menu-force");
    for (mode, word) in [
        (ConsoleMode::Keep, "keep"),
        (ConsoleMode::Auto, "auto"),
        (ConsoleMode::Max, "max"),
        (ConsoleMode::Mode0, "0"),
        (ConsoleMode::Mode1, "1"),
        (ConsoleMode::Mode2, "2"),
    ] {
        assert_eq!(one(&|b| b.console_mode = Some(mode))[1], format!("console-mode {word}"));
    }
}

#[test]
fn extra_entries_and_the_memory_test_are_entries_of_systemd_boot() {
    let mut menued = Menued::systemd_boot();
    let shell = BootEntry { efi: Some("EFI/shell.efi".into()), options: vec!["-v".into()], ..BootEntry::default() };
    let rescue = BootEntry {
        title: Some("Rescue me".into()),
        linux: Some("rescue/vmlinuz".into()),
        initrd: vec!["rescue/microcode".into(), "rescue/initrd".into()],
        options: vec!["ro".into(), "single".into()],
        ..BootEntry::default()
    };
    menued.machine.boot.entries.extend([("shell".to_string(), shell), ("rescue".to_string(), rescue)]);
    menued.update();
    assert_eq!(menued.file("-x-shell-"), "title shell\nsort-key cairn-x\noptions -v\nefi /EFI/shell.efi\n");
    assert_eq!(
        menued.file("-x-rescue-"),
        "title Rescue me\nversion rescue\nsort-key cairn-x\ninitrd /rescue/microcode\ninitrd /rescue/initrd\n\
         options ro single\nlinux /rescue/vmlinuz\n"
    );
    let program = menued.machine.volume.files.keys().find(|path| path.ends_with("-memtest.efi")).unwrap();
    assert_eq!(menued.machine.volume.files[program], store_bytes(menued.memtest.efi.as_ref().unwrap()));
    assert_eq!(menued.file("-x-memtest-"), format!("title Memory test\nsort-key cairn-y\nefi /{program}\n"));
    assert!(!menued.machine.volume.files.keys().any(|path| path.ends_with("-memtest.bin")), "a program for BIOS");
}

#[test]
fn grub_has_a_memory_test_for_each_firmware() {
    let mut menued = Menued::grub();
    menued.update();
    let menu = menued.menu();
    for (ending, artifact) in [("bin", &menued.memtest.bios), ("efi", &menued.memtest.efi)] {
        let mut files = menued.machine.volume.files.iter();
        let (path, bytes) = files.find(|(path, _)| path.ends_with(&format!("-memtest.{ending}"))).unwrap();
        assert_eq!(*bytes, store_bytes(artifact.as_ref().unwrap()));
        assert!(menu.contains(&format!("/{path}")), "{menu}");
    }
}

#[test]
fn grub_counts_the_tries_of_a_new_generation() {
    let mut menued = Menued::grub();
    menued.machine.boot.tries = 3;
    menued.update();
    assert_eq!(menued.block().trial(), None);
    menued.machine.add(generation(2, "k2", "i2"));
    menued.update();
    let first = "2-00000002";
    assert_eq!(menued.block().trial(), Some((first, 3)));
    // GRUB has counted one down: the count goes on, whatever else is brought up to date.
    let mut block = menued.block();
    block.arm(first, 1);
    menued.set_block(&block);
    menued.machine.boot.timeout = 9;
    menued.update();
    assert_eq!(menued.block().trial(), Some((first, 1)));
    // One that is used up belongs to an earlier trial, and so does another generation's.
    for (key, left) in [(first, 0), ("1-00000001", 1)] {
        block.arm(key, left);
        menued.set_block(&block);
        menued.update();
        assert_eq!(menued.block().trial(), Some((first, 3)), "{key} {left}");
    }
    // The one that is tried, and no other, ends in a restart when anything goes wrong.
    let of = |menu: &str, number: u64| -> Vec<bool> {
        let init = format!("'init=/nix/store/{number:08}-system/init'");
        menu.lines().filter(|line| line.contains(&init)).map(|line| line.contains("'cairn.trial'")).collect()
    };
    let menu = menued.menu();
    assert!(!of(&menu, 1).is_empty() && of(&menu, 1).iter().all(|trial| !trial), "{menu}");
    assert!(!of(&menu, 2).is_empty() && of(&menu, 2).iter().all(|trial| *trial), "{menu}");
    menued.machine.record.booted_well(2);
    menued.update();
    assert_eq!(menued.block().trial(), None);
    let menu = menued.menu();
    assert!(of(&menu, 2).iter().all(|trial| !trial), "{menu}");
    // A number that is none of the machine file's is one try, or as many as there may be.
    for (tries, armed) in [(1, 1), (9, 9), (300, 9)] {
        let mut menued = Menued::grub();
        menued.machine.boot.tries = tries;
        menued.machine.add(generation(2, "k2", "i2"));
        menued.update();
        assert_eq!(menued.block().trial().map(|(_, left)| left), Some(armed), "{tries}");
    }
}

#[test]
fn each_loader_has_its_own_place_for_its_program() {
    let own = |program: LoaderProgram| program.own_path(installation(), false);
    assert_eq!(own(LoaderProgram::SystemdBoot(artifact("l", 1))), "EFI/systemd/systemd-bootx64.efi");
    let grub = own(LoaderProgram::Grub { efi: None });
    assert_eq!(grub, installation().grub_program());
    assert!(grub.starts_with("EFI/") && grub.ends_with(".efi"), "{grub}");
}

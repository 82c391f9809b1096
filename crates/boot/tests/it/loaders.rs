//! What both loaders get of variants, entries of the owner's own, and choices that count once or until the next word.

use crate::common::*;
use bootloader_templates::grub::EnvBlock;
use cairn_boot::*;
use cairn_machine::model::BootEntry;

/// A machine with GRUB on an empty partition.
struct Grub {
    machine: Machine,
    once: Option<u64>,
    efi: Option<Vec<u8>>,
}

impl Grub {
    fn new() -> Grub {
        let mut machine = Machine::new(10 << 20);
        machine.boot.remember = true;
        machine.add(generation(2, "k2", "i2"));
        machine.record.booted_well(2);
        Grub { machine, once: None, efi: None }
    }

    fn plan(&mut self) -> Update {
        let (machine, once) = (&self.machine, self.once.take());
        machine.menu_with(&LoaderProgram::Grub { efi: self.efi.clone() }, None, once, |menu| {
            let fixed = menu.fixed_paths().unwrap();
            let volume = Partitions { esp: Some(&machine.volume), boot: None };
            menu.plan(&survey(volume, installation(), &fixed).unwrap()).unwrap().1
        })
    }

    fn update(&mut self) {
        let update = self.plan();
        let mut target = Target { esp: Some(&mut self.machine.volume), boot: None };
        apply(&update, &mut target, &open, &mut |_| ()).unwrap();
    }

    fn file(&self, ending: &str) -> String {
        let folder = format!("cairn/{}/grub/", installation().mark());
        let mut files = self.machine.volume.files.iter();
        let found =
            files.find(|(path, _)| path.starts_with(&folder) && path.ends_with(ending) && !path.ends_with("grub.cfg"));
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    }

    fn block(&self) -> EnvBlock {
        EnvBlock::parse(self.file("grubenv").as_bytes()).unwrap()
    }

    /// GRUB, or one of its tools, sets a variable.
    fn set(&mut self, name: &str, value: &str) {
        let mut block = self.block();
        block.set(name, value);
        let path = format!("cairn/{}/grub/grubenv", installation().mark());
        self.machine.volume.files.insert(path, block.to_bytes().unwrap().to_vec());
    }
}

fn variant(name: &str) -> Variant {
    let of = generation(9, "k9", "i9");
    let mut bootspec = of.bootspec;
    bootspec.init = format!("/nix/store/{name}/init").into();
    Variant { name: name.into(), bootspec, kernel: of.kernel, initrd: of.initrd, device_tree: None }
}

#[test]
fn a_variant_has_an_entry_behind_its_generation_and_is_never_the_default() {
    let mut machine = Machine::new(10 << 20);
    machine.generations[0].variants = vec![variant("text")];
    let mut new = generation(2, "k2", "i2");
    new.variants = vec![variant("text"), variant("Low Power")];
    machine.add(new);
    machine.update().unwrap();
    let mark = installation().mark();
    let short = |name: &String| {
        let name = name.trim_start_matches(&format!("cairn-{mark}-")).trim_end_matches(".conf");
        // Without the hash.
        let (name, rest) = name.rsplit_once('-').unwrap();
        format!("{name}{}", rest.split_once('+').map(|(_, c)| format!("+{c}")).unwrap_or_default())
    };
    let names = |machine: &Machine| machine.menu().iter().map(short).collect::<Vec<_>>();
    // The trial, then what is good and its variant, then what nobody has tried.
    assert_eq!(names(&machine)[0], "2+3");
    assert_eq!(names(&machine)[1], "1");
    machine.record.booted_well(2);
    machine.update().unwrap();
    let all = names(&machine);
    assert_eq!((all[0].as_str(), all.len()), ("2", 5), "{all:?}");
    let text = |part: &str| {
        let mut files = machine.volume.files.iter();
        let (_, bytes) = files.find(|(path, _)| path.contains(part)).unwrap();
        String::from_utf8(bytes.clone()).unwrap()
    };
    let entry = text("-2-low-power-");
    assert!(
        entry.starts_with("title hello, generation 2 (Linux 6.12.107, 2026-11-15) (Low Power)\nversion 2~Low-Power\n"),
        "{entry}"
    );
    assert!(entry.contains("init=/nix/store/Low Power/init") && !entry.contains("cairn.trial"), "{entry}");
    // They are no entries of generations that could be taken for good ones.
    assert_eq!(machine.survey().unwrap().entries.len(), 2);
    // And they go with it.
    machine.generations.remove(0);
    machine.record.keep_only(&[2].into());
    machine.update().unwrap();
    assert_eq!(names(&machine).len(), 3);
}

#[test]
fn entries_name_their_device_trees_which_go_with_them() {
    let mut machine = Machine::new(10 << 20);
    let mut new = generation(2, "k2", "i2");
    new.device_tree = Some(artifact("board.dtb", 700));
    let mut other = variant("text");
    other.device_tree = Some(artifact("other.dtb", 900));
    new.variants = vec![other];
    machine.add(new);
    machine.update().unwrap();
    let named: Vec<String> = machine
        .volume
        .files
        .iter()
        .filter(|(path, _)| path.starts_with("loader/entries/"))
        .filter_map(|(_, text)| {
            let text = String::from_utf8(text.clone()).unwrap();
            Some(text.lines().find_map(|line| line.strip_prefix("devicetree /"))?.to_string())
        })
        .collect();
    assert_eq!(named.len(), 2);
    let mut sizes: Vec<usize> = named.iter().map(|path| machine.volume.files[path].len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [700, 900]);
    // Nothing is left of them when the generation goes.
    machine.generations.pop();
    machine.record.keep_only(&[1].into());
    machine.update().unwrap();
    assert!(!machine.volume.files.keys().any(|path| path.ends_with(".dtb")));
}

#[test]
fn grub_has_variants_and_several_initrds() {
    let mut grub = Grub::new();
    grub.machine.generations[1].variants = vec![variant("text"), variant("text")];
    let entry = BootEntry {
        linux: Some("old/vmlinuz".into()),
        initrd: vec!["old/microcode".into(), "old/initrd".into()],
        ..BootEntry::default()
    };
    grub.machine.boot.entries.insert("old".into(), entry);
    grub.update();
    let menu = grub.file(".cfg");
    assert!(menu.contains("generation 2 (Linux 6.12.107, 2026-11-15) (text)'"), "{menu}");
    // At the top for the generation that boots by itself, and in the list of all.
    let of_variant: Vec<&str> = menu.lines().filter(|line| line.contains("'init=/nix/store/text/init'")).collect();
    assert_eq!(of_variant.len(), 2);
    assert!(of_variant.iter().all(|line| !line.contains("cairn.trial")), "{menu}");
    assert!(menu.contains("if initrd '/old/microcode' '/old/initrd'; then boot; fi"), "{menu}");
}

/// As long as nobody knows whether a generation boots, its variants are tries too.
#[test]
fn a_variant_of_a_trial_is_a_trial() {
    let mut grub = Grub::new();
    let mut new = generation(3, "k3", "i3");
    new.variants = vec![variant("text")];
    grub.machine.add(new);
    grub.update();
    let menu = grub.file(".cfg");
    let of_variant: Vec<&str> = menu.lines().filter(|line| line.contains("'init=/nix/store/text/init'")).collect();
    assert!(!of_variant.is_empty() && of_variant.iter().all(|line| line.contains("cairn.trial")), "{menu}");
}

#[test]
fn what_was_chosen_in_the_menu_counts_until_the_next_word() {
    let mut grub = Grub::new();
    grub.update();
    grub.set("saved_entry", "cairn-all>1-00000001");
    grub.update();
    assert_eq!(grub.block().get("saved_entry"), Some("cairn-all>1-00000001"));
    // Somebody wants the one that would have booted anyway.
    grub.machine.record.want(2);
    grub.update();
    assert_eq!(grub.block().get("saved_entry"), None);
    grub.set("saved_entry", "cairn-all>1-00000001");
    grub.machine.boot.remember = false;
    grub.update();
    assert_eq!((grub.block().get("saved_entry"), grub.block().get("cairn_said")), (None, None));
}

#[test]
fn one_start_is_one_start() {
    let mut grub = Grub::new();
    grub.update();
    grub.once = Some(1);
    grub.update();
    assert_eq!(grub.block().get("next_entry"), Some("cairn-all>1-00000001"));
    grub.update();
    assert_eq!(grub.block().get("next_entry"), Some("cairn-all>1-00000001"), "until GRUB has taken it");
    assert!(grub.file(".cfg").contains(" --id '1-00000001' "));
    // As grub-reboot does it.
    grub.set("next_entry", "extra-old");
    grub.update();
    assert_eq!(grub.block().get("next_entry"), Some("extra-old"));
}

#[test]
fn the_first_pointer_to_a_menu_comes_after_the_menu() {
    let mut grub = Grub::new();
    let folder = format!("cairn/{}/grub/", installation().mark());
    let steps = grub.plan().steps;
    let made = |name: &dyn Fn(&str) -> bool| {
        let is =
            |step: &Step| matches!(step, Step::Create { path, .. } if path.strip_prefix(&folder).is_some_and(name));
        (steps.iter().position(is).unwrap(), steps.iter().rposition(is).unwrap())
    };
    let (_, menu) = made(&|name| name != "grub.cfg" && name.ends_with(".cfg"));
    let (pointer, _) = made(&|name| name == "grub.cfg");
    assert!(menu < pointer && steps[menu..pointer].contains(&Step::Barrier), "{steps:?}");
}

#[test]
fn what_lies_beside_a_program_of_our_own_goes_by_itself_or_with_the_replacing() {
    let mut grub = Grub::new();
    grub.efi = Some(b"the first program".to_vec());
    grub.update();
    let program = installation().grub_program();
    let left = format!("{program}.new");
    assert!(grub.machine.volume.files.contains_key(&program));
    grub.machine.volume.files.insert(left.clone(), b"half".to_vec());
    let is_removed =
        |update: &Update| update.steps.iter().any(|s| matches!(s, Step::Remove { path, .. } if *path == left));
    assert!(is_removed(&grub.plan()), "nobody else needs it");
    grub.efi = Some(b"the second program".to_vec());
    let update = grub.plan();
    assert!(update.steps.iter().any(|s| matches!(s, Step::Replace { path, .. } if *path == program)));
    assert!(!is_removed(&update), "{:?}", update.steps);
}

//! A machine with an EFI system partition and another one for entries and kernels (XBOOTLDR): the same changes, cut off before
//! every write to either.

use std::cell::Cell;
use std::io::{self, Read};

use crate::common::changes::{CHANGES, start};
use crate::common::*;
use cairn_boot::*;

/// Both partitions lose their power at the same moment.
#[derive(Debug)]
struct Powered<'a> {
    volume: &'a mut Memory,
    name: &'static str,
    writes: &'a Cell<usize>,
    cut: usize,
    said: &'a std::cell::RefCell<Vec<String>>,
}

impl Powered<'_> {
    fn write(&mut self, what: &str) -> io::Result<()> {
        self.writes.set(self.writes.get() + 1);
        if self.writes.get() >= self.cut {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.said.borrow_mut().push(format!("{} {what}", self.name));
        Ok(())
    }
}

impl ReadVolume for Powered<'_> {
    fn list(&self, directory: &str) -> io::Result<Vec<(String, Kind)>> {
        self.volume.list(directory)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        self.volume.open(path)
    }

    fn space(&self) -> io::Result<Space> {
        self.volume.space()
    }
}

impl Volume for Powered<'_> {
    fn create(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        self.write(path)?;
        self.volume.create(path, contents, len)
    }

    fn replace(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        self.write(path)?;
        self.volume.replace(path, contents, len)
    }

    fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(path)?;
        self.volume.overwrite(path, bytes)
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.write(path)?;
        self.volume.remove(path)
    }

    fn barrier(&mut self) -> io::Result<()> {
        self.said.borrow_mut().push(format!("{} barrier", self.name));
        self.volume.barrier()
    }
}

/// A machine whose `volume` is the partition with entries and kernels, and its EFI system partition.
struct Two {
    machine: Machine,
    esp: Memory,
}

impl Two {
    fn start(change: &str) -> Two {
        // What one partition has is what both have together.
        let one = start(change);
        let mut two = Two { machine: one.clone(), esp: Memory::new(one.volume.capacity) };
        let (esp, boot) = one
            .volume
            .files
            .into_iter()
            .partition(|(path, _)| !path.starts_with("cairn/") && !path.starts_with("loader/entries"));
        (two.esp.files, two.machine.volume.files) = (esp, boot);
        two.update(usize::MAX).unwrap();
        assert_eq!(two.update(usize::MAX).unwrap(), [""; 0], "a second update has nothing to do");
        two
    }

    fn menu<T>(&self, ask: impl FnOnce(&Menu<'_>) -> T) -> T {
        self.machine.menu_of(|menu| ask(&Menu { two_partitions: true, ..*menu }))
    }

    /// What was done, in order.
    fn update(&mut self, cut: usize) -> Result<Vec<String>, String> {
        let fixed = self.menu(|menu| menu.fixed_paths().unwrap());
        let partitions = Partitions { esp: Some(&self.esp), boot: Some(&self.machine.volume) };
        let present = survey(partitions, installation(), &fixed).map_err(|e| e.to_string())?;
        let (_, plan) = self.menu(|menu| menu.plan(&present)).map_err(|e| e.to_string())?;
        let (writes, said) = (Cell::new(0), std::cell::RefCell::new(Vec::new()));
        let mut esp = Powered { volume: &mut self.esp, name: "esp", writes: &writes, cut, said: &said };
        let mut boot = Powered { volume: &mut self.machine.volume, name: "boot", writes: &writes, cut, said: &said };
        let mut target = Target { esp: Some(&mut esp), boot: Some(&mut boot) };
        apply(&plan, &mut target, &open, &mut |_| ()).map_err(|e| e.to_string())?;
        Ok(said.into_inner())
    }
}

#[test]
fn a_power_cut_before_any_write_to_either_leaves_a_machine_that_boots() {
    for (name, change, good) in CHANGES {
        // There the room on the one partition decides.
        if name.contains("room") {
            continue;
        }
        let mut changed = Two::start(name);
        change(&mut changed.machine);
        let mut whole = Two { machine: changed.machine.clone(), esp: changed.esp.clone() };
        let writes = whole.update(usize::MAX).unwrap().iter().filter(|step| !step.ends_with("barrier")).count();
        assert!(writes > 0, "{name} changes nothing");
        for cut in 1..=writes {
            let mut two = Two { machine: changed.machine.clone(), esp: changed.esp.clone() };
            two.update(cut).unwrap_err();
            assert!(is_safe(&two.machine, good), "{name}, {cut}: {:?}", two.machine.menu());
            assert_eq!(broken_entries(&two.machine), [""; 0], "{name}, {cut}");
            two.update(usize::MAX).unwrap_or_else(|e| panic!("{name}, {cut}, again: {e}"));
            assert_eq!(two.machine.volume.files, whole.machine.volume.files, "{name}, {cut}: another run completes it");
        }
    }
}

#[test]
fn loader_and_settings_are_on_the_one_and_entries_and_kernels_on_the_other() {
    let two = Two::start("");
    assert!(two.esp.files.contains_key("EFI/BOOT/BOOTX64.EFI") && two.esp.files.contains_key("loader/loader.conf"));
    assert!(!two.esp.files.keys().any(|path| path.starts_with("cairn/") || path.ends_with("-linux")));
    assert!(two.machine.volume.files.keys().any(|path| path.ends_with("-linux")));
    assert!(!two.machine.volume.files.keys().any(|path| path.starts_with("EFI/")));
    assert_eq!(two.machine.menu().len(), 3);
}

#[test]
fn everything_before_is_waited_for_on_both_kernels_first() {
    let mut two = Two::start("");
    two.machine.add(generation(4, "k4", "i4"));
    two.machine.program = artifact("loader-2", 9100);
    let done = two.update(usize::MAX).unwrap();
    let waited: Vec<usize> = (0..done.len()).filter(|n| done[*n] == "boot barrier").collect();
    assert!(!waited.is_empty(), "{done:?}");
    assert!(waited.iter().all(|n| done[n + 1] == "esp barrier"), "{done:?}");
    assert_eq!(done.iter().filter(|step| *step == "esp barrier").count(), waited.len());
}

#[test]
fn a_full_partition_is_told_whichever_it_is() {
    for full in ["esp", "boot"] {
        let mut two = Two::start("");
        two.machine.add(generation(4, "k4", "i4"));
        two.machine.program = artifact("loader-2", 90_000);
        let volume = if full == "esp" { &mut two.esp } else { &mut two.machine.volume };
        volume.capacity = volume.used();
        let before = (two.esp.files.clone(), two.machine.volume.files.clone());
        let error = two.update(usize::MAX).unwrap_err();
        assert!(error.contains("the boot partition has nothing free"), "{full}: {error}");
        assert_eq!((two.esp.files, two.machine.volume.files), before, "{full}: something was written");
    }
}

#[test]
fn what_goes_on_the_one_makes_no_room_on_the_other() {
    let mut two = Two::start("");
    two.machine.add(generation(4, "k4", "i4"));
    two.machine.volume.capacity = two.machine.volume.used();
    let program = installation().grub_program();
    two.esp.files.insert(format!("{program}.old"), vec![0; 1 << 20]);
    two.esp.capacity += 2 << 20;
    let before = (two.esp.files.clone(), two.machine.volume.files.clone());
    let error = two.update(usize::MAX).unwrap_err();
    assert!(error.contains("the boot partition has nothing free"), "{error}");
    assert_eq!((two.esp.files, two.machine.volume.files), before, "something was written");
}

#[test]
fn a_left_over_shares_nothing_with_a_file_of_the_other_partition() {
    let mut two = Two::start("");
    let kernel = two.machine.volume.files.keys().find(|path| path.ends_with("-linux")).unwrap().clone();
    let (twin, other) = (format!("{kernel}.new"), format!("{kernel}-1.new"));
    let (kernel, program) = (two.machine.volume.files[&kernel].clone(), two.esp.files["EFI/BOOT/BOOTX64.EFI"].clone());
    two.machine.volume.files.insert(twin.clone(), kernel);
    two.machine.volume.files.insert(other.clone(), program);
    two.update(usize::MAX).unwrap();
    assert!(two.machine.volume.files.contains_key(&twin), "it may be a second name");
    assert!(!two.machine.volume.files.contains_key(&other), "it is whole on the other partition only");
}

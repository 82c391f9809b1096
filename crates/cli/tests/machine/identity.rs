//! Which partition is the machine's: disks of two file systems, mounted by loop devices as somebody would who mends a machine
//! from elsewhere, and other things that can be mounted in the boot partition's place.

use std::fs;
use std::path::{Path, PathBuf};

use cairn_process::Tool;
use nix::mount::{MsFlags, mount, umount};

use crate::made::{Made, Ran, SystemOf, cairn};

/// Where the second file system begins, in bytes.
const SECOND: u64 = 48 << 20;
const BYTES: u64 = 128 << 20;

/// A disk in a file: a boot partition, then a root. There is no table: they are mounted by their offsets.
struct Disk {
    image: PathBuf,
}

impl Disk {
    fn new(image: PathBuf) -> Disk {
        fs::File::create_new(&image).unwrap().set_len(BYTES).unwrap();
        for (offset, bytes) in [(0, SECOND), (SECOND, BYTES - SECOND)] {
            let tool = Tool::new("mkfs.ext4", "e2fsprogs", "make a file system").args(["-q", "-F", "-E"]);
            tool.arg(format!("offset={offset}")).arg(&image).arg(format!("{}k", bytes / 1024)).run().unwrap();
        }
        Disk { image }
    }

    fn mount(&self, second: bool, at: &Path) {
        fs::create_dir_all(at).unwrap();
        let (offset, bytes) = if second { (SECOND, BYTES - SECOND) } else { (0, SECOND) };
        let tool = Tool::new("mount", "mount", "mount a file system").args(["-t", "ext4", "-o"]);
        tool.arg(format!("loop,offset={offset},sizelimit={bytes}")).arg(&self.image).arg(at).run().unwrap();
    }
}

/// Unmounts, the last one first, also when a test fails.
struct Mounted(Vec<PathBuf>);

impl Drop for Mounted {
    fn drop(&mut self) {
        while let Some(place) = self.0.pop() {
            let _ = umount(&place);
        }
    }
}

fn run(root: &Path, args: &[&str]) -> Ran {
    let mut all = args.to_vec();
    all.extend(["--root", root.to_str().unwrap()]);
    cairn(&all)
}

fn put_machine(made: &Made, root: &Path) {
    let copy = Tool::new("cp", "coreutils", "copy a machine").arg("-a");
    copy.args(["nix", "var", "proc", "run"].map(|part| made.root().join(part))).arg(root).run().unwrap();
    fs::create_dir_all(root.join("boot")).unwrap();
}

const LOOKS: [&[&str]; 1] = [&["boot", "check"]];
const CHANGES: [&[&str]; 3] = [&["boot", "repair"], &["rollback", "1"], &["gc", "--keep", "1"]];

#[test]
fn the_boot_partition_is_the_one_of_the_machine_s_own_disk() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")]) else { return };
    let top = made.root().join("disks");
    fs::create_dir(&top).unwrap();
    let (own, other) = (Disk::new(top.join("own.raw")), Disk::new(top.join("other.raw")));
    let (root, victim) = (top.join("root"), top.join("victim"));
    let boot = root.join("boot");
    let _mounted = Mounted(vec![victim.clone(), root.clone(), boot.clone()]);
    other.mount(false, &victim);
    fs::create_dir_all(victim.join("EFI/BOOT")).unwrap();
    fs::write(victim.join("EFI/BOOT/BOOTX64.EFI"), "the host's own").unwrap();
    own.mount(true, &root);
    put_machine(&made, &root);

    let refused = |why: &str| {
        for args in CHANGES.iter().chain(&LOOKS) {
            run(&root, args).refused(why);
        }
        let names: Vec<_> = fs::read_dir(&victim).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "EFI and lost+found: {names:?}");
        assert_eq!(fs::read_to_string(victim.join("EFI/BOOT/BOOTX64.EFI")).unwrap(), "the host's own");
    };
    refused("the boot partition is not mounted at");
    // Another disk's, as a rescue system's own /boot would be.
    mount(Some(&victim), &boot, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    refused("that is not this machine's boot partition");
    umount(&boot).unwrap();
    mount(Some("none"), &boot, Some("tmpfs"), MsFlags::empty(), Some("size=64m")).unwrap();
    refused("is a tmpfs that is on no disk");
    umount(&boot).unwrap();
    // A link instead of the folder, to wherever.
    fs::remove_dir(&boot).unwrap();
    for target in [victim.clone(), PathBuf::from("../victim"), PathBuf::from("/nix")] {
        std::os::unix::fs::symlink(&target, &boot).unwrap();
        for args in CHANGES.iter().chain(&LOOKS) {
            run(&root, args).refused("is no folder: a link, perhaps");
        }
        fs::remove_file(&boot).unwrap();
    }
    assert_eq!(fs::read_to_string(victim.join("EFI/BOOT/BOOTX64.EFI")).unwrap(), "the host's own");

    own.mount(false, &boot);
    run(&root, &["boot", "repair"]).done();
    run(&root, &["boot", "check"]).done();
    run(&root, &["rollback", "1"]).done();
    assert!(boot.join("EFI/BOOT/BOOTX64.EFI").is_file());
}

#[test]
fn a_folder_on_somebody_s_disk_does_not_make_that_disk_s_boot_partition_its_own() {
    let Some(made) = Made::mounted(&[SystemOf::named("one")]) else { return };
    let top = made.root().join("disks");
    fs::create_dir(&top).unwrap();
    // The disk is the host's: its root has an unpacked machine in a folder, and its boot partition is mounted there.
    let host = Disk::new(top.join("host.raw"));
    let (root, seen) = (top.join("host"), top.join("seen"));
    let machine = root.join("srv/machine");
    let _mounted = Mounted(vec![root.clone(), machine.join("boot"), seen.clone()]);
    host.mount(true, &root);
    fs::create_dir_all(&machine).unwrap();
    put_machine(&made, &machine);
    host.mount(false, &machine.join("boot"));
    run(&machine, &["boot", "repair"]).refused("that is not this machine's boot partition");
    // Nor when the folder is mounted.
    fs::create_dir(&seen).unwrap();
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(&machine), &seen, None::<&str>, bind, None::<&str>).unwrap();
    let ran = run(&seen, &["boot", "repair"]);
    let _ = umount(&seen.join("boot"));
    ran.refused("that is not this machine's boot partition");
    assert_eq!(fs::read_dir(machine.join("boot")).unwrap().count(), 1, "lost+found");
}

/// What puts this computer's programs into a root and runs the command there. All of it is mounted for the command alone, and
/// read-only: nobody who removes the root meets it.
const WITHIN: &str = "set -e
root=$1 program=$2
shift 2
for folder in usr proc sys; do
  mkdir -p $root/$folder
  mount --bind -o ro /$folder $root/$folder
  mount -o remount,bind,ro $root/$folder
done
ln -sfn usr/lib $root/lib
ln -sfn usr/lib64 $root/lib64
mkdir -p $root/tmp
touch $root/cairn
mount --bind $program $root/cairn
exec chroot $root /cairn \"$@\"";

#[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, in a root of its own")]
fn within(root: &Path, args: &[&str]) -> Ran {
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", WITHIN, "sh"]);
    let output = command.arg(root).arg(env!("CARGO_BIN_EXE_cairn")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

#[test]
fn what_the_running_machine_has_mounted_is_its_own_wherever_its_root_was_moved() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")]) else { return };
    let top = made.root().join("disks");
    fs::create_dir(&top).unwrap();
    let (own, other) = (Disk::new(top.join("own.raw")), Disk::new(top.join("other.raw")));
    let root = top.join("root");
    let boot = root.join("boot");
    let _mounted = Mounted(vec![root.clone(), boot.clone()]);
    own.mount(true, &root);
    fs::create_dir(&boot).unwrap();
    other.mount(false, &boot);
    put_machine(&made, &root);
    // It is not the machine that runs, and then it is.
    run(&root, &["boot", "repair"]).refused("that is not this machine's boot partition");
    let note = "it is taken for this machine's boot partition";
    within(&root, &["gc", "--dry-run"]).done();
    for args in [&["boot", "repair"][..], &["rollback", "1"]] {
        let ran = within(&root, args).done();
        assert!(ran.err.contains(note), "{args:?}: {}", ran.err);
    }
    assert!(boot.join("EFI/BOOT/BOOTX64.EFI").is_file());
    let check = within(&root, &["boot", "check"]).done();
    assert!(check.err.contains(note), "{}", check.err);
    umount(&boot).unwrap();
    within(&root, &["boot", "repair"]).refused("the boot partition is not mounted at");
}

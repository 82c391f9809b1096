//! `cairn boot check|repair` and `cairn rollback`, on a boot partition that is mounted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use cairn_boot::Record;

use crate::made::{Made, SystemOf, cairn_and};

fn two() -> Option<Made> {
    let made = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")])?;
    let mut record = Record::first(1);
    record.booted_well(2);
    made.record(&record);
    made.run(&["boot", "repair"]).done();
    Some(made)
}

#[test]
fn an_empty_boot_partition_is_filled_and_then_as_it_should_be() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")]) else { return };
    let check = made.run(&["boot", "check"]);
    assert_eq!(check.code, 1, "{}", check.err);
    assert!(check.out.contains("/EFI/BOOT/BOOTX64.EFI is missing"), "{}", check.out);
    assert!(made.boot_files().is_empty(), "a check changes nothing");
    made.run(&["boot", "repair"]).done();
    let check = made.run(&["boot", "check"]);
    assert_eq!((check.code, check.out.as_str()), (0, "the boot partition is as it should be\n"), "{}", check.err);
    // The first is good; the second has not been tried by anybody.
    assert_eq!(made.entries(), ["1", "2+3"]);
}

#[test]
fn what_is_damaged_is_found_and_healed() {
    let Some(made) = two() else { return };
    let kernel = made.boot_files().into_iter().find(|f| f.ends_with("-linux")).unwrap();
    fs::write(made.root().join("boot").join(&kernel), "short").unwrap();
    fs::write(made.root().join("boot/foreign.txt"), "mine").unwrap();
    let answer = made.run(&["boot", "check", "--json"]);
    assert_eq!(answer.code, 1);
    assert!(answer.out.contains("is damaged: it is written anew"), "{}", answer.out);
    made.run(&["boot", "repair"]).done();
    made.run(&["boot", "check"]).done();
    assert_eq!(fs::read_to_string(made.root().join("boot/foreign.txt")).unwrap(), "mine");
}

#[test]
fn an_image_is_checked_as_any_user_and_not_touched() {
    let Some(made) = two() else { return };
    let image = made.image();
    let touched = || image.metadata().unwrap().modified().unwrap();
    let before = touched();
    let check = |more: &[&str]| {
        let mut args = vec!["boot", "check", "--image", image.to_str().unwrap()];
        args.extend(more);
        crate::made::cairn(&args)
    };
    assert_eq!(check(&[]).done().out, "the boot partition is as it should be\n");
    assert_eq!(touched(), before);
    fs::remove_file(&image).unwrap();
    let kernel = made.boot_files().into_iter().find(|f| f.ends_with("-linux")).unwrap();
    fs::write(made.root().join("boot").join(&kernel), "short").unwrap();
    made.image();
    let answer = check(&["--json"]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.out.contains(&format!("/{kernel} is damaged")), "{}", answer.out);
}

#[test]
fn an_image_s_grub_is_compared_with_what_its_system_has() {
    let system = SystemOf::with_grub("one");
    let code = system.grub.clone().unwrap();
    let Some(made) = Made::mounted(&[system]) else { return };
    // What is mounted here is no partition: all but what a BIOS starts is made, and that is said.
    let repair = made.run(&["boot", "repair"]);
    assert_eq!(repair.code, 3, "{}", repair.err);
    assert!(repair.err.contains("what a BIOS starts cannot be looked at"), "{}", repair.err);
    let check = |code: &_| {
        let image = made.image_with_grub(code);
        let ran = crate::made::cairn(&["boot", "check", "--image", image.to_str().unwrap()]);
        fs::remove_file(&image).unwrap();
        ran
    };
    check(&code).done();
    let mut old = code.clone();
    old.core[30_000] ^= 1;
    let ran = check(&old);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("GRUB's core image, which a BIOS starts, is another version or damaged"), "{}", ran.out);
    // All copies of the program alike, and not what the system has.
    let programs: Vec<String> = made.boot_files().into_iter().filter(|f| f.to_lowercase().ends_with(".efi")).collect();
    assert_eq!(programs.len(), 2);
    for program in &programs {
        fs::write(made.root().join("boot").join(program), "another program").unwrap();
    }
    let ran = check(&code);
    assert_eq!(ran.code, 1, "{}", ran.err);
    for program in &programs {
        assert!(ran.out.contains(&format!("/{program} is another version of the boot loader")), "{}", ran.out);
    }
}

#[test]
fn an_image_cannot_make_a_check_write_elsewhere() {
    let Some(made) = two() else { return };
    let outside = tempfile::tempdir().unwrap();
    // Somebody's image, whose links lead out of wherever it is unpacked.
    let target = format!("/nix/store/../../../../../../../..{}/x", outside.path().display());
    let link = made.root().join("nix/var/nix/profiles/system-3-link");
    std::os::unix::fs::symlink(target, &link).unwrap();
    let image = made.image();
    let ran = crate::made::cairn(&["boot", "check", "--image", image.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("generation 3 cannot be booted"), "{}{}", ran.out, ran.err);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_lost_record_is_made_anew_from_the_entries() {
    let Some(made) = two() else { return };
    fs::write(made.root().join("var/lib/cairn/boot.json"), "{").unwrap();
    assert!(made.run(&["boot", "check"]).out.contains("is damaged"));
    made.run(&["boot", "repair"]).done();
    assert_eq!(made.recorded().good, [1, 2].into());
}

/// What the machine's firmware shows, where its variables are to be seen.
fn variable(made: &Made, name: &str, value: &str) -> std::path::PathBuf {
    let folder = made.root().join("sys/firmware/efi/efivars");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"));
    let text = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
    fs::write(&path, [7, 0, 0, 0].into_iter().chain(text).collect::<Vec<u8>>()).unwrap();
    path
}

#[test]
fn a_variable_that_overrides_the_menu_is_told_and_cleared_if_it_hurts() {
    let Some(made) = two() else { return };
    let entries = made.boot_files().into_iter().filter_map(|f| f.strip_prefix("loader/entries/").map(str::to_string));
    let first = entries.into_iter().find(|name| name.ends_with(".conf")).unwrap();
    let ours = variable(&made, "LoaderEntryDefault", &first);
    let check = made.run(&["boot", "check"]);
    assert_eq!(check.code, 1, "{}", check.err);
    assert!(check.out.contains(&format!("LoaderEntryDefault makes systemd-boot boot {first}")), "{}", check.out);
    assert!(ours.exists(), "a check changes nothing");
    // By the way it is left: it may be somebody's wish. A word about what is to boot is a newer one.
    assert!(made.run(&["gc", "--keep", "5"]).done().out.contains("nothing to remove"));
    assert!(ours.exists());
    made.run(&["rollback", "2"]).done();
    assert!(!ours.exists());
    let ours = variable(&made, "LoaderEntryDefault", "@saved");
    made.run(&["boot", "repair"]).done();
    assert!(!ours.exists());
    // Another system is somebody's wish.
    let theirs = variable(&made, "LoaderEntryDefault", "auto-windows");
    let check = made.run(&["boot", "check"]).done();
    assert!(check.err.contains("boot auto-windows") && check.err.contains("left as it is"), "{}", check.err);
    made.run(&["boot", "repair"]).done();
    assert!(theirs.exists());
}

#[test]
fn one_boot_of_another_generation_is_told_to_the_firmware_and_nobody_else() {
    let Some(made) = two() else { return };
    made.run(&["rollback", "1", "--once"]).refused("choose the generation in the boot menu");
    let once = variable(&made, "LoaderEntryOneShot", "");
    let before = (made.recorded(), made.entries(), made.generations().current().unwrap());
    let ran = made.run(&["rollback", "1", "--once"]).done();
    assert_eq!(ran.out, "generation 1 is booted at the next start, once\n");
    let text: Vec<u16> = fs::read(once).unwrap()[4..].chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    let text = String::from_utf16(&text).unwrap();
    assert!(text.contains("-1-") && text.ends_with(".conf\0") && !text.contains('+'), "{text:?}");
    assert_eq!((made.recorded(), made.entries(), made.generations().current().unwrap()), before);
    made.run(&["boot", "check"]).done();
}

#[test]
fn a_firmware_that_cannot_be_told_stops_nothing() {
    let mut system = SystemOf::named("one");
    system.machine += "boot: {nvram: true}\n";
    let Some(made) = Made::mounted(&[system]) else { return };
    variable(&made, "LoaderInfo", "systemd-boot 257");
    // What is mounted at /boot is no partition here.
    let repair = made.run(&["boot", "repair"]).done();
    assert!(repair.err.contains("starts \\EFI\\BOOT\\BOOTX64.EFI by itself"), "{}", repair.err);
    assert_eq!(made.entries(), ["1"]);
}

#[test]
fn rollback_goes_to_the_good_one_before_and_back() {
    let Some(made) = two() else { return };
    let ran = made.run(&["rollback"]).done();
    assert_eq!(ran.out, "generation 1 is what boots from now on\n");
    assert_eq!((made.generations().current().unwrap(), made.recorded().default), (Some(1), Some(1)));
    made.run(&["rollback"]).refused("there is no older generation that has booted well");
    made.run(&["rollback", "7"]).refused("there is no generation 7; the machine has generations 1 and 2");
    made.run(&["rollback", "2"]).done();
    assert_eq!((made.generations().current().unwrap(), made.recorded().default), (Some(2), None));
    assert_eq!(made.entries(), ["1", "2"]);
}

#[test]
fn a_generation_that_has_not_booted_well_is_only_tried() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")]) else { return };
    let ran = made.run(&["rollback", "2"]).done();
    assert!(ran.out.contains("is tried at the next boot"), "{}", ran.out);
    assert_eq!(made.entries(), ["1", "2+3"]);
    assert_eq!(made.recorded().trial, Some(2));
}

#[test]
fn who_comes_second_waits_and_is_then_served() {
    let Some(made) = two() else { return };
    let path = made.root().join("var/lib/cairn/lock");
    // The kernel lists who waits behind an arrow.
    let is_waited_for = || {
        let file = format!(":{} ", fs::metadata(&path).unwrap().ino());
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&file))
    };
    for command in [&["rollback", "1"][..], &["gc"], &["gc", "--keep", "1"], &["boot", "repair"]] {
        let lock = fs::File::create(&path).unwrap();
        lock.lock().unwrap();
        let before = (made.boot_files(), made.recorded());
        let mut all = command.to_vec();
        all.extend(["--root", made.root().to_str().unwrap()]);
        let ran = cairn_and(&all, |first| {
            assert!(first.contains("waiting for another cairn"), "{command:?}: {first}");
            let end = Instant::now() + Duration::from_secs(60);
            while !is_waited_for() {
                assert!(Instant::now() < end, "{command:?} does not wait");
            }
            assert_eq!((made.boot_files(), made.recorded()), before, "{command:?} did not wait");
            drop(lock);
        });
        ran.done();
    }
    assert_eq!(made.recorded().default, Some(1));
}

#[test]
fn a_folder_that_is_no_machine_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    for command in [&["rollback", "1"][..], &["upgrade"], &["gc"], &["boot", "repair"]] {
        let mut all = command.to_vec();
        all.extend(["--root", empty.path().to_str().unwrap()]);
        crate::made::cairn(&all).refused("is not a machine that Cairn has made");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, as another user")]
fn who_is_not_root_may_look_and_not_change() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let made = Made::with(&[SystemOf::named("one")]);
    let folder = tempfile::tempdir().unwrap();
    for path in [made.root(), folder.path()] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let program = folder.path().join("cairn");
    fs::copy(env!("CARGO_BIN_EXE_cairn"), &program).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        let output = command.args(args).arg("--root").arg(made.root()).uid(65534).gid(65534).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for command in [&["rollback", "1"][..], &["upgrade"], &["gc"], &["boot", "repair"]] {
        let (code, err) = run(command);
        assert_eq!(code, Some(3), "{command:?}: {err}");
        assert!(err.contains("root"), "{err}");
    }
    for command in [&["generations"][..], &["diff", "1", "1"]] {
        let (code, err) = run(command);
        assert_eq!(code, Some(0), "{command:?}: {err}");
    }
}

#[test]
fn a_boot_partition_that_is_not_mounted_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let made = Made::with(&[SystemOf::named("one"), SystemOf::named("two")]);
    for command in [&["rollback", "1"][..], &["gc", "--keep", "1"], &["boot", "repair"], &["boot", "check"]] {
        made.run(command).refused("the boot partition is not mounted at");
    }
}

#[test]
fn a_host_that_never_built_anything_looks_at_a_machine_with_grub() {
    let mut system = SystemOf::named("one");
    system.machine += "boot: {loader: grub}\n";
    let Some(made) = Made::mounted(&[system]) else { return };
    // Nobody's store, and no folder for it.
    let ran = crate::hostile::look(&["boot", "check", "--root"], made.root());
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("GRUB's own parts are not compared"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_root_is_the_same_however_it_is_spelled() {
    let Some(made) = two() else { return };
    made.run(&["boot", "repair"]).done();
    let root = made.root();
    let bound = tempfile::tempdir().unwrap();
    let bind = nix::mount::MsFlags::MS_BIND | nix::mount::MsFlags::MS_REC;
    nix::mount::mount(Some(root), bound.path(), None::<&str>, bind, None::<&str>).unwrap();
    let link = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root, link.path().join("link")).unwrap();
    let here = std::env::current_dir().unwrap();
    let relative =
        format!("{}{}", "../".repeat(here.components().count() - 1), root.strip_prefix("/").unwrap().display());
    let name = root.file_name().unwrap().to_str().unwrap();
    let spellings = [
        root.display().to_string(),
        format!("{}/", root.display()),
        format!("{}//./", root.display()),
        format!("{}/../{name}", root.display()),
        relative,
        link.path().join("link").display().to_string(),
        format!("{}/", link.path().join("link").display()),
        bound.path().display().to_string(),
    ];
    let list = made.run(&["generations"]).done().out;
    let all = spellings.iter().map(|root| {
        let ran = |args: &[&str]| crate::made::cairn(&[args, &["--root", root]].concat());
        (root, ran(&["generations"]), ran(&["boot", "check"]))
    });
    let all: Vec<_> = all.collect();
    nix::mount::umount2(bound.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    for (root, generations, check) in all {
        assert_eq!((generations.code, &generations.out), (0, &list), "{root}: {}", generations.err);
        assert_eq!(check.code, 0, "{root}: {}{}", check.out, check.err);
    }
}

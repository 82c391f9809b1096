//! systemd-boot's menu, against what was measured by booting.

use std::cmp::Ordering::{Equal, Greater, Less};

use qemu_tests::judge::fat::Fat;
use qemu_tests::judge::systemd_boot::{Partitions, compare_versions, judge, menu};
use qemu_tests::judge::verdict::Known;
use qemu_tests::judge::volume::Hashes;

use crate::{image, start, volume};

const GOOD: &str = "title one\nversion 1\nsort-key c\ninitrd /k/i1\noptions init=/1\nlinux /k/l1\n";
const TRIAL: &str = "title two\nversion 2\nsort-key c\ninitrd /k/i2\noptions init=/2 trial\nlinux /k/l2\n";
const KERNELS: [(&str, &[u8]); 4] =
    [("k/l1", b"kernel 1"), ("k/i1", b"initrd 1"), ("k/l2", b"kernel 2"), ("k/i2", b"i2")];

fn known() -> Known {
    Known {
        booted: vec![start(b"kernel 1", b"initrd 1", "init=/1")],
        good: vec![],
        trials: vec![start(b"kernel 2", b"i2", "init=/2 trial")],
    }
}

/// Files beside the two generations' kernels.
fn with(files: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let given = files.iter().map(|(path, text)| ((*path).to_string(), text.as_bytes().to_vec()));
    KERNELS.iter().map(|(path, bytes)| ((*path).to_string(), bytes.to_vec())).chain(given).collect()
}

fn verdict(files: &[(String, Vec<u8>)]) -> Result<(), String> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let image = image(&volume(&files));
    let fat = Fat::open(&image).unwrap();
    judge(Partitions { esp: &fat, boot: None }, &known(), &mut Hashes::default())
}

const ONE: &str = "loader/entries/gen-1.conf";
const TWO: &str = "loader/entries/gen-2+3.conf";

#[test]
fn a_trial_that_fails_leads_back_to_the_good_one() {
    assert_eq!(verdict(&with(&[(ONE, GOOD), (TWO, TRIAL)])), Ok(()));
    assert_eq!(verdict(&with(&[(ONE, GOOD)])), Ok(()));
    let pattern = ("loader/loader.conf", "timeout 3\ndefault gen-1*\n");
    assert_eq!(verdict(&with(&[(ONE, GOOD), (TWO, TRIAL), pattern])), Ok(()));
}

#[test]
fn the_menu_is_in_the_order_that_was_measured() {
    let entry = |version: &str| format!("sort-key c\nversion {version}\nlinux /k/l1\n");
    let mut files = with(&[]);
    for (name, version) in [("a+0-3", "9"), ("b", "9"), ("c+2-1", "10"), ("d", "2")] {
        files.push((format!("loader/entries/{name}.conf"), entry(version).into_bytes()));
    }
    files.push(("loader/entries/z.conf".into(), b"linux /k/l1\n".to_vec()));
    files.push(("loader/entries/missing.conf".into(), b"sort-key a\nlinux /k/none\n".to_vec()));
    files.push(("loader/entries/cut.conf".into(), b"sort-key a\nversion 99\ninitrd /k/i1\n".to_vec()));
    files.push(("loader/entries/auto-x.conf".into(), b"sort-key a\nlinux /k/l1\n".to_vec()));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    let image = image(&volume(&files));
    let fat = Fat::open(&image).unwrap();
    let ids: Vec<String> = menu(Partitions { esp: &fat, boot: None }).into_iter().map(|e| e.file).collect();
    assert_eq!(ids, ["c+2-1.conf", "b.conf", "d.conf", "z.conf", "a+0-3.conf"]);
}

#[test]
fn versions_are_compared_as_versions() {
    for (a, b, order) in [("10", "9", Greater), ("1.2", "1.10", Less), ("a2", "a10", Less), ("6.1~rc1", "6.1", Less)] {
        assert_eq!(compare_versions(a, b), order, "{a} {b}");
    }
    assert_eq!(compare_versions("1-02", "1-2"), Equal);
    assert_eq!(compare_versions("1.1", "1"), Greater);
}

/// What is found, the files, and which of them are taken away.
type Bad = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// Each line of the list of machines that do not boot by themselves.
#[test]
fn what_stops_or_loops_is_bad() {
    let cases: &[Bad] = &[
        ("no entry is there that booted before", &[(TWO, TRIAL)], &[]),
        ("no entry is there that booted before", &[("loader/entries/gen-1+3.conf", GOOD)], &[]),
        ("its initrd /k/i2 is missing", &[(ONE, GOOD), (TWO, TRIAL)], &["k/i2"]),
        ("says what nobody wrote", &[(ONE, GOOD), (TWO, "version 2\nsort-key c\nlinux /k/l2\n")], &[]),
        ("says what nobody wrote", &[(ONE, GOOD), ("loader/entries/x.conf", "sort-key a\nlinux /k/l2\n")], &[]),
        ("cannot be renamed", &[(ONE, GOOD), (TWO, TRIAL), ("loader/entries/gen-2+2-1.conf", TRIAL)], &[]),
        (
            "no tries left, for ever",
            &[(ONE, GOOD), ("loader/entries/gen-2+0-3.conf", TRIAL), ("loader/loader.conf", "default gen-2.conf\n")],
            &[],
        ),
        ("no entry is there that booted before", &[(ONE, GOOD)], &["k/i1"]),
        ("no entry is there that booted before", &[(ONE, "")], &[]),
    ];
    for (what, files, gone) in cases {
        let mut files = with(files);
        files.retain(|(path, _)| !gone.contains(&path.as_str()));
        let why = verdict(&files).unwrap_err();
        assert!(why.contains(what), "{why}\n{what} was expected");
    }
}

#[test]
fn what_is_not_listed_does_no_harm() {
    // A missing kernel takes the entry away; a cut before `linux`, an empty or zeroed file as well.
    let mut files = with(&[(ONE, GOOD), (TWO, TRIAL)]);
    files.retain(|(path, _)| path != "k/l2");
    assert_eq!(verdict(&files), Ok(()));
    for text in ["", "\0\0\0\0\0\0", "title two\nversion 2\nsort-key c\ninitrd /k/i2\n"] {
        assert_eq!(verdict(&with(&[(ONE, GOOD), (TWO, text)])), Ok(()), "{text:?}");
    }
}

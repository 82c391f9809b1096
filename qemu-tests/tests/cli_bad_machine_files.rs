//! `cairn check` and bad machine files: each mistake is told with its place, and nothing panics.

use qemu_tests::Cairn;

/// A machine file without mistakes.
const GOOD: &str = "version: 1\nhostname: m\nsource:\n  debian: {}\ndisks:\n  main:\n    layout: uefi\n";

struct Case {
    name: &'static str,
    file: Vec<u8>,
    /// Words that must be on standard error, besides the file's name.
    says: &'static [&'static str],
}

fn case(name: &'static str, file: impl Into<Vec<u8>>, says: &'static [&'static str]) -> Case {
    Case { name, file: file.into(), says }
}

fn with(more: &str) -> String {
    format!("{GOOD}{more}")
}

fn disk(partitions: &str) -> String {
    GOOD.replace("    layout: uefi\n", &format!("    partitions:\n{partitions}"))
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let root = "      - type: root\n";
    let esp = "      - type: esp\n        size: 512M\n";
    vec![
        case("empty", "", &["empty"]),
        case("no yaml", "{[", &[":1:"]),
        case("a list", "- 1\n", &[":1:1"]),
        case("not UTF-8", [GOOD.as_bytes(), b"timezone: \xff\n"].concat(), &[":8:", "UTF-8"]),
        case("tabs", GOOD.replace("  debian", "\tdebian"), &[":4:", "tab"]),
        case("a key twice", with("hostname: other\n"), &[":8:1", "hostname"]),
        case("an unknown key", with("time_zone: UTC\n"), &[":8:1", "time_zone", "timezone"]),
        case("a wrong type", with("users: 3\n"), &[":8:8"]),
        case("a bad host name", GOOD.replace("hostname: m", "hostname: Under_score"), &[":2:11"]),
        case("size 0", GOOD.replace("layout: uefi", "layout: uefi\n    size: 0"), &[":8:11"]),
        case("size -1", GOOD.replace("layout: uefi", "layout: uefi\n    size: -1"), &[":8:11"]),
        case("size with two units", GOOD.replace("layout: uefi", "layout: uefi\n    size: 10 GB B"), &[":8:11"]),
        case("size of 20 digits", GOOD.replace("layout: uefi", "layout: uefi\n    size: 99999999999999999999"), &[":8:11"]),
        case("no root", disk(esp), &["root"]),
        case("two roots", disk(&format!("{esp}{root}{root}")), &["root"]),
        case("a file outside /etc", with("files:\n  /usr/bin/x:\n    text: x\n"), &[":9:3", "/etc"]),
        case("a path with ..", with("files:\n  /etc/../usr/x:\n    text: x\n"), &[":9:3", ".."]),
        case("no hardware file", with("hardware: nothing.yaml\n"), &[":8:11", "nothing.yaml"]),
    ]
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let cairn = Cairn::find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    std::fs::write(&file, GOOD).unwrap();
    cairn.cmd(["check"]).arg(&file).run().unwrap().must(0).unwrap();
    let mut wrong = Vec::new();
    for case in cases() {
        std::fs::write(&file, &case.file).unwrap();
        let done = cairn.cmd(["check"]).arg(&file).run().unwrap();
        let silent: Vec<&str> = case.says.iter().filter(|w| !done.stderr.contains(**w)).copied().collect();
        let well = done.status.code() == Some(1) && done.stderr.contains("m.yaml") && !done.stderr.contains("panicked");
        if !well || !silent.is_empty() {
            wrong.push(format!("{}: without {silent:?}: {done}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn ten_mistakes_are_told_at_once() {
    let cairn = Cairn::find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    let unknown: String = (0..10).map(|n| format!("unknown{n}: 1\n")).collect();
    std::fs::write(&file, with(&unknown)).unwrap();
    let done = cairn.cmd(["check"]).arg(&file).run().unwrap();
    done.must(1).unwrap();
    for n in 0..10 {
        done.says(&format!("m.yaml:{}:1", 8 + n)).unwrap().says(&format!("unknown{n}")).unwrap();
    }
    assert!(done.stdout.is_empty(), "{done}");
}

#[test]
fn a_bad_file_stops_a_build_before_it_begins() {
    let cairn = Cairn::find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("m.yaml"), folder.path().join("out"));
    std::fs::write(&file, with("nonsense: 1\n")).unwrap();
    let done = cairn.cmd(["build"]).arg(&file).arg("-o").arg(&out).run().unwrap();
    done.must(1).unwrap().says("m.yaml:8:1").unwrap();
    assert!(!out.exists(), "the output folder was made");
}

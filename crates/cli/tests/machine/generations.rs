//! `cairn generations`.

use std::fs;

use cairn_boot::Record;
use cairn_disk::image::qcow2::convert;
use serde_json::{Value, json};

use crate::made::{Made, Ran, SystemOf, cairn};

fn list(made: &Made, more: &[&str]) -> Ran {
    let mut args = vec!["generations", "--root", made.root().to_str().unwrap()];
    args.extend(more);
    cairn(&args)
}

fn three() -> Made {
    Made::with(&three_systems())
}

/// Another host name and time zone, then other packages and another kernel.
pub fn three_systems() -> [SystemOf; 3] {
    let one = SystemOf::named("one");
    let mut two = one.clone();
    two.machine = two.machine.replace("hostname: one", "hostname: two") + "timezone: Europe/Berlin\n";
    let mut three = two.clone();
    three.packages = vec![("bash", "5.3"), ("openssh-server", "1:10.0"), ("htop", "3"), ("git", "2")];
    three.kernel = "6.12.2-cloud";
    [one, two, three]
}

#[test]
fn every_generation_is_told_with_what_it_changed() {
    let made = three();
    made.boot(2);
    let mut record = Record::first(1);
    record.booted_well(2);
    record.try_next(3);
    made.record(&record);
    fs::remove_file(made.root().join("boot/loader/entries/cairn-01234567-3-abcdef01.conf")).unwrap();
    made.entry(3, &made.systems[2], "+2-1");
    let before = made.fingerprint();
    let answer = list(&made, &["--json"]).json();
    assert_eq!(answer["notes"], json!([]));
    let all = answer["generations"].as_array().unwrap();
    let of = |i: usize, key: &str| all[i][key].clone();
    assert_eq!(all.len(), 3);
    assert_eq!((of(0, "number"), of(2, "number")), (json!(1), json!(3)));
    assert_eq!(of(1, "date"), "2025-11-25T16:00:00Z");
    assert_eq!((of(0, "kernel"), of(2, "kernel")), (json!("6.12.1-cloud"), json!("6.12.2-cloud")));
    assert_eq!(of(0, "changes"), Value::Null);
    assert_eq!(of(1, "changes")["settings"], json!(["hostname", "timezone"]));
    assert_eq!(of(1, "changes")["packages"], json!({"added": 0, "removed": 0, "changed": 0}));
    assert_eq!(of(2, "changes")["packages"], json!({"added": 2, "removed": 1, "changed": 1}));
    let trues =
        |key: &str| all.iter().filter(|g| g[key] == true).map(|g| g["number"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(trues("booted"), [2]);
    assert_eq!(trues("default"), [2]);
    assert_eq!(trues("trial"), [3]);
    assert_eq!(trues("good"), [1, 2]);
    assert_eq!(trues("last_good"), [2]);
    assert_eq!(trues("in_menu"), [1, 2, 3]);
    assert_eq!((of(2, "tries_left"), of(1, "tries_left")), (json!(2), Value::Null));
    // The second has its machine file and links of its own, the third a kernel too.
    let own = |i: usize| of(i, "own_size").as_u64().unwrap();
    assert!(own(1) > 4096 && own(2) > own(1) + 15_000, "{answer}");
    assert_eq!((own(0) % 512, own(2) % 4096), (0, 0), "blocks, and not bytes");
    assert_eq!(made.fingerprint(), before, "it only reads");

    let text = list(&made, &[]);
    assert!(text.out.contains("packages +2 -1 ~1"), "{}", text.out);
    assert!(text.out.contains("hostname, timezone"), "{}", text.out);
    assert!(text.out.contains("booted, default, last good, in the menu"), "{}", text.out);
    assert!(text.out.contains("tried next, in the menu, 2 tries left"), "{}", text.out);
}

#[test]
fn an_image_is_told_like_the_machine_that_is_in_it() {
    let made = three();
    // Folders take no room in memory, and a block each in an image.
    let without_sizes = |mut answer: Value| {
        for generation in answer["generations"].as_array_mut().unwrap() {
            assert!(generation["own_size"].take().as_u64().unwrap() > 0);
        }
        answer
    };
    let here = without_sizes(list(&made, &["--json"]).json());
    let raw = made.image();
    let of_image = |path: &std::path::Path| {
        without_sizes(cairn(&["generations", "--json", "--image", path.to_str().unwrap()]).json())
    };
    assert_eq!(of_image(&raw), here);
    let qcow2 = made.root().join("machine.qcow2");
    let out = fs::File::options().read(true).write(true).create_new(true).open(&qcow2).unwrap();
    convert((&fs::File::open(&raw).unwrap(), &raw), (&out, &qcow2), &cairn_process::Quiet).unwrap();
    assert_eq!(of_image(&qcow2), here);
}

#[test]
fn what_is_gone_or_damaged_is_marked_and_the_rest_is_told() {
    let made = three();
    made.store.remove(&made.systems[1]).unwrap();
    made.damage(2, "boot.json");
    let answer = list(&made, &["--json"]).json();
    let all = answer["generations"].as_array().unwrap();
    assert_eq!(all[0]["problem"], Value::Null);
    assert_eq!(all[1]["problem"], "its system is gone from the store");
    assert_eq!(all[2]["problem"], "its boot.json is damaged");
    // Against one that is gone nothing can be told.
    assert_eq!(all[2]["changes"], Value::Null);
    assert!(all[0]["own_size"].is_u64() && all[1]["own_size"].is_null());
    assert_eq!((&all[0]["default"], &all[2]["default"]), (&json!(true), &json!(false)));
    let text = list(&made, &[]);
    assert_eq!(text.code, 0);
    assert!(text.out.contains("ITS SYSTEM IS GONE FROM THE STORE"), "{}", text.out);
}

#[test]
fn a_generation_needs_its_bootspec_and_nothing_else() {
    let Some(made) = Made::mounted(&["one", "two"].map(SystemOf::named)) else { return };
    let mut record = cairn_boot::Record::first(1);
    record.booted_well(2);
    made.record(&record);
    // The first is like one that NixOS has made: neither base nor host name, and no machine file.
    let system = made.store.real_path(&made.systems[0]);
    fs::set_permissions(&system, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for name in ["base", "etc", "machine.yaml"] {
        fs::remove_file(system.join(name)).unwrap();
    }
    let all = list(&made, &["--json"]).json();
    assert_eq!(all["generations"][0]["problem"], Value::Null, "{all}");
    made.run(&["boot", "repair"]).done();
    made.run(&["boot", "check"]).done();
    assert_eq!(made.entries(), ["1", "2"]);
    made.run(&["rollback", "1"]).done();
    // Without its bootspec it is none.
    fs::remove_file(system.join("boot.json")).unwrap();
    let ran = made.run(&["boot", "check"]);
    assert!(ran.code == 1 && ran.out.contains("generation 1 cannot be booted: it has no boot.json"), "{}", ran.out);
}

#[test]
fn a_damaged_record_is_a_note() {
    let made = three();
    fs::write(made.root().join("var/lib/cairn/boot.json"), "nonsense").unwrap();
    let answer = list(&made, &["--json"]).json();
    assert!(answer["notes"][0].as_str().unwrap().contains("is damaged"), "{answer}");
    assert_eq!(answer["generations"][2]["default"], true, "what the profile points at");
}

#[test]
fn the_same_system_twice_is_two_generations() {
    let made = Made::with(&[SystemOf::named("one"), SystemOf::named("one")]);
    made.boot(2);
    let answer = list(&made, &["--json"]).json();
    assert_eq!(answer["generations"][1]["changes"]["same_system"], true);
    assert_eq!(answer["generations"][1]["own_size"], 0);
    assert_eq!(
        (&answer["generations"][0]["booted"], &answer["generations"][1]["booted"]),
        (&json!(false), &json!(true))
    );
}

#[test]
fn a_machine_that_fell_back_says_so() {
    let made = three();
    made.boot(2);
    let mut record = Record::first(2);
    record.try_next(3);
    record.failed(3);
    made.record(&record);
    let ran = list(&made, &[]);
    assert!(ran.err.contains("generation 3 did not boot well; the machine came up in generation 2"), "{}", ran.err);
}

#[test]
fn an_unreadable_boot_partition_leaves_the_menu_unknown() {
    let made = three();
    fs::remove_dir_all(made.root().join("boot")).unwrap();
    let answer = list(&made, &["--json"]).json();
    assert!(answer["notes"][0].as_str().unwrap().contains("what is in the menu is unknown"), "{answer}");
    assert_eq!(answer["generations"][0]["in_menu"], Value::Null);
}

#[test]
fn what_is_no_machine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ran = cairn(&["generations", "--root", dir.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(ran.err.contains("is not a machine that Cairn has made"), "{}", ran.err);
    let ran = cairn(&["generations", "--root", dir.path().join("nowhere").to_str().unwrap()]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("it is no folder"), "{}", ran.err);
    let file = dir.path().join("text");
    fs::write(&file, "hello\n").unwrap();
    let ran = cairn(&["generations", "--image", file.to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("it is a text file"), "{}", ran.err);
}

//! `cairn diff`.

use serde_json::{Value, json};

use crate::made::{Made, Ran, SystemOf, cairn};

fn diff(made: &Made, args: &[&str]) -> Ran {
    let mut all = vec!["diff", "--root", made.root().to_str().unwrap()];
    all.extend(args);
    cairn(&all)
}

fn two() -> Made {
    let one = SystemOf::named("one");
    let mut two = one.clone();
    two.machine = two.machine.replace("[openssh-server]", "[openssh-server, htop]") + "files: {/etc/motd: {text: x}}\n";
    two.packages = vec![("bash", "5.3"), ("openssh-server", "1:10.0"), ("htop", "3")];
    two.etc.insert("motd", "one\n2\nthree\n".into());
    two.etc.insert("deep/new", "x\n".into());
    two.etc.remove("hostname");
    Made::with(&[one, two])
}

#[test]
fn two_generations_are_compared_in_full() {
    let made = two();
    let answer = diff(&made, &["1", "2", "--json"]).json();
    assert_eq!(
        answer["packages"],
        json!([
            { "name": "bash", "from": "5.2", "to": "5.3" },
            { "name": "htop", "from": null, "to": "3" },
            { "name": "zlib1g", "from": "1.3", "to": null },
        ])
    );
    assert_eq!(
        answer["settings"],
        json!([
            { "key": "files", "to": { "/etc/motd": { "text": "x" } } },
            { "key": "source.debian.packages", "from": ["openssh-server"], "to": ["openssh-server", "htop"] },
        ])
    );
    assert_eq!(
        answer["etc"],
        json!([
            { "path": "/etc/cairn/machine.yaml", "change": "changed" },
            { "path": "/etc/deep/new", "change": "added" },
            { "path": "/etc/hostname", "change": "removed" },
            { "path": "/etc/motd", "change": "changed" },
        ])
    );
    assert_eq!((&answer["from"]["generation"], &answer["to"]["generation"]), (&json!(1), &json!(2)));
    assert!(answer["to"]["only_here"].as_u64().unwrap() > 0);

    let text = diff(&made, &["1", "2"]).out;
    for line in [
        "  ~ bash 5.2 -> 5.3",
        "  + htop 3",
        "  - zlib1g 1.3",
        "  ~ source.debian.packages: +htop",
        "  + files: {\"/etc/motd\":{\"text\":\"x\"}}",
        "  ~ /etc/motd",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}:\n{text}");
    }
    let text = diff(&made, &["2", "1", "--files"]).out;
    assert!(
        text.contains("  ~ /etc/motd\n      @@ -1,3 +1,3 @@\n       one\n      -2\n      +two\n       three\n"),
        "{text}"
    );
}

#[test]
fn an_image_gives_the_same_answer() {
    let made = two();
    let here = diff(&made, &["1", "2", "--json", "--files"]).json();
    let image = made.image();
    let there = cairn(&["diff", "1", "2", "--files", "--json", "--image", image.to_str().unwrap()]).json();
    assert_eq!(here, there);
}

#[test]
fn without_the_store_s_records_the_files_are_compared() {
    let made = two();
    let with = diff(&made, &["1", "2", "--json"]).json();
    std::fs::remove_dir_all(made.root().join("nix/var/cairn")).unwrap();
    let without = diff(&made, &["1", "2", "--json"]).json();
    assert_eq!((&without["etc"], &without["packages"]), (&with["etc"], &with["packages"]));
    assert_eq!(without["from"]["closure_size"], Value::Null);
}

#[test]
fn a_generation_that_is_not_there_is_refused_with_those_that_are() {
    let made = two();
    let ran = diff(&made, &["1", "7"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(ran.err.contains("there is no generation 7; there are 1, 2"), "{}", ran.err);
    assert_eq!(diff(&made, &["1"]).code, 2);
    assert_eq!(diff(&made, &["1", "x"]).code, 2);
}

#[test]
fn one_system_against_itself_is_nothing() {
    let made = Made::with(&[SystemOf::named("one"), SystemOf::named("one")]);
    let answer = diff(&made, &["1", "2", "--json"]).json();
    assert_eq!((&answer["packages"], &answer["settings"], &answer["etc"]), (&json!([]), &json!([]), &json!([])));
    assert!(diff(&made, &["1", "2"]).out.contains("both are /nix/store/"));
}

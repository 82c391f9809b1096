//! Machine files that somebody wrote to do harm: names that lead elsewhere, characters that mean something to whoever reads
//! them, and very much of everything.

use crate::common::{LEAST, check, problems};
use cairn_machine::{Problem, Problems, SourceFile, schema};
use serde_json::{Value, json};

/// What can be no name of a file, and no path that leads down.
const BAD_NAMES: [&str; 19] = [
    "",
    ".",
    "..",
    "/",
    "/etc",
    "/etc/../x",
    "../x",
    "a/../../x",
    "../../../../../../tmp/x",
    "a//b",
    "a/",
    "./a",
    "a\\..\\b",
    "a\0b",
    "a\nb",
    "a\u{1b}[2Jb",
    "a\u{7f}b",
    "a\u{85}b",
    "a\u{2028}b",
];

/// A step from a schema to one of its texts.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Named,
    Item,
}

/// Every place of a schema where a text stands, and whether it may have many lines; and every table with names as keys.
#[derive(Default)]
struct Places {
    texts: Vec<(Vec<Step>, bool)>,
    tables: Vec<(Vec<Step>, Value)>,
}

impl Places {
    fn of(schema: &Value) -> Places {
        let mut places = Places::default();
        places.visit(schema, schema, &[]);
        places
    }

    fn visit(&mut self, root: &Value, schema: &Value, at: &[Step]) {
        let mut schema = schema;
        while let Some(name) = schema["$ref"].as_str() {
            schema = &root["$defs"][name.strip_prefix("#/$defs/").unwrap()];
        }
        let with = |step: Step| [at, &[step]].concat();
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            self.visit(root, value, &with(Step::Key(key.clone())));
        }
        if schema["additionalProperties"].is_object() {
            self.tables.push((at.to_vec(), schema["additionalProperties"].clone()));
            self.visit(root, &schema["additionalProperties"], &with(Step::Named));
        }
        if schema["items"].is_object() {
            self.visit(root, &schema["items"], &with(Step::Item));
        }
        let of_texts =
            schema["type"] == "string" || schema["type"].as_array().is_some_and(|t| t.contains(&json!("string")));
        if of_texts || schema.get("anyOf").is_some() {
            self.texts.push((at.to_vec(), schema.get("contentMediaType").is_some()));
        }
    }
}

/// A change to one place of a file.
type Edit<'a> = &'a dyn Fn(&mut Value, &str);

/// The smallest machine file with a value at a place.
fn file_with(at: &[Step], value: Value, name: &str) -> String {
    let inner = at.iter().skip(1).rev().fold(value, |value, step| match step {
        Step::Key(key) => json!({ key: value }),
        Step::Named => json!({ name: value }),
        Step::Item => json!([value]),
    });
    let mut whole =
        json!({"version": 1, "hostname": "h", "source": {"debian": {}}, "disks": {"main": {"layout": "uefi"}}});
    let Some(Step::Key(key)) = at.first() else { panic!("{at:?}") };
    whole[key] = inner;
    // What JSON has as it is, and YAML only as an escape.
    let escaped = |c: char| if c < '\u{7f}' { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    whole.to_string().chars().map(escaped).collect()
}

fn all_problems(text: &str) -> Vec<String> {
    let found = check(text).err().map(Problems::into_vec).unwrap_or_default();
    let told =
        |p: Problem| format!("{}:{}:{}: {} / {}", p.file, p.line, p.column, p.message, p.help.unwrap_or_default());
    found.into_iter().map(told).collect()
}

#[test]
fn the_line_break_that_a_block_of_one_line_ends_in_is_no_part_of_it() {
    for (at, lines) in &Places::of(&schema::schema()).texts {
        for text in ["a", "/a", "1", "64M", "ssh-ed25519 AAAA", "bash", "9f1b7b4e-8d5c-4a0e-9b8e-0d6c3f2a1b00"] {
            let problems = |text: String| all_problems(&file_with(at, json!(text), "x"));
            assert!(*lines || problems(format!("{text}\n")) == problems(text.into()), "{at:?} {text:?}");
        }
    }
}

#[test]
fn what_a_test_expects_may_have_several_lines() {
    let text = file_with(
        &[Step::Key("tests".into()), Step::Item],
        json!({"name": "n", "command": "c", "expect": "1\n2\n"}),
        "x",
    );
    assert_eq!(all_problems(&text), Vec::<String>::new());
}

#[test]
fn no_text_of_the_model_takes_a_control_character() {
    let places = Places::of(&schema::schema());
    assert!(places.texts.len() > 60, "{}", places.texts.len());
    assert!(places.texts.iter().filter(|(_, lines)| *lines).count() >= 5);
    for (at, lines) in &places.texts {
        for odd in
            ["a\0b", "a\u{1b}]0;x\u{7}b", "a\u{7f}b", "a\u{9b}2Jb", "a\nb", "a\r\nb", "a\n\n", "a\r\n", "a\u{b}b"]
        {
            let text = file_with(at, json!(odd), "x");
            let found = all_problems(&text).join("\n");
            let about = [
                "control character",
                "line break",
                "unknown here",
                "not a UUID",
                "size",
                "unit",
                "number",
                "has a blank in it",
            ];
            let told = about.iter().any(|words| found.contains(words));
            // The contents of a file may be anything that is text.
            let allowed = *lines && !odd.contains('\0');
            assert!(told || allowed, "{at:?} {odd:?}: {found}");
            assert!(!allowed || !found.contains("control character"), "{at:?} {odd:?}: {found}");
            let told_cleanly = all_problems(&text).iter().all(|told| !told.contains(char::is_control));
            assert!(told_cleanly, "{at:?}: {found:?}");
        }
    }
}

#[test]
fn no_table_takes_a_key_that_is_no_name() {
    let places = Places::of(&schema::schema());
    assert!(places.tables.len() >= 10, "{}", places.tables.len());
    for (at, _) in &places.tables {
        // What is a file of the running system has its whole path as its name; on the boot partition there may be folders.
        let of_paths = matches!(&at[0], Step::Key(key) if key == "files");
        for bad in
            BAD_NAMES.iter().map(ToString::to_string).chain(["x".repeat(300), format!("/etc/{}", "x".repeat(300))])
        {
            let key = if of_paths { format!("/etc/{bad}") } else { bad.clone() };
            if of_paths && matches!(&*bad, "a\\..\\b" | "a\u{2028}b") {
                continue; // Odd, and one name.
            }
            // Whoever has an access point calls it as they like; it never is the name of a file as it stands.
            let of_networks = at.iter().any(|step| matches!(step, Step::Key(key) if key == "wifi"));
            if of_networks && (1..=32).contains(&bad.len()) && !bad.contains(char::is_control) {
                continue;
            }
            let whole = [at.as_slice(), &[Step::Named]].concat();
            for value in [json!({}), json!("1"), json!({"text": "[Service]\nExecStart=/bin/true\n", "enable": false})] {
                let found = all_problems(&file_with(&whole, value, &key));
                assert!(!found.is_empty(), "{at:?} {key:?}");
                assert!(!found.iter().any(|told| told.contains(char::is_control)), "{at:?}: {found:?}");
                assert!(found.iter().all(|told| told.len() < 4000), "{at:?}: {found:?}");
            }
        }
    }
}

#[test]
fn no_value_makes_a_long_message() {
    let places = Places::of(&schema::schema());
    for (at, _) in &places.texts {
        for fill in ["a", "A", "/a", "é"] {
            let found = all_problems(&file_with(at, json!(fill.repeat(8_000)), "x"));
            let longest = found.iter().map(String::len).max().unwrap_or_default();
            assert!(longest < 4000, "{at:?} {fill}: {longest}");
        }
    }
    for text in [format!("{}: 1\n", "a".repeat(1 << 20)), format!("!{} a\n", "t".repeat(1 << 20)), "x".repeat(1 << 20)]
    {
        assert!(all_problems(&text).iter().all(|told| told.len() < 4000));
    }
    let twice = format!("{0}: 1\n{0}: 1\n", "k".repeat(500));
    assert!(all_problems(&twice).iter().all(|told| told.len() < 1000));
}

#[test]
fn words_in_install_are_names_of_units() {
    let unit = |name: &str, install: &str| {
        let text = format!("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n{install}\n");
        let units = json!({ name: {"text": text} });
        problems(&format!("{LEAST}services: {{units: {units}}}\n"))
    };
    let up = "../".repeat(14);
    for (key, word) in [
        ("WantedBy", format!("{up}victim/made.target")),
        ("RequiredBy", "../x.target".into()),
        ("UpheldBy", "/etc/x.target".into()),
        ("Alias", format!("{up}victim/evil.service")),
        ("Alias", "x.target.wants/../../evil.service".into()),
        ("Alias", "evil.target".into()),
        ("Also", "a/b.service".into()),
        ("WantedBy", "%H.target".into()),
        ("WantedBy", "multi-user".into()),
    ] {
        let found = unit("evil.service", &format!("{key}={word}"));
        let words = format!("`{key}=` in [Install] has `");
        assert!(
            found.starts_with("5:") && found.contains(&words) && found.lines().count() == 1,
            "{key}={word}: {found}"
        );
    }
    let found = unit("x@.service", "DefaultInstance=../../z");
    assert!(found.contains("`DefaultInstance=` in [Install] has `../../z`"), "{found}");
    for good in [
        "Alias=other.service",
        "Alias=a.target.wants/evil.service",
        "Also=b.socket c",
        "WantedBy=%N.target a@b.service",
    ] {
        assert_eq!(unit("evil.service", good), "", "{good}");
    }
    assert_eq!(unit("x@.service", "DefaultInstance=tty1\nAlias=y@%i.service"), "");
}

#[test]
fn homes_and_shells_are_safe_in_units_and_in_passwd() {
    let user = |key: &str, value: &str| problems(&format!("{LEAST}users: {{ann: {{{key}: {}}}}}\n", json!(value)));
    for key in ["home", "shell"] {
        let long = format!("/home/{}", "x".repeat(300));
        for bad in [
            "/home/a'$(id)%n#",
            "/home/a%n",
            "/home/a\"b",
            "/home/a\\x20",
            "/home/ä",
            "/home/a;b",
            "/home/./a",
            "/home/a/",
            "/home/..",
            "home",
            &long,
        ] {
            let found = user(key, bad);
            assert!(found.starts_with("5:") && found.lines().count() == 1, "{key} {bad}: {found}");
        }
        for good in ["/home/a.b-c_d@e+f", "/srv/x", "/bin/bash"] {
            assert_eq!(user(key, good), "", "{good}");
        }
    }
}

/// A list of names in YAML.
fn listed(count: usize, name: impl Fn(usize) -> String) -> String {
    (0..count).map(name).collect::<Vec<_>>().join(", ")
}

/// Held one against all others, these take minutes to hours; one after the other, a second.
const MANY: usize = 30_000;

fn count(text: &str) -> usize {
    check(text).map_or_else(|problems| problems.len(), |checked| checked.warnings.len())
}

#[test]
fn very_many_modules_are_checked_in_no_time() {
    let modules = listed(MANY, |i| format!("m{i}"));
    assert_eq!(count(&format!("{LEAST}kernel_modules: {{load: [{modules}], blacklist: [{modules}]}}\n")), MANY);
}

#[test]
fn very_many_users_are_checked_in_no_time() {
    let users = listed(MANY, |i| format!("u{i}: {{}}"));
    assert_eq!(count(&format!("{LEAST}users: {{{users}}}\n")), MANY + 1, "warnings: of numbers, and of passwords");
}

#[test]
fn very_many_keys_are_checked_in_no_time() {
    let keys = listed(MANY, |i| format!("k{i}: 1"));
    assert_eq!(count(&format!("{LEAST}sysctl: {{{keys}}}\n")), MANY);
    assert_eq!(count(&format!("{LEAST}{}\n", keys.replace(", ", "\n"))), MANY);
}

#[test]
fn very_many_files_are_checked_in_no_time() {
    let files = |fields: &str| listed(MANY, |i| format!("/etc/f{i}: {{{fields}}}"));
    assert_eq!(count(&format!("{LEAST}files: {{{}}}\n", files(""))), MANY);
    assert_eq!(count(&format!("{LEAST}files: {{{}}}\n", files("text: []"))), MANY, "each broken inside");
}

#[test]
fn very_many_partitions_are_refused_in_no_time() {
    let partitions = listed(MANY, |_| "{type: root}".into());
    assert_eq!(count(&LEAST.replace("layout: uefi", &format!("partitions: [{partitions}]"))), 1);
}

#[test]
fn very_many_addresses_are_checked_in_no_time() {
    let addresses = listed(MANY, |i| format!("10.0.{}.{}/32", i >> 8, i & 255));
    let gateways = listed(MANY, |i| format!("11.0.{}.{}", i >> 8, i & 255));
    let interface = format!("{{addresses: [{addresses}], gateways: [{gateways}]}}");
    assert_eq!(count(&format!("{LEAST}network: {{interfaces: {{e0: {interface}}}}}\n")), MANY);
}

#[test]
fn of_very_many_problems_the_first_are_shown_and_the_others_counted() {
    let keys = listed(2500, |i| format!("k{i}: 1"));
    let found = check(&format!("{LEAST}{}\n", keys.replace(", ", "\n"))).unwrap_err();
    assert_eq!(found.len(), 2500);
    let text = found.to_string();
    assert_eq!(text.lines().filter(|line| line.starts_with("m.yaml:")).count(), 1000);
    assert!(text.ends_with("\nand 1500 more problems; mend these first"), "{}", &text[text.len() - 100..]);
}

#[test]
fn a_lock_names_nothing_that_leads_elsewhere() {
    let lock = |edit: &dyn Fn(&mut Value)| {
        let mut value = json!({"version": 1, "debian": {
            "suite": "trixie", "components": ["main"], "architecture": "amd64", "requested": ["bash"], "date": 1,
            "packages": [{"name": "bash", "version": "1:5.2+b1~x-1", "architecture": "all", "filename": "pool/b/bash_5.deb",
                "size": 1, "sha256": "0".repeat(64)}]}});
        edit(&mut value);
        cairn_machine::lock::Lock::parse(&SourceFile::new("m.lock", value.to_string()))
    };
    assert!(lock(&|_| ()).is_ok());
    let places: [(&str, Edit); 9] = [
        ("suite", &|v, bad| v["debian"]["suite"] = json!(bad)),
        ("component", &|v, bad| v["debian"]["components"][0] = json!(bad)),
        ("architecture", &|v, bad| v["debian"]["architecture"] = json!(bad)),
        ("requested", &|v, bad| v["debian"]["requested"][0] = json!(bad)),
        ("name", &|v, bad| v["debian"]["packages"][0]["name"] = json!(bad)),
        ("version", &|v, bad| v["debian"]["packages"][0]["version"] = json!(bad)),
        ("package's architecture", &|v, bad| v["debian"]["packages"][0]["architecture"] = json!(bad)),
        ("file name", &|v, bad| v["debian"]["packages"][0]["filename"] = json!(bad)),
        ("hash", &|v, bad| v["debian"]["packages"][0]["sha256"] = json!(bad)),
    ];
    for (place, edit) in places {
        for bad in BAD_NAMES.iter().map(ToString::to_string).chain(["x".repeat(300), "-oDir=/".into()]) {
            if place == "file name" && bad == "-oDir=/" {
                continue; // Refused for the slash at its end, in the list above.
            }
            let refused = lock(&|value| edit(value, &bad)).expect_err(&format!("{place} {bad:?}"));
            let text = refused.to_string();
            assert!(text.len() < 2000 && text.starts_with("m.lock:1:"), "{place}: {text}");
        }
    }
}

//! Mistakes that people make in a machine file, with the place and the words that they get.

use crate::common::{LEAST, check, check_bytes, problems};

/// Checks a fragment on top of the smallest machine file.
fn with(fragment: &str) -> String {
    problems(&format!("{LEAST}{fragment}"))
}

/// Every case must be told at its place and with its words: `LINE:COLUMN: ...`, then words that must be in it.
fn told(cases: &[(&str, &str, &[&str])]) {
    let mut wrong = Vec::new();
    for (fragment, place, words) in cases {
        let found = with(fragment);
        let hit = found.lines().any(|line| line.starts_with(place) && words.iter().all(|word| line.contains(word)));
        if !hit {
            wrong.push(format!("{fragment:?}\n  wanted {place} {words:?}\n  found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Only these problems, and no others that follow from them.
fn only(text: &str, wanted: &[&str]) {
    let found = problems(text);
    let lines: Vec<&str> = found.lines().collect();
    let hit = lines.len() == wanted.len() && lines.iter().zip(wanted).all(|(line, wanted)| line.starts_with(wanted));
    assert!(hit, "{text}\nfound:\n{found}");
}

/// Line 4 of the smallest file is its disk.
fn disk(disk: &str) -> String {
    problems(&LEAST.replace("{layout: uefi}", disk))
}

#[test]
fn texts_that_are_no_yaml() {
    let first = |bytes: &[u8]| check_bytes(bytes).unwrap_err().to_string();
    assert!(first(b"").starts_with("m.yaml:1:1: the file is empty"));
    assert!(first(b"# only a comment\n").starts_with("m.yaml:1:1: the file is empty"));
    assert!(first(b"version: 1\nhostname: \xe9t\xe9\n").starts_with("m.yaml:2:11: the file is not UTF-8: byte 0xe9"));
    assert!(first(b"\xff\xfev\0e\0").contains("UTF-16"));
    assert!(first(b"\x7fELF\x02\x01\x01\x00").starts_with("m.yaml:1:1: the file has the control character U+007F"));
    assert!(first(b"version: 1\n\thostname: x\n").starts_with("m.yaml:2:1: a tab is used as indentation"));
    assert!(first(b"disks:\n  main:\n  \tlayout: uefi\n").starts_with("m.yaml:3:3: a tab is used as indentation"));
    assert!(first(b"hostname: 'x\n").starts_with("m.yaml:1:11: not YAML"));
    assert!(first(b"a: b: c\n").contains("into quotes"));
    assert!(first(b"a: [1, 2\nb: 3\n").contains("not YAML"));
    assert!(first(b"- a\n").contains("expected a mapping"));
    assert!(first(b"hello").contains("expected a mapping"));
    assert!(first(b"version: 1\n---\nversion: 1\n").starts_with("m.yaml:2:1: a second document"));
    let deep = [b"a: ".to_vec(), b"[".repeat(100_000)].concat();
    assert!(first(&deep).contains("nest deeper"), "{}", first(&deep));
}

#[test]
fn what_yaml_allows_and_people_misread() {
    only(&format!("{LEAST}timezone: &x UTC\nlocale: {{lang: *x}}\n"), &["5:11: anchors", "6:16: aliases"]);
    assert!(problems("a: *x\n").contains("1:4: aliases"));
    only("<<: {a: 1}\nversion: 1\n", &["1:1: merge keys"]);
    assert!(problems("a: !!str 1\n").contains("1:4: tags"));
    assert!(problems("a: !secret x\n").contains("1:4: tags (`!secret`)"));
    only("? [a]\n: b\n", &["1:3: a list or mapping cannot be a key"]);
    let twice = problems(&format!("{LEAST}hostname: other\n"));
    assert_eq!(
        twice,
        "5:1: the key `hostname` is given twice / its first place is line 2, column 1; keep one of the two"
    );
}

#[test]
fn a_key_given_twice_hides_nothing() {
    let text = "version: 1\nhostname: -x\nhostname: y\nhostname: z\nsource: {debian: {suite: 1, suite: [a], zzz: 2}}\n\
                disks: {main: {layout: uefi}}\nusers: {a: {uid: 0}, a: {uid: x}}\nzzz: 1\ntimezone: 12\n";
    only(
        text,
        &[
            "2:11: `-x` is not a host name",
            "3:1: the key `hostname` is given twice",
            "4:1: the key `hostname` is given twice",
            "5:29: the key `suite` is given twice",
            "5:36: source.debian.suite: expected text",
            "5:41: source.debian: unknown key `zzz`",
            "7:22: the key `a` is given twice",
            "7:31: users.a.uid: expected a whole number",
            "8:1: unknown key `zzz`",
            "9:11: `12` is not the name",
        ],
    );
}

#[test]
fn what_stands_before_an_error_of_syntax_is_told_with_it() {
    // Nothing is said to be missing, and nothing of the entry in which the reading ended.
    only(
        "version: 1\nhostnmae: x\nversion: 1\nboot: {timeout: x}\nusers: {a: {uid: [}}\ndisks: {}\n",
        &["2:1: unknown key", "3:1: the key `version` is given twice", "4:17: boot.timeout", "5:19: not YAML"],
    );
    only("version: 1\nseed: abc\nhostname: x\n\tusers: {}\n", &["2:7: seed", "4:1: a tab"]);
    only(&format!("{LEAST}zzz: 1\n---\nversion: 1\n"), &["5:1: unknown key", "6:1: a second document"]);
    let found = problems("hostname: 'x\n");
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn plain_scalars_are_the_text_that_was_written() {
    let hostname = |name: &str| check(&LEAST.replace("least", name)).map(|checked| checked.machine.hostname);
    for name in ["123", "no", "on", "1e3", "012", "true", "y"] {
        assert_eq!(hostname(name).as_deref(), Ok(name));
    }
    let checked = check(&format!(
        "{LEAST}keyboard: {{layout: no}}\nfiles: {{/etc/a: {{text: 22:22, mode: 0640}}, /etc/b: {{text: 1.50}}}}\n\
         sysctl: {{a.b: 012, a.c: -3, a.d: 0x10, a.e: 4096 8192, a.f: 99999999999999999999}}\n"
    ))
    .unwrap();
    assert_eq!(checked.machine.keyboard.layout, "no");
    assert_eq!(checked.machine.files["/etc/a"].text.as_deref(), Some("22:22"));
    assert_eq!(checked.machine.files["/etc/a"].mode_bits(), 0o640);
    assert_eq!(checked.machine.files["/etc/b"].text.as_deref(), Some("1.50"));
    let values: Vec<String> = checked.machine.sysctl.values().map(ToString::to_string).collect();
    assert_eq!(values, ["012", "-3", "0x10", "4096 8192", "99999999999999999999"]);
}

#[test]
fn empty_values_are_empty_tables_and_nothing_else() {
    let checked = check(&format!("{LEAST}users:\n  alice:\ngroups:\nservices:\n  enable:\ntests:\n")).unwrap();
    assert!(checked.machine.users.contains_key("alice"));
    told(&[
        ("timezone:\n", "5:1:", &["there is no value", "Europe/Berlin"]),
        ("timezone: ~\n", "5:11:", &["there is no value"]),
        ("boot: {timeout: }\n", "5:8:", &["there is no value"]),
    ]);
    only(
        "version: 1\nhostname:\nsource: {debian: {}}\ndisks:\n",
        &["2:1: hostname: there is no value", "4:1: there is no disk"],
    );
}

#[test]
fn keys_that_are_unknown_or_missing() {
    told(&[
        ("user: {}\n", "5:1: unknown key `user`", &["did you mean `users`?"]),
        ("hostName: x\n", "5:1: unknown key `hostName`", &["did you mean `hostname`?"]),
        ("packages: [vim]\n", "5:1:", &["`packages` belongs under `source.debian`"]),
        ("networking: {}\n", "5:1:", &["write `network`"]),
        ("zzz: 1\n", "5:1:", &["the keys here are architecture, boot"]),
        ("users: {a: {ssh_keys: []}}\n", "5:13: users.a: unknown key `ssh_keys`", &["`ssh_authorized_keys`"]),
        ("users: {a: {password: x}}\n", "5:13:", &["`hashed_password_file`", "no secret"]),
        ("users: {a: {extraGroups: []}}\n", "5:13:", &["write `groups`"]),
        ("boot: {hostname: x}\n", "5:8:", &["belongs at the outermost level"]),
        ("boot: {configurationLimit: 5}\n", "5:8:", &["write `generations`"]),
        ("boot: {memtest86: true}\n", "5:8:", &["write `memtest`"]),
        ("boot: {useOSProber: true}\n", "5:8:", &["write `other_systems`"]),
        ("boot: {editro: true}\n", "5:8:", &["did you mean `editor`?"]),
        ("boot: {password: x}\n", "5:8:", &["`password_hash`", "grub-mkpasswd-pbkdf2"]),
        ("boot: {efiInstallAsRemovable: true}\n", "5:8:", &["write nothing: the removable path is always written"]),
        ("boot: {grub: {enable: true}}\n", "5:8:", &["`loader: grub`"]),
        ("grub: {}\n", "5:1:", &["write `boot: {loader: grub}`"]),
        ("loader: grub\n", "5:1:", &["`loader` belongs under `boot`"]),
        ("tests: [{name: a}]\n", "5:9: tests[0]: the key `command` is missing", &["curl"]),
    ]);
    only("version: 1\nhostnmae: x\nsource: {debian: {}}\ndisks: {main: {layout: uefi}}\n", &["2:1: unknown key"]);
    only(
        "{}\n",
        &["1:1: the key `version`", "1:1: the key `hostname`", "1:1: the key `source`", "1:1: the key `disks`"],
    );
}

#[test]
fn values_of_the_wrong_type() {
    told(&[
        ("users: [alice]\n", "5:8: users: expected a mapping with a name as each key, but found a list", &["NAME:"]),
        ("users: alice\n", "5:8:", &["found the text \"alice\""]),
        ("services: {enable: ssh}\n", "5:20: services.enable: expected a list", &["write `enable: [ssh]`"]),
        ("boot: {timeout: \"3\"}\n", "5:17: boot.timeout: expected a whole number such as 3", &["quotes away"]),
        ("boot: {timeout: 03}\n", "5:17:", &["found the number 03", "decimal"]),
        ("boot: {timeout: 1e1}\n", "5:17:", &["found the number 1e1"]),
        ("boot: {timeout: -1}\n", "5:17: boot.timeout: -1 is out of range; it must be from 0", &[]),
        ("boot: {generations: 0}\n", "5:21:", &["from 1 to 1000"]),
        ("boot: {timeout: 99999999999999999999999}\n", "5:17:", &["out of range"]),
        ("boot: {loader: systemd_boot}\n", "5:16:", &["did you mean `systemd-boot`?"]),
        ("architecture: arm64\n", "5:15:", &["the only one so far is x86-64"]),
        ("users: {a: {system: yes}}\n", "5:21:", &["expected true or false", "write `true`"]),
        ("seed: abc\n", "5:7: seed: `abc` is not a UUID", &["uuidgen"]),
        ("sysctl: {net.ipv4.ip_forward: true}\n", "5:31:", &["expected a number or text", "write 1"]),
        ("source: {}\n", "5:1: the key `source` is given twice", &[]),
        ("services: {enable: [a: b]}\n", "5:21: services.enable[0]: expected text, but found a mapping", &["quotes"]),
        ("hardware: [a]\n", "5:11: hardware: expected text such as hardware.yaml, but found a list", &[]),
    ]);
    assert!(problems(&LEAST.replace("version: 1", "version: 2")).starts_with("1:10: version: 2 is not known"));
}

#[test]
fn another_version_is_the_only_thing_said() {
    let found = problems("version: 2\nthings: 1\nhostname: [a]\n");
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.contains("a later version needs a later Cairn"));
}

#[test]
fn sizes() {
    for (size, words) in [
        ("0", "a disk of size 0"),
        ("-1", "negative"),
        ("10 GB B", "has a blank in it"),
        ("10GB", "write `10G`"),
        ("99999999999999999999", "too large"),
        ("8", "did you leave out the unit?"),
        ("1.3", "not a whole number of bytes"),
        ("lots", "`lots` is not a size"),
        ("\"\"", "a size is missing"),
        ("100000001", "not a multiple of 512"),
        ("[1]", "expected a size such as 512M"),
    ] {
        let found = disk(&format!("{{layout: uefi, size: {size}}}"));
        assert!(found.starts_with("4:") && found.contains(words) && found.lines().count() == 1, "{size}: {found}");
    }
    assert_eq!(disk("{layout: uefi, size: 8589934592, free: 0}"), "");
}

#[test]
fn ten_mistakes_at_once() {
    let text = "version: 1\nhostname: -x\nsource: {debian: {suite: Trixie, packages: [vim=1, A_b]}}\ndisks: {main: {}}\n\
                boot: {kernel_parameters: [init=/bin/sh]}\nusers: {Bob: {uid: 0}}\nfiles: {/usr/x: {text: a}}\nfoo: 1\n\
                timezone: 12\nservices: {enable: [a/b]}\ntests: [{name: x}]\n";
    let found = problems(text);
    assert!(found.lines().count() >= 12, "{found}");
    let lines: Vec<usize> = found.lines().map(|line| line.split(':').next().unwrap().parse().unwrap()).collect();
    assert!(lines.is_sorted() && (2..=11).all(|line| lines.contains(&line)), "{found}");
}

#[test]
fn a_broken_value_causes_no_other_problem() {
    only(
        "version: 1\nhostname: [x]\nsource: {debian: 1}\ndisks: {main: {partitions: [{type: esp}, {type: rot}]}}\n",
        &["2:11: hostname", "3:18: source.debian", "4:49: disks.main.partitions[1].type"],
    );
}

#[test]
fn the_place_is_right_after_characters_that_are_more_than_a_byte() {
    only(
        &format!("{LEAST}# ä€𝄞\nusers: {{\"ä€𝄞\": {{uid: x}}}}\n"),
        &["6:9: `ä€𝄞` is not a name", "6:22: users.ä€𝄞.uid"],
    );
    // Lines end in CRLF, and the file begins with a byte order mark.
    let text = format!("\u{feff}{}zzz: 1\r\n", LEAST.replace('\n', "\r\n"));
    only(&text, &["5:1: unknown key `zzz`"]);
}

#[test]
fn json_output_has_file_line_column_message_and_help() {
    let json = serde_json::to_value(check("version: 1\n").unwrap_err()).unwrap();
    let first = &json[0];
    assert_eq!((&first["file"], &first["line"], &first["column"]), (&"m.yaml".into(), &1.into(), &1.into()));
    assert!(first["message"].is_string() && first["help"].is_string());
}

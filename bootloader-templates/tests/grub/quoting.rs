//! No title, name, path or parameter can break out of its quotes, or else it is refused.

use bootloader_templates::TemplateError;
use bootloader_templates::grub::{Boots, Config, Early, Extra, Generation, Kernel, Memtest, Password, Trial, Variant};

use crate::common::{HASH, check, generation, kernel, least, most};

/// Pieces that mean something to GRUB's scripts, to a shell, to the templates, or to a careless writer.
const PIECES: [&str; 40] = [
    "'",
    "''",
    "'\\''",
    "\"",
    "\\",
    "\\'",
    "$",
    "${x}",
    "$(reboot)",
    "`",
    ";",
    ";;",
    "&&",
    "|",
    "<",
    ">",
    "{",
    "}",
    "#",
    " # ",
    "%",
    "!",
    "*",
    "?",
    "[",
    "]",
    "--",
    "-u",
    "--id",
    " ",
    "  ",
    "=",
    "a",
    "Z9",
    "ü",
    "日本",
    "{{ x }}",
    "{% if %}",
    "if true; then reboot; fi",
    "' { } menuentry 'x' {",
];

/// Strings made of these pieces, always the same.
fn nasty(count: usize) -> impl Iterator<Item = String> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let single = PIECES.iter().map(ToString::to_string);
    let mixed = (0..count).map(move |_| (0..=next(6)).map(|_| PIECES[next(PIECES.len())]).collect());
    single.chain(mixed)
}

/// The script with every quoted word made the same: what is left is what GRUB takes for its own. (The templates have no
/// quote in a comment.)
fn skeleton(script: &str) -> String {
    let mut out = String::new();
    let mut rest = script;
    while let Some((before, after)) = rest.split_once('\'') {
        out.push_str(before);
        out.push('Q');
        let mut word = after;
        loop {
            word = word.split_once('\'').expect("an open quote").1;
            match word.strip_prefix("\\''") {
                Some(more) => word = more,
                None => break,
            }
        }
        rest = word;
    }
    out + rest
}

/// A menu with one string everywhere where a person's own words go.
fn menu(text: &str, param: Option<&str>) -> Config {
    let path = format!("/{text}");
    let kernel = Kernel {
        linux: path.clone(),
        initrd: vec![path.clone()],
        params: param.map(str::to_string).into_iter().collect(),
    };
    let own = |id: &str| Generation {
        id: id.into(),
        title: text.into(),
        kernel: kernel.clone(),
        good: true,
        variants: vec![Variant { name: "v".into(), kernel: kernel.clone(), good: true }],
    };
    let extra = |name: &str, boots| Extra { name: name.into(), title: text.into(), boots, restricted: false };
    Config {
        generations: vec![own("2"), own("1")],
        default: "1".into(),
        trial: Some(Trial { id: "2".into(), key: "2".into(), tries: 2 }),
        extra: vec![extra("a", Boots::Efi { path, options: Vec::new() }), extra("b", Boots::Linux(kernel.clone()))],
        ..most()
    }
}

#[test]
fn no_text_changes_the_script_around_it() {
    let plain = skeleton(&menu("x", None).render().unwrap());
    let mut all = String::new();
    for text in nasty(300) {
        let script = menu(&text, None).render().unwrap();
        assert_eq!(skeleton(&script), plain, "{text:?}");
        let quoted = format!("menuentry '{}' --id 'cairn-trial'", text.replace('\'', "'\\''"));
        assert!(script.contains(&quoted), "{text:?}\n{script}");
        all += &script;
    }
    check(&all);
}

#[test]
fn a_parameter_reaches_the_kernel_as_it_is_or_is_refused() {
    let plain = skeleton(&menu("x", Some("one")).render().unwrap());
    let mut all = String::new();
    for text in nasty(300) {
        let rendered = menu("x", Some(&text)).render();
        if text.contains(['\\', '"', '\'']) {
            assert!(matches!(rendered, Err(TemplateError::Value { field: "options", .. })), "{text:?}");
            continue;
        }
        // Blanks part words, here as on the one line of systemd-boot; how many there are is all that changes.
        let words: Vec<String> = text.split(' ').filter(|w| !w.is_empty()).map(|w| format!(" '{w}'")).collect();
        let script = rendered.unwrap();
        assert!(script.contains(&format!("if linux '/x'{}; then", words.concat())), "{text:?}\n{script}");
        if words.len() == 1 {
            assert_eq!(skeleton(&script), plain, "{text:?}");
        }
        all += &script;
    }
    check(&all);
}

#[test]
fn control_characters_are_refused_everywhere() {
    for bad in ["a\nb", "a\rb", "a\tb", "\u{0}", "a\u{7f}", "a\u{85}b", ""] {
        let param = |text: &str| menu("x", Some(text)).render();
        assert!(matches!(param(bad), Err(TemplateError::Value { field: "options", .. })), "{bad:?}");
        let title = Generation { title: bad.into(), ..generation(1, "aaaa", true) };
        let error = Config { generations: vec![title], ..least() }.render();
        assert!(matches!(error, Err(TemplateError::Value { field: "title", .. })), "{bad:?}");
        let path = Kernel { linux: format!("/{bad}\n"), ..kernel("aaaa") };
        let path = Generation { kernel: path, ..generation(1, "aaaa", true) };
        let error = Config { generations: vec![path], ..least() }.render();
        assert!(matches!(error, Err(TemplateError::Value { field: "linux", .. })), "{bad:?}");
    }
}

#[test]
fn names_have_letters_that_mean_nothing() {
    for bad in ["", "a b", "a'", "a>b", "a:b", "a\n", "ü", "a/b", "$x"] {
        let id = Generation { id: bad.into(), ..generation(1, "aaaa", true) };
        let error = Config { generations: vec![id], default: bad.into(), ..least() }.render();
        assert!(matches!(error, Err(TemplateError::Value { field: "id", .. })), "{bad:?}: {error:?}");
        let variants = vec![Variant { name: bad.into(), kernel: kernel("b"), good: true }];
        let named = Generation { variants, ..generation(1, "aaaa", true) };
        let error = Config { generations: vec![named], ..least() }.render();
        assert!(matches!(error, Err(TemplateError::Value { field: "variant", .. })), "{bad:?}");
        let password = Some(Password { user: bad.into(), hash: HASH.into() });
        let error = Config { password, ..least() }.render();
        assert!(matches!(error, Err(TemplateError::Value { field: "user", .. })), "{bad:?}");
    }
}

#[test]
fn a_hash_is_one_of_grubs_and_never_in_a_message() {
    for bad in [
        "secret",
        "",
        "grub.pbkdf2.sha512.x.AB.CD",
        "grub.pbkdf2.sha512.1.AB",
        "grub.pbkdf2.sha512.1.ABC.CD",
        "grub.pbkdf2.sha512.1.AB.CDE",
        "grub.pbkdf2.sha512.1.AB.CD'",
        "grub.pbkdf2.sha512.1.AB.C'",
        "grub.pbkdf2.sha512.1.AB.CG",
        "grub.pbkdf2.sha512.1..CD",
        "grub.pbkdf2.sha512.1.AB.CD.EF",
        "grub.pbkdf2.sha256.1.AB.CD",
    ] {
        let password = Some(Password { user: "admin".into(), hash: bad.into() });
        let error = Config { password, ..least() }.render().unwrap_err();
        assert!(matches!(error, TemplateError::Value { field: "password hash", .. }), "{bad:?}");
        assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
    }
}

#[test]
fn a_menu_names_what_it_has() {
    let error = Config { default: "9".into(), ..least() }.render().unwrap_err();
    assert!(matches!(error, TemplateError::Unknown { what: "default", .. }), "{error:?}");
    let trial = Some(Trial { id: "9".into(), key: "9".into(), tries: 1 });
    let error = Config { trial, ..least() }.render().unwrap_err();
    assert!(matches!(error, TemplateError::Unknown { what: "trial", .. }), "{error:?}");
    let twice = vec![generation(1, "aaaa", true), generation(1, "aaaa", true)];
    assert!(matches!(Config { generations: twice, ..least() }.render(), Err(TemplateError::Twice(_))));
    for tries in [0, 100] {
        let trial = Some(Trial { id: "1-aaaa".into(), key: "1".into(), tries });
        assert!(matches!(Config { trial, ..least() }.render(), Err(TemplateError::Value { field: "tries", .. })));
    }
}

#[test]
fn the_early_script_takes_plain_places_only() {
    let early = |uuid: &str, folder: &str| Early { uuid: Some(uuid.into()), folder: folder.into() }.render();
    assert!(early("1A2B-3C4D", "/cairn/0123abcd/grub").is_ok());
    for uuid in ["", "1A2B3C4D5", "1A2B-3C4", "1A2B-3C4G", "1A2B-3C4D ", "üü2B-3C4D"] {
        assert!(matches!(early(uuid, "/x"), Err(TemplateError::Value { field: "uuid", .. })), "{uuid}");
    }
    for folder in ["", "x", "/a b", "/a'", "/$x", "/x/", "/a\n"] {
        assert!(matches!(early("1A2B-3C4D", folder), Err(TemplateError::Value { field: "folder", .. })), "{folder}");
    }
}

#[test]
fn no_path_or_key_is_taken_as_it_comes() {
    let refused = |config: Config, wanted: &str| {
        let error = config.render().unwrap_err();
        assert!(matches!(&error, TemplateError::Value { field, .. } if *field == wanted), "{wanted}: {error:?}");
    };
    for bad in ["", "x", "/a\nb", "/a\u{0}"] {
        let initrd = Kernel { initrd: vec!["/good".into(), bad.into()], ..kernel("aaaa") };
        let initrd = Generation { kernel: initrd, ..generation(1, "aaaa", true) };
        refused(Config { generations: vec![initrd], ..least() }, "initrd");
        let boots = Boots::Efi { path: bad.into(), options: Vec::new() };
        let program = Extra { name: "a".into(), title: "A".into(), boots, restricted: false };
        refused(Config { extra: vec![program], ..least() }, "efi");
        for memtest in [
            Memtest { bios: Some(bad.into()), ..most().memtest.unwrap() },
            Memtest { efi: Some(bad.into()), ..most().memtest.unwrap() },
        ] {
            refused(Config { memtest: Some(memtest), ..most() }, "memory test");
        }
    }
    for bad in ["", "a b", "a'", "a\nb", "a:b", "a>b"] {
        let extra = Extra { name: bad.into(), title: "A".into(), boots: Boots::Linux(kernel("b")), restricted: false };
        refused(Config { extra: vec![extra], ..least() }, "name");
    }
    for bad in ["", "a'", "\"a", "a\\", "a\nb"] {
        let boots = Boots::Efi { path: "/a.efi".into(), options: vec!["good".into(), bad.into()] };
        let program = Extra { name: "a".into(), title: "A".into(), boots, restricted: false };
        refused(Config { extra: vec![program], ..least() }, "options");
    }
    for bad in ["", "a b", "a'", "a\nb"] {
        let trial = Some(Trial { id: "1-aaaa".into(), key: bad.into(), tries: 1 });
        refused(Config { trial, ..least() }, "key");
    }
    for bad in ["", "a\nb", "\u{7f}"] {
        let boots = Boots::Linux(kernel("b"));
        let extra = Extra { name: "a".into(), title: bad.into(), boots, restricted: false };
        refused(Config { extra: vec![extra], ..least() }, "title");
    }
}

#[test]
fn only_what_has_booted_well_is_remembered() {
    let remembered = |good| {
        let variants = vec![Variant { name: "text".into(), kernel: kernel("dddd"), good }];
        let older = Generation { variants, ..generation(2, "bbbb", true) };
        let config = Config { generations: vec![older, generation(1, "aaaa", true)], remember: true, ..least() };
        let script = config.render().unwrap();
        // Nobody has asked for other systems: there is none to be remembered.
        assert!(!script.contains("cairn-windows"), "{script}");
        // Its entry is there either way; as something that the next start may take up again, it stands once more.
        assert!(script.contains("--id '2-bbbb:text'"), "{script}");
        script.matches("'2-bbbb:text'").count() + script.matches(">2-bbbb:text'").count()
    };
    assert!(remembered(true) > remembered(false), "{} {}", remembered(true), remembered(false));
}

#[test]
fn a_menu_tries_eight_other_generations_when_files_are_gone() {
    for (count, tried) in [(1, 0), (3, 2), (9, 8), (12, 8)] {
        // The second newest is the default, and stands for itself.
        let default = if count == 1 { 1 } else { count - 1 };
        let generations = (1..=count).rev().map(|n| generation(n, "aaaa", true)).collect();
        let script = Config { generations, default: format!("{default}-aaaa"), ..least() }.render().unwrap();
        assert_eq!(script.matches("\nelif [ -s ").count(), tried, "of {count}\n{script}");
        assert!(!script.contains(&format!("set default='cairn-all>{default}-aaaa'")), "{script}");
    }
    // What has not booted well is none of them.
    let generations = (1..=4).rev().map(|n| generation(n, "aaaa", n != 2)).collect();
    let script = Config { generations, default: "4-aaaa".into(), ..least() }.render().unwrap();
    assert_eq!(script.matches("\nelif [ -s ").count(), 2, "{script}");
}

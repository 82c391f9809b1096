//! What a stranger has written into an image or a name gives no orders to the terminal, whichever command shows it.

use std::path::Path;

use crate::made::{Made, Ran, SystemOf, cairn};

/// A title for the terminal's window, a cleared screen, colours, the same from the second half of Latin-1, a line that runs backwards, a
/// forged line.
const EVIL: &str = "x\u{1b}]0;pwn\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{2028}\u{7f}\u{200b}y";

#[track_caller]
fn quiet(what: &str, ran: &Ran) {
    for (stream, text) in [("standard output", &ran.out), ("standard error", &ran.err)] {
        let bad = text.chars().find(|c| {
            (c.is_control() && !matches!(c, '\n' | '\t'))
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(bad, None, "{what}: {stream}: {text:?}");
    }
}

fn machine() -> Made {
    let one = SystemOf::named("one");
    let mut two = one.clone();
    two.kernel = EVIL;
    two.packages = vec![("bash\u{1b}[31m", "5.2"), (EVIL, "1\u{202e}")];
    two.etc.insert("hostname", format!("{EVIL}\n"));
    two.etc.insert("motd", format!("one\n{EVIL}\n"));
    two.etc.insert("evil\u{1b}[2J\u{202e}", "x\n".into());
    Made::with(&[one, two])
}

#[test]
fn what_a_machine_says_of_itself_is_shown_and_not_obeyed() {
    let made = machine();
    let folder = tempfile::tempdir().unwrap();
    // The image's own name, too.
    let image = folder.path().join(format!("{EVIL}.raw"));
    std::fs::copy(made.image(), &image).unwrap();
    let (root, image) = (made.root().to_str().unwrap(), image.to_str().unwrap());
    let commands: [&[&str]; 10] = [
        &["inspect", image],
        &["generations", "--root", root],
        &["generations", "--image", image],
        &["diff", "--root", root, "1", "2", "--files"],
        &["diff", "--image", image, "1", "2", "--files"],
        &["boot", "check", "--root", root],
        &["boot", "check", "--image", image],
        &["gc", "--dry-run", "--root", root],
        &["rollback", "--root", root, "9"],
        &["upgrade", "--root", root],
    ];
    let mut shown = String::new();
    for args in commands {
        let ran = cairn(args);
        quiet(&args.join(" "), &ran);
        shown += &ran.out;
        let json: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let ran = cairn(&json);
        quiet(&json.join(" "), &ran);
        if ran.code == 0 {
            serde_json::from_str::<serde_json::Value>(&ran.out).unwrap();
        }
    }
    // It was there to be seen.
    assert!(shown.contains("x\\x1b]0;pwn\\x07\\x1b[2J\\x9b31m\\u{202e}"), "{shown}");
}

#[test]
fn names_and_arguments_are_shown_and_not_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let machine_file = at(&format!("{EVIL}.yaml"));
    std::fs::write(&machine_file, format!("version: 1\nhostname: \"{}\"\nx{}: 1\n", EVIL.escape_unicode(), "\u{202e}"))
        .unwrap();
    let text = at(&format!("{EVIL}.raw"));
    std::fs::write(&text, "a letter\n").unwrap();
    let gone = at(&format!("gone-{EVIL}"));
    let option = format!("--{EVIL}");
    let commands: Vec<Vec<&str>> = vec![
        vec![EVIL],
        vec![&option],
        vec!["check", &option],
        vec!["run", "x.raw", "--memory", EVIL],
        vec!["build", &machine_file, "--format", EVIL],
        vec!["init", "--hostname", EVIL],
        vec!["init", &text],
        vec!["check", &machine_file, &gone],
        vec!["check", "--json", &machine_file, &gone],
        vec!["lock", &machine_file],
        vec!["lock", &gone],
        vec!["build", &machine_file],
        vec!["build", &machine_file, "--json"],
        vec!["build", &gone, "-o", &text],
        vec!["build", "x.yaml", "--key", &gone],
        vec!["run", &text],
        vec!["run", "--persist", &machine_file],
        vec!["verify", &text],
        vec!["verify", "--against", &machine_file, &text],
        vec!["inspect", &text],
        vec!["inspect", &gone],
        vec!["generations", "--image", &text],
        vec!["generations", "--root", &gone],
        vec!["diff", "--root", &gone, "1", "2"],
        vec!["boot", "check", "--image", &gone],
        vec!["boot", "repair", "--root", &gone],
        vec!["upgrade", "--root", &gone],
        vec!["upgrade", "--from", &gone, "--root", &gone],
        vec!["rollback", "--root", &gone, EVIL],
        vec!["gc", "--root", &gone, "--older-than", EVIL],
        vec!["hardware", "--root", &gone],
        vec!["hardware", "-o", &text],
        vec!["hardware", "--diff", &text],
        vec!["hardware", "--diff", &gone],
    ];
    for args in commands {
        let ran = cairn(&args);
        assert_ne!(ran.code, 0, "{args:?}");
        quiet(&args.join(" "), &ran);
    }
    assert!(Path::new(&text).is_file());
}

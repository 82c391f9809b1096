//! The console's keymap: what the base's own `ckbcomp` makes of the keyboard, where Debian's boot looks for it.
//!
//! `setupcon --save` would do the same, but at the boot: there it costs time, and what it writes would lie in the machine's
//! layer of `/etc` and hide the keymap of every generation to come.

use std::fs;
use std::path::Path;

use cairn_machine::model::Keyboard;

use crate::error::SystemError;
use crate::programs::{Lacking, copy, program, there};
use crate::tree::{EXECUTABLE, Node, Tree, exists_in, read_in};
use crate::units::Units;

/// Where a base has XKB's files.
const XKB: &str = "usr/share/X11/xkb";
const RULES: &str = "rules/base";
const CKBCOMP: &str = "usr/bin/ckbcomp";
const PACKAGE: &str = "console-setup";
/// What perl's own modules are in.
const PERL_MODULES: &str = "usr/lib/x86_64-linux-gnu/perl-base";
const REASON: &str = "make the console's keymap";
/// What it is for, where it is missing: "the base … has no …, which …".
const NEEDED: &str = "the console's keymap is made with";

/// Debian's name for the keymap of a console in UTF-8 whose backspace sends DEL.
const KEYMAP: &str = "console-setup/cached_UTF-8_del.kmap.gz";
/// What `keyboard-setup.service` runs, and its text.
const SETUP: &str = "console-setup/cached_setup_keyboard.sh";
const SETUP_TEXT: &str = "#!/bin/sh\nkbd_mode -u\nloadkeys /etc/console-setup/cached_UTF-8_del.kmap.gz >/dev/null\n";
/// The last line of what `ckbcomp` makes of XKB's files. What comes after it is from this computer's `/etc`.
const LAST_LINE: &str = "\nstrings as usual\n";

/// What sets the consoles' font. As Debian has it, it makes the keymap once more and saves it.
const UNIT: &str = "console-setup.service";
const UNIT_TEXT: &str = "[Service]\nExecStart=\nExecStart=/usr/bin/setupcon --font-only --terminal-only\n";

/// Puts the keymap, if the packages have what it is made with; they do where the keyboard is not the plain US one, which needs none.
///
/// # Errors
/// [`SystemError::Refused`] for a layout or variant that the packages do not know, and what running `ckbcomp` gives.
pub fn apply(tree: &mut Tree, keyboard: &Keyboard, base: &Path, units: &Units) -> Result<(), SystemError> {
    if *keyboard == Keyboard::default() && !exists_in(base, CKBCOMP) {
        return Ok(());
    }
    tree.file(KEYMAP, make(keyboard, base)?)?;
    tree.put(SETUP, Node::File(SETUP_TEXT.into()), EXECUTABLE)?;
    if units.has(UNIT) {
        tree.file(&format!("systemd/system/{UNIT}.d/cairn.conf"), UNIT_TEXT)?;
    }
    Ok(())
}

/// keyboard(5).
pub(crate) fn settings(keyboard: &Keyboard) -> String {
    format!(
        "XKBMODEL=\"{}\"\nXKBLAYOUT=\"{}\"\nXKBVARIANT=\"{}\"\nXKBOPTIONS=\"{}\"\nBACKSPACE=\"guess\"\n",
        keyboard.model,
        keyboard.layout,
        keyboard.variant.as_deref().unwrap_or_default(),
        keyboard.options.join(",")
    )
}

/// The keymap as `loadkeys` takes it, packed; the same as `setupcon --save` makes.
fn make(keyboard: &Keyboard, base: &Path) -> Result<Vec<u8>, SystemError> {
    let lacking = |lacking: Lacking| lacking.of(base, NEEDED);
    let ckbcomp = there(base, CKBCOMP, PACKAGE).map_err(lacking)?;
    let modules = there(base, PERL_MODULES, "perl-base").map_err(lacking)?;
    let read = |path: &str| {
        let bytes = read_in(base, path).map_err(SystemError::io("reading", base.join(path)))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let rules = read(&format!("{XKB}/{RULES}"))?;
    let rules = rules.ok_or_else(|| lacking(Lacking { path: format!("{XKB}/{RULES}"), package: "xkb-data" }))?;
    // It would look for what it does not find in folders of this computer.
    check(keyboard, &rules, &|layout| read(&format!("{XKB}/symbols/{layout}")))?;

    let scratch = tempfile::tempdir().map_err(SystemError::io("making", "a temporary folder"))?;
    let at = scratch.path();
    let xkb = at.join("xkb");
    fs::create_dir(&xkb).map_err(SystemError::io("making the folder", &xkb))?;
    for folder in ["keycodes", "rules", "symbols"] {
        copy(base, &format!("{XKB}/{folder}"), NEEDED, &xkb.join(folder))?;
    }
    let made = program(base, "usr/bin/perl", "perl-base", REASON)
        .map_err(lacking)?
        .dir(at)
        .arg("-I")
        .arg(modules)
        .arg(&ckbcomp)
        .args(["-Ixkb", "-backspace", "del", "-model", &keyboard.model, &keyboard.layout])
        .arg(keyboard.variant.as_deref().unwrap_or_default())
        .arg(keyboard.options.join(","))
        .output()?;
    let mut text = String::from_utf8_lossy(&made).into_owned();
    let end = text.find(LAST_LINE).map(|at| at + LAST_LINE.len());
    text.truncate(end.ok_or(SystemError::Malformed { path: ckbcomp, what: "a program that makes keymaps" })?);
    // What dead keys make of letters, and what is appended to every keymap: the base's.
    let setupcon = read("usr/bin/setupcon")?.unwrap_or_default();
    let compose = compose_set(&setupcon, &keyboard.layout).map(|set| format!("compose.{set}.inc"));
    for name in compose.into_iter().chain(["remap.inc".to_string()]) {
        text += &read(&format!("etc/console-setup/{name}"))?.unwrap_or_default();
    }

    let file = at.join("keymap");
    fs::write(&file, text).map_err(SystemError::io("writing", &file))?;
    Ok(program(base, "usr/bin/gzip", "gzip", REASON).map_err(lacking)?.dir(at).args(["-9nc", "keymap"]).output()?)
}

/// Refuses layouts and variants that neither XKB's rules nor its files of layouts have. (Of models and options that it does
/// not know, XKB makes nothing.)
fn check(
    keyboard: &Keyboard,
    rules: &str,
    symbols: &dyn Fn(&str) -> Result<Option<String>, SystemError>,
) -> Result<(), SystemError> {
    let in_rules = |word: &str| rules.split_whitespace().any(|other| other == word);
    let refused = |key: &str, message: String| {
        let help = "`/usr/share/X11/xkb/rules/base.lst` of the package xkb-data lists layouts, and variants of each";
        Err(SystemError::refused_with(format!("/keyboard/{key}"), message, Some(help.into())))
    };
    let mut variants = keyboard.variant.as_deref().unwrap_or_default().split(',');
    for layout in keyboard.layout.split(',').filter(|layout| !layout.is_empty()) {
        let (layout, inside) = layout.split_once('(').unwrap_or((layout, ""));
        let found = symbols(layout)?;
        if found.is_none() && !in_rules(layout) {
            return refused("layout", format!("there is no keyboard layout {layout} in the packages"));
        }
        let variant = variants.next().unwrap_or_default();
        for (key, variant) in [("layout", inside.trim_end_matches(')')), ("variant", variant)] {
            let has = |text: &String| text.contains(&format!("\"{variant}\""));
            if !variant.is_empty() && !found.as_ref().is_some_and(has) && !in_rules(variant) {
                return refused(key, format!("the keyboard layout {layout} has no variant {variant} in the packages"));
            }
        }
    }
    Ok(())
}

/// Which set of letters a layout's dead keys make: `setupcon` has a table of them, as a shell's `case`.
fn compose_set<'a>(setupcon: &'a str, layout: &str) -> Option<&'a str> {
    let layout = layout.strip_prefix("us,").unwrap_or(layout).split(',').next()?;
    let mut ours = false;
    for line in setupcon.lines().map(str::trim) {
        if let Some(set) = line.strip_prefix("acm_option='-ccharmap ").and_then(|rest| rest.strip_suffix('\''))
            && ours
        {
            return Some(set);
        }
        if let Some(layouts) = line.strip_suffix(')') {
            ours = layouts.split('|').any(|name| name == layout);
        } else if line == ";;" {
            ours = false;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES_TEXT: &str = "! model = keycodes\n  * = evdev\n! layout = symbols\n  ar = pc+ara\n";

    fn checked(layout: &str, variant: Option<&str>) -> Option<(String, String)> {
        let keyboard =
            Keyboard { layout: layout.into(), variant: variant.map(ToString::to_string), ..Keyboard::default() };
        let symbols = |layout: &str| {
            let text = "xkb_symbols \"basic\" {};\nxkb_symbols \"nodeadkeys\" {};\n";
            Ok(["de", "us"].contains(&layout).then(|| text.to_string()))
        };
        let error = check(&keyboard, RULES_TEXT, &symbols).err()?;
        Some((error.pointer()?.to_string(), error.to_string()))
    }

    #[test]
    fn what_xkb_does_not_know_is_refused_where_it_stands() {
        for (layout, variant) in [
            ("de", None),
            ("ar", None),
            ("de", Some("nodeadkeys")),
            ("us,de", Some(",nodeadkeys")),
            ("de(nodeadkeys)", None),
        ] {
            assert_eq!(checked(layout, variant), None, "{layout} {variant:?}");
        }
        let (at, told) = checked("us,xx", None).unwrap();
        assert_eq!(
            (at.as_str(), told.as_str()),
            ("/keyboard/layout", "there is no keyboard layout xx in the packages")
        );
        let (at, told) = checked("us,de", Some(",nodeadkey")).unwrap();
        assert_eq!(at, "/keyboard/variant");
        assert_eq!(told, "the keyboard layout de has no variant nodeadkey in the packages");
        assert_eq!(checked("de(x)", None).unwrap().0, "/keyboard/layout");
    }

    #[test]
    fn dead_keys_make_what_setupcon_says() {
        let setupcon = "case \"$layout\" in\n\t#th)\n\t#    acm_option='-ccharmap TIS-620'\n\tca|br|us)\n\
            \t    acm_option='-ccharmap ISO-8859-1'\n\t    ;;\n\tbe|de)\n\t    acm_option='-ccharmap ISO-8859-15'\n\t    ;;\n\
            \tjp|*)\n\t    acm_option=''\n\t    ;;\nesac\n";
        for (layout, set) in [
            ("us", Some("ISO-8859-1")),
            ("us,de", Some("ISO-8859-15")),
            ("de,us", Some("ISO-8859-15")),
            ("jp", None),
            ("th", None),
        ] {
            assert_eq!(compose_set(setupcon, layout), set, "{layout}");
        }
    }

    #[test]
    fn a_plain_keyboard_needs_nothing_and_another_its_package() {
        let base = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        apply(&mut tree, &Keyboard::default(), base.path(), &Units::default()).unwrap();
        assert_eq!(tree, Tree::default());
        let other = Keyboard { layout: "de".into(), ..Keyboard::default() };
        let lacking = apply(&mut tree, &other, base.path(), &Units::default()).unwrap_err();
        assert!(matches!(lacking, SystemError::BaseLacks { .. }));
    }
}
